"""Runs of the regression that are wrong in one place, and their receipts."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from protocol.kernels import Executor
from protocol.training import CheckpointFolder, Hooks, Task, Trainer
from protocol.training.recorder import Recorder
from tests.training.regression import regression_task

TASK = regression_task(steps=11, interval=4, width=300)
STEP, SEGMENT, NODE, ELEMENT = 5, 2, 6, 299


class OneUlp(Hooks):
    """One bit of one element of the new weight, in step 5."""

    def __init__(self, bit: int = 1) -> None:
        self._bit = bit

    def node_output(self, step, node, output):
        if (step, node) != (STEP, NODE):
            return output
        words = output.copy().view("<u4")
        words[ELEMENT] ^= self._bit
        return words.view(output.dtype)

    def fold_rows(self, step, node, element, rows):
        if (step, node, element) == (STEP, NODE, ELEMENT):
            rows = rows.copy()
            rows[-1, 0] ^= self._bit
        return rows


class OtherState(Hooks):
    """Keeps another weight than step 5 computed."""

    def next_state(self, step, index, tensor):
        return tensor + np.float32(1) if (step, index) == (STEP, 0) else tensor


class Passing(Hooks):
    """Another loss in step 5, which step 6 overwrites: no checkpoint shows it."""

    def node_output(self, step, node, output):
        return np.asarray(output + np.float32(1)) if (step, node) == (STEP, 4) else output


def train(
    folder: Path, hooks: Hooks | None = None, until: int | None = None, task: Task = TASK
) -> Path:
    """A run of the task in ``folder``, with the task beside it."""
    task.save(folder / "task")
    Trainer(task, folder, Executor(1), hooks).run(until)
    return folder


def record(
    run: Path,
    folder: Path,
    hooks: Hooks | None = None,
    depth: str = "fold",
    segment: int = SEGMENT,
    task: Task = TASK,
) -> Path:
    """A receipt of a run: of a ``segment``, of a ``step`` in it too, of a ``fold`` in it too."""
    with CheckpointFolder(task, run) as checkpoints:
        recorder = Recorder(task, checkpoints, folder, Executor(1), hooks)
        recorder.record_segment(segment)
        if depth in ("step", "fold"):
            recorder.record_step(STEP)
        if depth == "fold":
            recorder.record_fold(STEP, NODE, ELEMENT)
    return folder
