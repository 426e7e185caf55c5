"""Tasks and checkpoints travel through a store that nobody trusts."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from protocol.kernels import Executor
from protocol.program.manifest import Manifest
from protocol.storage import ContentMissing, ContentStore, ContentWrong
from protocol.training import (
    CheckpointError,
    CheckpointFolder,
    Replay,
    StoredCheckpoints,
    TaskError,
    Trainer,
    fetch_task,
    publish_task,
    publish_tensors,
)
from tests.training.regression import regression_task

TASK = regression_task(steps=11, interval=4, width=300)


def test_task_published_is_fetched_by_its_manifest_root(tmp_path) -> None:
    store = ContentStore(tmp_path)
    root = publish_task(store, TASK)
    assert root == TASK.manifest.root
    fetched = fetch_task(store, root)
    assert fetched.manifest == TASK.manifest
    assert fetched.program_leaves == TASK.program_leaves
    assert [t.tobytes() for t in fetched.state] == [t.tobytes() for t in TASK.state]


def test_task_with_a_missing_part_is_missing(tmp_path) -> None:
    store = ContentStore(tmp_path)
    root = publish_task(store, TASK)
    victim = next(path for path in (tmp_path / "tensor").rglob("*") if path.is_file())
    victim.unlink()
    with pytest.raises(ContentMissing, match="tensor"):
        fetch_task(store, root)


def test_task_whose_manifest_names_other_tensors_is_refused(tmp_path) -> None:
    store = ContentStore(tmp_path)
    publish_task(store, TASK)
    fewer = dataclasses.replace(TASK.manifest, data=TASK.manifest.data[:-1])
    with pytest.raises(ContentWrong, match="has 3 tensors, the manifest says 2"):
        fetch_task(store, store.put(fewer.to_bytes()))
    with pytest.raises(TaskError, match="not JSON"):
        fetch_task(store, store.put(b"hello"))


@pytest.fixture
def served(tmp_path: Path) -> tuple[ContentStore, list[bytes]]:
    """A solver's run, all of whose checkpoints are in a store."""
    store = ContentStore(tmp_path / "store")
    Trainer(TASK, tmp_path / "run", Executor(1)).run()
    with CheckpointFolder(TASK, tmp_path / "run") as checkpoints:
        for index in range(4):
            assert publish_tensors(store, checkpoints.state(index)) == checkpoints.roots()[index]
        return store, checkpoints.roots()


def test_segment_is_computed_from_the_checkpoint_before_it(served, monkeypatch) -> None:
    store, roots = served
    executor = Executor(1)
    replay = Replay(TASK, StoredCheckpoints(TASK, store, roots, last=1), executor)
    runs = []
    run = executor.run
    monkeypatch.setattr(executor, "run", lambda *a, **k: runs.append(1) or run(*a, **k))
    leaves = replay.segment_leaves(2)
    assert leaves[-1] == roots[2]
    assert len(runs) == 4 * len(TASK.program.nodes)  # its four steps, none before
    assert replay.log_leaves() == roots


def test_checkpoint_not_served_falls_back_to_an_earlier_one(served) -> None:
    store, roots = served
    roots[2] = b"\x11" * 32
    checkpoints = StoredCheckpoints(TASK, store, roots)
    with pytest.raises(CheckpointError, match="not served"):
        checkpoints.state(2)
    replay = Replay(TASK, checkpoints, Executor(1))
    assert replay.segment_leaves(3)[-1] == roots[3]


def test_manifest_bytes_are_what_is_stored(tmp_path) -> None:
    store = ContentStore(tmp_path)
    assert Manifest.from_bytes(store.get(publish_task(store, TASK))) == TASK.manifest
