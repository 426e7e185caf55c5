"""Runs checkpoint, stop, are killed anywhere, and end at the same roots."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from protocol.kernels import Executor
from protocol.merkle import MerkleTree
from protocol.merkle.log import CheckpointLog
from protocol.training import CheckpointError, CheckpointFolder, StepRunner, Trainer, tensors
from tests.training.regression import regression_task

TASK = regression_task(steps=11, interval=4, width=300)


def train(folder: Path, until: int | None = None, **options):
    return Trainer(TASK, folder, Executor(1), **options).run(until)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    return train(folder), folder


def test_trainer_logs_every_checkpoint_and_the_end(uninterrupted) -> None:
    outcome, folder = uninterrupted
    assert (outcome.step, outcome.log_size) == (11, 4)
    assert sorted(path.name for path in folder.glob("step-*")) == [
        f"step-{step:012d}.safetensors" for step in (4, 8, 11)
    ]
    with CheckpointFolder(TASK, folder) as checkpoints:
        roots = checkpoints.roots()
        assert roots[0] == TASK.manifest.initial_state_root
        assert roots[-1] == outcome.state_root
        assert MerkleTree(roots).root == outcome.log_root
        for index, root in enumerate(roots):
            assert tensors.state_root(checkpoints.state(index)) == root


def test_trainer_stopped_and_continued_reaches_the_same_roots(uninterrupted, tmp_path) -> None:
    assert train(tmp_path, until=7).step == 4
    assert train(tmp_path, until=8).log_size == 3
    assert train(tmp_path) == uninterrupted[0]
    assert train(tmp_path) == uninterrupted[0]  # nothing left to do


def test_trainer_reports_progress(tmp_path) -> None:
    seen = []
    Trainer(TASK, tmp_path, Executor(1)).run(progress=seen.append)
    assert [p.step for p in seen] == list(range(1, 12))
    assert [p.checkpoint for p in seen if p.checkpoint is not None] == [1, 2, 3]
    assert all(p.loss > 0 for p in seen)


def killed_at(call: int, kill_before: bool, original: Callable) -> Callable:
    """``original``, but the process is killed before, or after, its call number ``call``."""
    calls = 0

    def wrapped(*args, **kwargs):
        nonlocal calls
        calls += 1
        if kill_before and calls == call:
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*args, **kwargs)
        if calls == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return wrapped


def torn(original: Callable) -> Callable:
    """Writes half of the second file and dies."""
    calls = 0

    def wrapped(named, path):
        nonlocal calls
        calls += 1
        original(named, path)
        if calls == 2:
            os.truncate(path, path.stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    return wrapped


POINTS = {
    "before the first step": (StepRunner, "run", lambda f: killed_at(1, True, f)),
    "within the second segment": (StepRunner, "run", lambda f: killed_at(6, False, f)),
    "before a file is written": (tensors, "save_file", lambda f: killed_at(2, True, f)),
    "within a file": (tensors, "save_file", torn),
    "before the file is synced": (tensors.os, "fsync", lambda f: killed_at(3, True, f)),
    "before the file is renamed": (tensors.os, "replace", lambda f: killed_at(2, True, f)),
    "after the file is renamed": (tensors.os, "replace", lambda f: killed_at(2, False, f)),
    "before the log is opened": (CheckpointLog, "record", lambda f: killed_at(1, True, f)),
    "before the log grows": (CheckpointLog, "append", lambda f: killed_at(3, True, f)),
    "after the log grew": (CheckpointLog, "append", lambda f: killed_at(3, False, f)),
    "after the last entry": (CheckpointLog, "append", lambda f: killed_at(4, False, f)),
}


@pytest.mark.parametrize("point", POINTS)
def test_trainer_killed_at_a_point_resumes_to_the_same_roots(
    point, uninterrupted, tmp_path, monkeypatch
) -> None:
    owner, name, wrap = POINTS[point]
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, wrap(getattr(owner, name)))
        child = multiprocessing.get_context("fork").Process(target=train, args=(tmp_path,))
        child.start()
        child.join(60)
    assert child.exitcode == -signal.SIGKILL
    assert train(tmp_path) == uninterrupted[0]
    assert not list(tmp_path.glob("*.tmp"))
    with CheckpointFolder(TASK, tmp_path) as checkpoints:
        assert checkpoints.latest()[0] == 3


def test_trainer_with_a_damaged_checkpoint_goes_back_to_the_one_before(
    uninterrupted, tmp_path
) -> None:
    train(tmp_path, until=8)
    path = tmp_path / "step-000000000008.safetensors"
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    with CheckpointFolder(TASK, tmp_path) as checkpoints:
        with pytest.raises(CheckpointError, match="the log commits to"):
            checkpoints.state(2)
        assert checkpoints.latest()[0] == 1
    assert train(tmp_path) == uninterrupted[0]


def test_trainer_whose_run_differs_from_its_log_stops(tmp_path) -> None:
    train(tmp_path, until=4)
    with CheckpointFolder(TASK, tmp_path) as checkpoints:
        checkpoints.log.append(b"\x11" * 32)
    with pytest.raises(ValueError, match="the log only grows"):
        train(tmp_path)


def test_folder_of_another_task_is_refused(tmp_path) -> None:
    train(tmp_path, until=4)
    other = regression_task(width=7)
    with pytest.raises(CheckpointError, match="another task"):
        Trainer(other, tmp_path, Executor(1)).run()
