"""Agents within the test's process that send as those of `pinpoint solver run` do.

They have what a process has, an outbox on disk, a loop, a store, and can be given endpoints of
their own. For faults of the world around them; kills are for `colony`'s processes.
"""

from __future__ import annotations

import logging
from pathlib import Path

from protocol.agents.conduct import HONEST, Conduct
from protocol.agents.journal import Journal
from protocol.agents.process.daemon import Daemon
from protocol.agents.sender import QueuedSender
from protocol.agents.solver import Solver
from protocol.agents.verifier import Verifier
from protocol.agents.watch.reader import Reader
from protocol.chain.deployment import Deployment
from protocol.chain.endpoints import Endpoints
from protocol.chain.fees import FeePolicy
from protocol.chain.heads import Head, HeadGuard
from protocol.chain.outbox import Outbox, Outcome
from protocol.chain.presets import MINIMAL
from protocol.chain.rpc import RpcChain
from protocol.chain.txlog import Status, TransactionLog
from protocol.cli.demo.world import TOKEN
from protocol.kernels import Executor, instruction_sets
from protocol.storage import ContentStore
from protocol.storage.layered import LayeredStore, open_store
from protocol.training.stop import StopSignal
from tests.faults.colony import Colony, dev_account_of

log = logging.getLogger(__name__)

PATIENCE_S = 0.2


class Watcher:
    """What the telemetry would hear."""

    def __init__(self) -> None:
        self.failures: list[Exception] = []
        self.rounds = 0
        self.outcomes: list[Outcome] = []

    def looked(self, head: Head) -> None:
        """The chain's head was read."""

    def became(self, outcome: Outcome) -> None:
        """A transaction came to its end."""
        self.outcomes.append(outcome)

    def failed(self, error: Exception) -> None:
        """A round failed."""
        self.failures.append(error)

    def progress(self) -> None:
        """A round was completed."""
        self.rounds += 1


class Lodger:
    """One agent in a colony; a `Resident` without a process.

    Args:
        colony: whose market.
        person: which of its people.
        urls: its endpoints; the colony's node if none.
        guard: limits of its head guard.
    """

    def __init__(
        self,
        colony: Colony,
        person: str,
        urls: tuple[str, ...] = (),
        fees: FeePolicy | None = None,
        conduct: Conduct = HONEST,
        **guard: int,
    ) -> None:
        self.name = person
        self.home = colony.folder / person / "home"
        self.home.mkdir(parents=True)
        key = dev_account_of(person)
        self.chain = RpcChain(Endpoints(urls or (colony.node.url,), timeout_s=5.0), [key])
        path = self.home / "journal.sqlite"
        self.journal = Journal(path, 31337, key.address)
        self.txlog = TransactionLog(path, 31337, key.address)
        self.outbox = Outbox(
            self.chain, key, self.txlog, fees, confirmations=4, patience_s=PATIENCE_S
        )
        self.chain.attach(self.outbox)
        deployment = Deployment.connect(self.chain, MINIMAL, colony.deployment.addresses)
        self.reader = Reader(deployment, keeps_ended=False)
        sender = QueuedSender(deployment, self.outbox, person)
        self.store = self._open_store(colony)
        self.agent = self._make(sender, conduct)
        limits = {"max_age_s": 0, "max_ahead_s": 0, **guard}
        self.guard = HeadGuard(self.chain.endpoints, **limits)
        self.watcher = Watcher()
        self.daemon = Daemon(
            self.agent, self.guard, self.outbox, StopSignal(), poll_s=0.01, watcher=self.watcher
        )
        self._idle_at = -1

    def _open_store(self, colony: Colony) -> LayeredStore:
        served = colony.folder / "solver" / "home" / "store"
        read = [str(colony.published)] + ([str(served)] if self.name == "verifier" else [])
        return open_store(str(self.home / "store"), read)

    def _make(self, sender: QueuedSender, conduct: Conduct) -> Solver | Verifier:
        first = Executor(threads=1)
        if self.name == "solver":
            return Solver(
                *(self.reader, sender, self.journal, self.store, self.home / "runs"),
                lambda _terms: 600 * TOKEN,
                conduct,
                executor=first,
            )
        second = Executor(threads=1, isa=instruction_sets()[-1])
        return Verifier(
            *(self.reader, sender, self.journal, self.store),
            folder=self.home / "tasks",
            executors=(first, second),
        )

    @property
    def own(self) -> ContentStore:
        """The store that it serves."""
        return self.store.own

    # ------------------------------------------------------------------ as a resident

    def revive(self) -> bool:
        """One round of its loop; whether it did anything."""
        before = self.chain_head()
        acted = self.daemon._round()
        quiet = not (acted or self.daemon._pause_s or self.outbox.pending)
        self._idle_at = before if quiet else -1
        return acted

    def chain_head(self) -> int:
        """The block that it sees; -1: none."""
        try:
            return int(self.chain.w3.eth.block_number)
        except ConnectionError:
            return -1

    def idle_at(self) -> int:
        """The block at which it had nothing to do; -1: it has something, or fails."""
        return self._idle_at

    def kill(self) -> None:
        """Let go of its files."""
        self.txlog.close()
        self.journal.close()

    def tail(self) -> str:
        """What it last failed at."""
        return f"{self.watcher.failures[-3:]}; pending {self.outbox.pending}"

    # ------------------------------------------------------------------ what it did

    def mined(self) -> list[tuple[str, int]]:
        """Functions and blocks of its mined transactions that may still be taken back."""
        found = []
        for intent in self.txlog.with_status(Status.MINED):
            receipt = self.txlog.receipt(intent.number)
            if receipt is not None:
                found.append((intent.label, receipt.block_number))
        return found

    def labels(self) -> set[str]:
        """Functions of all its transactions."""
        return {intent.label for intent in self.txlog.with_status(*Status)}


def move_in(colony: Colony, person: str, **options: object) -> Lodger:
    """Let a person live in the test's process."""
    (colony.folder / person).mkdir(exist_ok=True)
    lodger = Lodger(colony, person, **options)  # type: ignore[arg-type]
    colony.residents[person] = lodger
    return lodger


def folder_of(tmp_path: Path) -> Path:
    """An empty folder for a colony."""
    folder = tmp_path / "colony"
    folder.mkdir()
    return folder
