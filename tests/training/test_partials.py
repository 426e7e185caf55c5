"""A run that is told to stop keeps what it did; a damaged or foreign partial state is ignored."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import pytest

from protocol.kernels import Executor
from protocol.training import CheckpointFolder, Trainer, tensors
from protocol.training.partials import Partials
from tests.training.regression import regression_task

TASK = regression_task(steps=11, interval=4, width=300)
CHECKPOINTS = {4, 8, 11}


def train_until_stopped(folder: Path, steps: int, task=TASK):
    """Train; told to stop after ``steps`` more steps: outcome, and the steps that it did."""
    seen: list[int] = []
    trainer = Trainer(task, folder, Executor(1))
    outcome = trainer.run(
        progress=lambda progress: seen.append(progress.step), stop=lambda: len(seen) >= steps
    )
    return outcome, seen


def partial_files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("partial-*"))


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    return Trainer(TASK, tmp_path_factory.mktemp("uninterrupted"), Executor(1)).run()


@pytest.mark.parametrize("steps", range(11))
def test_trainer_stopped_after_any_step_goes_on_from_there(steps, uninterrupted, tmp_path) -> None:
    outcome, seen = train_until_stopped(tmp_path, steps)
    assert outcome.stopped == steps
    assert seen == list(range(1, steps + 1))
    assert outcome.step == max(c for c in {0} | CHECKPOINTS if c <= steps)
    between = steps not in {0} | CHECKPOINTS
    assert partial_files(tmp_path) == [f"partial-{steps:012d}.safetensors"] * between
    outcome, seen = train_until_stopped(tmp_path, 100)
    assert outcome == uninterrupted
    assert outcome.stopped is None
    assert seen == list(range(steps + 1, 12))
    assert partial_files(tmp_path) == []


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_trainer_stopped_again_and_again_does_each_step_once(
    at_once, uninterrupted, tmp_path
) -> None:
    done: list[int] = []
    while len(done) < 11:
        outcome, seen = train_until_stopped(tmp_path, at_once)
        done += seen
        assert len(partial_files(tmp_path)) <= 1
    assert done == list(range(1, 12))
    assert (outcome.log_root, outcome.state_root) == (
        uninterrupted.log_root,
        uninterrupted.state_root,
    )


def test_trainer_stopped_before_its_first_step_keeps_the_partial_state(tmp_path) -> None:
    train_until_stopped(tmp_path, 6)
    outcome, seen = train_until_stopped(tmp_path, 0)
    assert (outcome.stopped, seen) == (6, [])
    assert partial_files(tmp_path) == ["partial-000000000006.safetensors"]


def test_trainer_that_is_done_is_not_stopped(uninterrupted, tmp_path) -> None:
    train_until_stopped(tmp_path, 100)
    outcome, _ = train_until_stopped(tmp_path, 0)
    assert outcome == uninterrupted


def only_file(folder: Path) -> Path:
    (path,) = folder.glob("partial-*")
    return path


def flip_a_bit(folder: Path) -> None:
    data = bytearray(only_file(folder).read_bytes())
    data[-5] ^= 1
    only_file(folder).write_bytes(data)


def cut_short(folder: Path) -> None:
    only_file(folder).write_bytes(only_file(folder).read_bytes()[:-1])


def empty(folder: Path) -> None:
    only_file(folder).write_bytes(b"")


def name_another_step(folder: Path) -> None:
    only_file(folder).rename(folder / "partial-000000000007.safetensors")


def name_a_step_of_another_segment(folder: Path) -> None:
    only_file(folder).rename(folder / "partial-000000000009.safetensors")


def drop_the_metadata(folder: Path) -> None:
    state = tensors.read_tensors(only_file(folder), "state", TASK.manifest.state)
    tensors.write_tensors(only_file(folder), "state", state)


def take_that_of_another_task(folder: Path) -> None:
    """The same steps and the same state, of a task with other checkpoints."""
    other = folder.parent / "other"
    train_until_stopped(other, 6, regression_task(steps=11, interval=5, width=300))
    shutil.copy(only_file(other), only_file(folder))


def take_that_of_another_log(folder: Path) -> None:
    """The same task and state, said to go on from a log without checkpoint 1."""
    state = tensors.read_tensors(only_file(folder), "state", TASK.manifest.state)
    Partials(TASK, folder).write(6, state, b"\x11" * 32)


DAMAGES = [
    flip_a_bit,
    cut_short,
    empty,
    name_another_step,
    name_a_step_of_another_segment,
    drop_the_metadata,
    take_that_of_another_task,
    take_that_of_another_log,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_partial_state_that_was_damaged_is_ignored(damage, uninterrupted, tmp_path) -> None:
    folder = tmp_path / "run"
    train_until_stopped(folder, 6)
    damage(folder)
    outcome, seen = train_until_stopped(folder, 100)
    assert outcome == uninterrupted
    assert seen == list(range(5, 12))
    assert partial_files(folder) == []


def test_partial_state_beside_a_damaged_checkpoint_waits_until_that_is_whole_again(
    uninterrupted, tmp_path
) -> None:
    train_until_stopped(tmp_path, 6)
    (tmp_path / "step-000000000004.safetensors").write_bytes(b"")
    outcome, seen = train_until_stopped(tmp_path, 100)
    assert outcome == uninterrupted
    assert seen == list(range(1, 12))
    with CheckpointFolder(TASK, tmp_path) as checkpoints:
        assert tensors.state_root(checkpoints.state(1)) == checkpoints.roots()[1]


def test_partial_state_on_a_full_disk_leaves_nothing_half_written(
    uninterrupted, tmp_path, monkeypatch
) -> None:
    train_until_stopped(tmp_path, 5)

    def fail(_named, path, _metadata):
        path.write_bytes(b"the beginning")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(tensors, "save_file", fail)
        with pytest.raises(OSError, match="No space left"):
            train_until_stopped(tmp_path, 2)
    assert not list(tmp_path.glob("*.tmp"))
    assert partial_files(tmp_path) == ["partial-000000000005.safetensors"]
    outcome, seen = train_until_stopped(tmp_path, 100)
    assert outcome == uninterrupted
    assert seen == list(range(6, 12))
