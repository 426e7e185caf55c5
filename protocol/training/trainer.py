"""Trains a task with checkpoints; killed at any point, a new run goes on to the same roots."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from protocol.kernels.executor import Executor
from protocol.merkle import root_of_leaves
from protocol.training.checkpoints import CheckpointFolder
from protocol.training.hooks import Hooks
from protocol.training.step import StepRunner
from protocol.training.task import Task
from protocol.training.tensors import roots_of


@dataclass(frozen=True)
class Progress:
    """After a step: how far the run is, and what it sees."""

    step: int  # steps done
    steps: int
    loss: float | None  # None if the task names no loss
    seconds: float  # of the last step, with its checkpoint
    checkpoint: int | None  # log entry just written, or None


@dataclass(frozen=True)
class Outcome:
    """What a run has reached."""

    step: int  # steps done and logged
    log_size: int
    log_root: bytes
    state_root: bytes  # of the last logged state


class Trainer:
    """Runs a task in a folder.

    Args:
        task: the validated task.
        folder: for checkpoints and the log; a run that was interrupted there is continued.
        executor: computes the nodes; default: all threads, best instruction set.
        hooks: what a dishonest run changes; default: nothing.
    """

    def __init__(
        self,
        task: Task,
        folder: Path,
        executor: Executor | None = None,
        hooks: Hooks | None = None,
    ) -> None:
        self.task = task
        self.folder = folder
        self.executor = Executor() if executor is None else executor
        self._runner = StepRunner(task.program, self.executor, hooks)

    def run(
        self, until: int | None = None, progress: Callable[[Progress], None] | None = None
    ) -> Outcome:
        """Train up to the last checkpoint at or before step ``until`` (default: to the end).

        Raises:
            CheckpointError: the folder holds another task's run.
            ValueError: a state differs from what the log committed to earlier.
        """
        until = self.task.manifest.steps if until is None else until
        with CheckpointFolder(self.task, self.folder) as checkpoints:
            index, state = checkpoints.latest()
            while (
                index < self.task.manifest.segments
                and self.task.checkpoint_step(index + 1) <= until
            ):
                index += 1
                for step in self.task.segment_steps(index):
                    start = time.perf_counter()
                    state = self._runner.run(step, state, self.task.data, consume=True)
                    done = step + 1 == self.task.checkpoint_step(index)
                    if done:
                        root = root_of_leaves(roots_of(state, self.executor.threads))
                        checkpoints.write(index, state, root)
                    if progress is not None:
                        loss = self.task.manifest.loss_state
                        progress(
                            Progress(
                                step=step + 1,
                                steps=self.task.manifest.steps,
                                loss=None if loss is None else float(state[loss].reshape(-1)[0]),
                                seconds=time.perf_counter() - start,
                                checkpoint=index if done else None,
                            )
                        )
            log = checkpoints.log
            return Outcome(
                self.task.checkpoint_step(log.size - 1),
                log.size,
                log.root,
                log.entry(log.size - 1),
            )
