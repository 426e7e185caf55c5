"""Power lost in the middle of a checkpoint write loses at most that checkpoint.

A disk may then hold any prefix of a file, or blocks that were never written; a rename may not have
happened, or have happened before the bytes arrived (on a disk that lies about its cache).
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from protocol.kernels import Executor
from protocol.training import CheckpointError, CheckpointFolder, Trainer
from tests.training.regression import regression_task

TASK = regression_task(steps=11, interval=4, width=300)
RANDOM = np.random.default_rng(7)
SIZE = 2_800  # bytes of a checkpoint, about
OFFSETS = sorted({0, 1, 7, 8, 9} | set(RANDOM.integers(0, SIZE, 12).tolist()))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """An uninterrupted run's outcome, and a run's folder after its second checkpoint."""
    whole, cut = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("cut")
    outcome = Trainer(TASK, whole, Executor(1)).run()
    Trainer(TASK, cut, Executor(1)).run(8)
    assert abs(last_file(cut).stat().st_size - SIZE) < 500
    return outcome, cut


def last_file(folder: Path) -> Path:
    return folder / "step-000000000008.safetensors"


def resume_and_count(folder: Path):
    """The outcome of going on, and the steps that were done."""
    seen: list[int] = []
    outcome = Trainer(TASK, folder, Executor(1)).run(progress=lambda p: seen.append(p.step))
    return outcome, seen


def cut_file(path: Path, offset: int) -> None:
    path.write_bytes(path.read_bytes()[:offset])


def zero_the_rest(path: Path, offset: int) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:offset] + bytes(len(data) - offset))


def garble_the_rest(path: Path, offset: int) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:offset] + RANDOM.bytes(len(data) - offset))


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("damage", [cut_file, zero_the_rest, garble_the_rest])
def test_checkpoint_torn_at_an_offset_costs_that_checkpoint_only(
    damage, offset, runs, tmp_path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(runs[1], folder)
    damage(last_file(folder), offset)
    outcome, seen = resume_and_count(folder)
    assert outcome == runs[0]
    assert seen == list(range(5, 12))
    with CheckpointFolder(TASK, folder) as checkpoints:
        assert checkpoints.latest()[0] == 3
        assert len(checkpoints.state(2)) == len(TASK.manifest.state)


def test_checkpoint_that_was_never_renamed_costs_that_checkpoint_only(runs, tmp_path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(runs[1], folder)
    last_file(folder).rename(f"{last_file(folder)}.123.tmp")
    outcome, seen = resume_and_count(folder)
    assert (outcome, seen) == (runs[0], list(range(5, 12)))
    assert not list(folder.glob("*.tmp"))


def test_every_checkpoint_lost_starts_over_to_the_same_roots(runs, tmp_path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(runs[1], folder)
    for path in folder.glob("step-*"):
        path.write_bytes(b"")
    outcome, seen = resume_and_count(folder)
    assert (outcome, seen) == (runs[0], list(range(1, 12)))


def test_log_that_is_no_database_is_refused_with_what_to_do(runs, tmp_path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(runs[1], folder)
    (folder / "log.sqlite").write_bytes(RANDOM.bytes(9_000))
    with pytest.raises(
        CheckpointError, match=r"log\.sqlite is not a checkpoint log .* move it away"
    ):
        resume_and_count(folder)
    (folder / "log.sqlite").unlink()
    assert resume_and_count(folder) == (runs[0], list(range(1, 12)))
