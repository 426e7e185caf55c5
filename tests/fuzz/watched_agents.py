"""Agents that meet every bad task of `tests/agents/bad_tasks.py`, watched by an audit hook.

    python -m tests.fuzz.watched_agents

In one process with little memory: a market, a good task that is played to its end (what is imported
late is then there), all bad ones, and a rogue that claims to have trained them. Under the watch a
solver looks at the tasks and a verifier at the claims; `pinpoint task check` and
`pinpoint requester post` look at those that can be written as folders. Prints one JSON object.
"""

from __future__ import annotations

import json
import logging
import resource
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from protocol.agents.bundle import fetch_tensors
from protocol.agents.solver import REFUSED
from protocol.agents.verifier import VERDICT
from protocol.chain.market import Terms
from protocol.cli.demo.world import OFFER, TOKEN, Stage, World
from protocol.merkle import MerkleTree
from protocol.program.manifest import Manifest
from protocol.storage import ContentStore
from protocol.training import Task
from protocol.training.task import DATA, MANIFEST, PROGRAM, STATE
from protocol.training.tensors import write_tensors
from tests.agents.bad_tasks import BAD
from tests.agents.scenes import is_over
from tests.fuzz.audit import crime
from tests.fuzz.mutations import FILES
from tests.fuzz.watched import check, post
from tests.training.regression import regression_task

SALT = bytes(32)
MEMORY_BYTES = 512 << 20
"""More than the process has when the watch begins; the largest claims of bad tasks are 32 GiB."""
CPU_SECONDS = 120
TERMS = replace(OFFER, verifiers=1, bid_seconds=1_000, reveal_seconds=1_000, window_seconds=9_000)
TIMES = "too little time"
"""Tasks that are good and that a machine may be too slow for: verifiers do what they can."""


@dataclass
class Watch:
    """What was done that nobody does who only looks at a task."""

    folder: Path
    crimes: list[str] = field(default_factory=list)
    is_on: bool = False

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        """An audit hook."""
        if self.is_on:
            self.is_on = False  # what follows is the watch's own
            found = crime(event, arguments, self.folder, may_write=True)
            if found is not None:
                self.crimes.append(found)
            self.is_on = True

    @contextmanager
    def on(self) -> Iterator[None]:
        """Watch what happens inside."""
        self.is_on = True
        try:
            yield
        finally:
            self.is_on = False


class Rogue:
    """Posts bad tasks, and claims to have trained them."""

    def __init__(self, world: World, account: str) -> None:
        self._world = world
        self._market = world.deployment.market.functions
        self._claims = world.deployment.claims.functions
        self._account = account
        world.deployment.fund(account, 10**7 * TOKEN)

    def post(self, terms: Terms) -> bytes:
        """The id of the task."""
        known = set(self._world.reader.book.tasks)
        self._send(self._market.post(terms.to_tuple(), ""))
        (task,) = set(self._world.reader.book.tasks) - known
        return task

    def bid(self, task: bytes) -> None:
        """Commit to a price."""
        chain = self._world.chain
        sealed = chain.call(self._market.bidCommitment(task, 0, self._account, TOKEN, SALT))
        self._send(self._market.commitBid(task, sealed))

    def reveal(self, task: bytes) -> None:
        """Tell it."""
        self._send(self._market.revealBid(task, TOKEN, SALT))

    def claim(self, task: bytes, terms: Terms) -> bytes:
        """Win the task, submit a log of nothing, have a verifier drawn; the claim's id."""
        self._send(self._market.assign(task))
        between = [index.to_bytes(32, "big") for index in range(1, terms.segments)]
        result = b"\7" * 32
        log = MerkleTree([terms.initial_state_root, *between, result])
        proofs = (log.inclusion_proof(0), log.inclusion_proof(terms.segments))
        known = set(self._world.reader.book.claims)
        self._send(self._market.submit(task, log.root, result, [], *proofs))
        (claim,) = set(self._world.reader.book.claims) - known
        self._world.chain.mine(3)
        self._send(self._claims.draw(claim))
        return claim

    def _send(self, call: Any) -> None:
        self._world.chain.send(call, self._account)


