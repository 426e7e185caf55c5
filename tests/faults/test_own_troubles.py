"""Disks that are full and stores that are out of reach: told, waited out, and no stake lost."""

from __future__ import annotations

import errno
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import protocol.training.tensors
from protocol.agents.journal import Journal
from protocol.chain.txlog import Status, TransactionLog
from protocol.storage import StoreUnusable
from protocol.storage.folder import Folder
from protocol.training import Task
from tests.faults.colony import TERMS, Colony, End, honest_end
from tests.faults.lodgers import Lodger, folder_of, move_in
from tests.faults.nodes import NodeControl, running_node
from tests.training.regression import regression_task

TIMES = 3
"""How often each trouble strikes before the operator has mended it."""


def no_space() -> OSError:
    return OSError(errno.ENOSPC, "No space left on device")


def full() -> sqlite3.OperationalError:
    return sqlite3.OperationalError("database or disk is full")


def unusable() -> StoreUnusable:
    return StoreUnusable(errno.ENOSPC, "cannot write")


class Trouble:
    """Fails the first calls of a function that are ``of`` interest."""

    def __init__(
        self,
        original: Callable[..., Any],
        error: Callable[[], Exception],
        of: Callable[..., bool],
        times: int = TIMES,
    ) -> None:
        self._original, self._error, self._of, self._times = original, error, of, times
        self.struck = 0

    def of_method(self) -> Callable[..., Any]:
        """As a method of a class."""
        return lambda *arguments, **named: self(*arguments, **named)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        if self.struck < self._times and self._of(*arguments):
            self.struck += 1
            raise self._error()
        return self._original(*arguments, **named)


@pytest.fixture(scope="module")
def started_node(tmp_path_factory) -> Iterator[NodeControl]:
    with running_node("anvil", tmp_path_factory.mktemp("node")) as control:
        yield control


@pytest.fixture(scope="module")
def task() -> Task:
    """Eleven steps in three segments, eight nodes."""
    return regression_task(steps=11, interval=4, width=40)


@pytest.fixture
def colony(node: NodeControl, tmp_path: Path) -> Iterator[Colony]:
    with Colony(folder_of(tmp_path), node, "own troubles") as found:
        found.stride_s = 90  # longer than anybody waits after a failure
        yield found


@pytest.fixture
def calm(task: Task, tmp_path: Path) -> End:
    return honest_end(task, tmp_path / "run")


def play(colony: Colony, task: Task) -> tuple[End, Lodger, Lodger]:
    task_id = colony.requester.post(task, TERMS)
    solver, verifier = move_in(colony, "solver"), move_in(colony, "verifier")
    return colony.play_out(task_id), solver, verifier


def is_told(lodger: Lodger, error: type[Exception]) -> bool:
    """The rounds that failed were not counted as progress: it was not ready."""
    return sum(isinstance(found, error) for found in lodger.watcher.failures) == TIMES


def test_full_disk_at_a_checkpoint_loses_that_checkpoint_and_no_other(
    colony: Colony, task: Task, calm: End, monkeypatch
) -> None:
    trouble = Trouble(
        protocol.training.tensors.save_file, no_space, lambda _named, path: "step-" in str(path)
    )
    monkeypatch.setattr(protocol.training.tensors, "save_file", trouble)
    end, solver, _ = play(colony, task)
    assert trouble.struck == TIMES
    assert is_told(solver, OSError)
    assert end == calm
    (run,) = (solver.home / "runs").iterdir()
    assert len(list(run.glob("step-*.safetensors"))) == task.manifest.segments
    assert not list(run.glob("*.tmp"))  # what was half written does not fill the disk further


@pytest.mark.parametrize(
    ("topic", "of"),
    [
        ("remember", lambda _journal, topic, *_rest: topic == "bid"),
        ("bind_root", lambda *_arguments: True),
    ],
)
def test_full_disk_at_the_journal_sends_nothing_that_depends_on_it(
    colony: Colony, task: Task, calm: End, monkeypatch, topic: str, of
) -> None:
    trouble = Trouble(getattr(Journal, topic), full, of)
    monkeypatch.setattr(Journal, topic, trouble.of_method())
    end, solver, _ = play(colony, task)
    assert trouble.struck == TIMES
    assert is_told(solver, sqlite3.OperationalError)
    assert end == calm


def test_full_disk_at_the_transaction_log_sends_nothing(
    colony: Colony, task: Task, calm: End, monkeypatch
) -> None:
    def of(log: TransactionLog, *_rest: Any) -> bool:
        return "solver" in log._db.execute("PRAGMA database_list").fetchone()[2]

    trouble = Trouble(TransactionLog.attempt, full, of)
    monkeypatch.setattr(TransactionLog, "attempt", trouble.of_method())
    end, solver, _ = play(colony, task)
    assert trouble.struck == TIMES
    assert is_told(solver, sqlite3.OperationalError)
    assert end == calm
    nonces = [intent.nonce for intent in solver.txlog.with_status(*Status)]
    assert nonces == sorted(set(nonces))  # what was taken back has left no gap
    assert (
        len(nonces)
        == solver.chain.w3.eth.get_transaction_count(solver.chain.accounts[0]) - (nonces[0])
    )


def test_full_disk_at_the_store_costs_no_claim(
    colony: Colony, task: Task, calm: End, monkeypatch, caplog
) -> None:
    """What is not served costs moves in a dispute, never the stake: the solver submits."""

    def of(folder: Folder, *_rest: Any) -> bool:
        return "solver" in str(folder.root) and "leaves are not served" not in caplog.text

    trouble = Trouble(Folder.write, unusable, of, times=1_000)
    monkeypatch.setattr(Folder, "write", trouble.of_method())
    end, _, _ = play(colony, task)
    assert trouble.struck > TIMES
    assert "what was fetched is used, but not kept" in caplog.text
    assert "leaves are not served" in caplog.text
    assert end == calm


def test_store_out_of_reach_makes_a_verifier_wait_and_neither_attest_nor_accuse(
    colony: Colony, task: Task, calm: End, caplog
) -> None:
    task_id = colony.requester.post(task, TERMS)
    solver = move_in(colony, "solver")
    colony.play(lambda: bool(solver.reader.book.open_claims))
    away = colony.folder / "away"
    colony.published.rename(away)
    solver_store = colony.folder / "solver" / "home" / "store"
    solver_store.rename(colony.folder / "solver-away")
    verifier = move_in(colony, "verifier")
    for _ in range(6):
        colony.node.mine()
        for lodger in (solver, verifier):
            lodger.revive()
    assert not verifier.labels() & {"attest", "commitOpen"}
    assert not verifier.journal.entries("verdict")
    assert "the task's files are not to be had" in caplog.text
    shutil.rmtree(solver_store, ignore_errors=True)
    shutil.rmtree(colony.published, ignore_errors=True)
    away.rename(colony.published)
    (colony.folder / "solver-away").rename(solver_store)
    end = colony.play_out(task_id)
    assert "attest" in verifier.labels()
    assert end == calm
