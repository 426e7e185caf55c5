"""Agents that are killed and start again from what is on disk.

A killed agent loses every object: journal, reader, sender and agent are built anew. `Killed` is no
`Exception`, so that nothing in an agent can take it for a failure that it should survive.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import protocol.agents
from protocol.agents.journal import Journal
from protocol.agents.sender import Sender
from protocol.agents.watch.reader import Reader
from protocol.cli.demo.world import Agent, World
from protocol.storage import ContentStore

Make = Callable[[Reader, Sender, Journal, ContentStore, Path], Agent]

AGENTS = Path(protocol.agents.__file__).parent


class Killed(BaseException):
    """The process is gone."""


class NoDeath:
    """Nobody dies.

    Attributes:
        takes_reader: whether what was read of the chain is lost as well.
    """

    takes_reader = True

    def before(self, call: tuple[Any, ...]) -> None:
        """Called before a transaction."""

    def after(self, call: tuple[Any, ...]) -> None:
        """Called after a transaction."""

    @contextmanager
    def hunting(self):
        """Entered while the agent runs."""
        yield


class DeathAtTransactions(NoDeath):
    """Kills before the first try of each transaction, and after it was mined."""

    def __init__(self) -> None:
        self._seen: set[tuple[Any, ...]] = set()

    def before(self, call: tuple[Any, ...]) -> None:
        """Die, the first time."""
        if call not in self._seen:
            self._seen.add(call)
            raise Killed

    def after(self, call: tuple[Any, ...]) -> None:
        """Die."""
        del call
        raise Killed


class DeathAtLines(NoDeath):
    """Kills before each line of the agents' code, the first time that it is reached.

    What was read of the chain survives: to read it again hundreds of times would take minutes.
    """

    takes_reader = False

    def __init__(self, modules: Iterable[str]) -> None:
        self._files = {str(AGENTS / f"{module}.py") for module in modules}
        self._seen: set[tuple[str, int]] = set()

    @property
    def lines(self) -> int:
        """Number of lines that somebody died at."""
        return len(self._seen)

    @contextmanager
    def hunting(self):
        """Watch every line."""
        others = sys.gettrace()  # a coverage tool's
        sys.settrace(self._call)
        try:
            yield
        finally:
            sys.settrace(others)

    def _call(self, frame: FrameType, _event: str, _argument: Any) -> Any:
        return self._line if frame.f_code.co_filename in self._files else None

    def _line(self, frame: FrameType, event: str, _argument: Any) -> Any:
        place = (frame.f_code.co_filename, frame.f_lineno)
        if event == "line" and place not in self._seen:
            self._seen.add(place)
            raise Killed
        return self._line


class MortalSender(Sender):
    """A sender whose process dies around its transactions."""

    death: NoDeath

    def _send(self, where, contract, function, arguments, dispute_id=None) -> None:
        call = (self.account, function, repr(arguments))
        self.death.before(call)
        super()._send(where, contract, function, arguments, dispute_id)
        self.death.after(call)


class Mortal:
    """An agent that is born again after each death."""

    def __init__(self, birth: Callable[[], Agent], death: NoDeath) -> None:
        self._birth = birth
        self._death = death
        self._agent: Agent | None = None
        self.deaths = 0

    def tick(self) -> bool:
        """The agent's tick; a death counts as something done."""
        try:
            with self._death.hunting():
                if self._agent is None:
                    self._agent = self._birth()
                return self._agent.tick()
        except Killed:
            self._agent = None
            self.deaths += 1
            return True


def add_mortal(world: World, name: str, make: Make, death: NoDeath) -> Mortal:
    """Add an agent whose process dies as ``death`` says. ``make`` also gets a folder of its own."""

    def build(_reader: Reader, sender: Sender, journal: Journal, _store: ContentStore) -> Mortal:
        journal.close()
        account, chain_id = sender.account, world.chain.w3.eth.chain_id
        first_block = world.chain.w3.eth.block_number

        def birth() -> Agent:
            reborn = MortalSender(world.deployment, account, name, world.ledger)
            reborn.death = death
            return make(
                Reader(world.deployment, first_block) if death.takes_reader else world.reader,
                reborn,
                Journal(world.folder / name / "journal.sqlite", chain_id, account),
                ContentStore(world.folder / "store"),
                world.folder / name,
            )

        return Mortal(birth, death)

    agent = world.add(name, build)
    assert isinstance(agent, Mortal)
    return agent