def main() -> None:
    """Play, and print what came of it."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        watch = Watch(folder)
        sys.addaudithook(watch.hear)
        print(json.dumps(play(World(Stage(), folder), watch)))  # noqa: T201


def play(world: World, watch: Watch) -> dict[str, Any]:
    """What solver and verifier thought of each bad task, what they sent, and their crimes."""
    task = regression_task(steps=11, interval=4, width=40)
    good = world.requester().post(task, TERMS)
    solver, verifier = world.solver(), world.verifier("verifier")
    world.play(lambda: is_over(world, good))
    world.settle()
    rogue = Rogue(world, world.chain.accounts[8])
    terms = {name: bad.publish(world.store, task, TERMS) for name, bad in BAD.items()}
    tasks = {name: rogue.post(each) for name, each in terms.items()}
    folders = write_folders(world, task, terms)
    for door in (check, post):
        door(folders["good"])
    before = len(world.ledger.entries)
    started = _limit()
    with watch.on():
        _tick(solver.tick)
    claimed = [name for name in tasks if TIMES not in name]
    for act in (rogue.bid, rogue.reveal):
        for name in claimed:
            act(tasks[name])
        world.chain.advance(TERMS.bid_seconds)
    claims = {name: rogue.claim(tasks[name], terms[name]) for name in claimed}
    with watch.on():
        _tick(verifier.tick)
    return {
        "solver": {name: _note(solver._journal, REFUSED, tasks[name]) for name in tasks},
        "verifier": {name: _note(verifier._journal, VERDICT, claims[name]) for name in claims},
        **{door.__name__: looks(door, folders, watch) for door in (check, post)},
        "sent": [entry.function for entry in world.ledger.entries[before:]],
        "crimes": watch.crimes,
        "seconds": time.process_time() - started,
    }


def write_folders(world: World, task: Task, terms: dict[str, Terms]) -> dict[str, Path]:
    """The good task, and the bad ones that are another folder, as far as their files exist."""
    home = world.folder / "tasks"
    task.save(home / "good")
    found = {"good": home / "good"}
    for number, (name, each) in enumerate(terms.items()):
        folder = home / str(number)
        task.save(folder)
        with suppress(ValueError, LookupError):
            _write_parts(world.store, each.manifest_root, folder)
        if any((folder / f).read_bytes() != (home / "good" / f).read_bytes() for f in FILES):
            found[name] = folder
    return found


def _write_parts(store: ContentStore, root: bytes, folder: Path) -> None:
    """What a manifest names, as far as it is to be had; LookupError or ValueError where it ends."""
    raw = store.get(root)
    (folder / MANIFEST).write_bytes(raw)
    manifest = Manifest.from_bytes(raw)
    leaves = store.get_leaves(manifest.program_root)
    packed = [struct.pack(">I", len(leaf)) + leaf for leaf in leaves]
    (folder / PROGRAM).write_bytes(b"".join(packed))
    for file, name, tree, specs in (
        (STATE, "state", manifest.initial_state_root, manifest.state),
        (DATA, "data", manifest.data_root, manifest.data),
    ):
        write_tensors(folder / file, name, fetch_tensors(store, tree, specs))


def looks(door: Callable[[Path], str], folders: dict[str, Path], watch: Watch) -> dict[str, str]:
    """What comes of each folder at a door."""
    with watch.on():
        return {name: door(folder) for name, folder in folders.items()}


def _tick(tick: Callable[[], bool]) -> None:
    """Until nothing is left to do."""
    while tick():
        pass


def _limit() -> float:
    """From now on little memory and time; the process's time so far."""
    own = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (own + MEMORY_BYTES, own + MEMORY_BYTES))
    spent = time.process_time()
    resource.setrlimit(resource.RLIMIT_CPU, (int(spent) + CPU_SECONDS, int(spent) + CPU_SECONDS))
    return spent


def _note(journal: Any, topic: str, key: bytes) -> str | None:
    stored = journal.recall(topic, key)
    return None if stored is None else stored.decode()


if __name__ == "__main__":
    main()
