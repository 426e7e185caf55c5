"""Trains a task with checkpoints; stopped or killed anywhere, it goes on to the same roots."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from protocol.kernels.devices import AnyExecutor
from protocol.kernels.executor import Executor
from protocol.merkle import root_of_leaves
from protocol.training.checkpoints import CheckpointFolder
from protocol.training.device_step import runner_for
from protocol.training.hooks import Hooks
from protocol.training.task import Task
from protocol.training.tensors import Tensor, roots_of


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
    stopped: int | None = None  # steps done when it was told to stop; None: it went all the way


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
        executor: AnyExecutor | None = None,
        hooks: Hooks | None = None,
    ) -> None:
        self.task = task
        self.folder = folder
        self.executor = Executor() if executor is None else executor
        self._runner = runner_for(task.program, self.executor, hooks)

    def run(
        self,
        until: int | None = None,
        progress: Callable[[Progress], None] | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> Outcome:
        """Train up to the last checkpoint at or before step ``until`` (default: to the end).

        Args:
            until: steps.
            progress: called after each step.
            stop: asked before each step; True ends the run there. What was done since the last
                checkpoint is kept, and the next run goes on from it.

        Raises:
            CheckpointError: the folder holds another task's run.
            ValueError: a state differs from what the log committed to earlier.
            OSError: a state cannot be written, e.g. because the disk is full; what was written
                before is whole.
        """
        until = self.task.manifest.steps if until is None else until
        with CheckpointFolder(self.task, self.folder) as checkpoints:
            done, state = checkpoints.resume()
            state = self._runner.adopt(state)
            resumed, stopped = done, False
            while not stopped and self._next_checkpoint(done) <= until:
                stopped = stop is not None and stop()
                if not stopped:
                    state = self._step(done, state, checkpoints, progress)
                    done += 1
            if stopped and done > resumed and not self._is_checkpoint(done):
                checkpoints.write_partial(done, state)
            log = checkpoints.log
            return Outcome(
                self.task.checkpoint_step(log.size - 1),
                log.size,
                log.root,
                log.entry(log.size - 1),
                done if stopped else None,
            )

    def _step(
        self,
        step: int,
        state: Sequence[Tensor],
        checkpoints: CheckpointFolder,
        progress: Callable[[Progress], None] | None,
    ) -> Sequence[Tensor]:
        """The state after step ``step``, on disk if it is a checkpoint."""
        start = time.perf_counter()
        state = self._runner.run(step, state, self.task.data, consume=True)
        index = None
        if self._is_checkpoint(step + 1):
            index = -(-(step + 1) // self.task.manifest.interval)
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
                    checkpoint=index,
                )
            )
        return state

    def _is_checkpoint(self, step: int) -> bool:
        """Whether the state after ``step`` steps is in the log."""
        return step % self.task.manifest.interval == 0 or step == self.task.manifest.steps

    def _next_checkpoint(self, step: int) -> float:
        """Steps done at the first checkpoint after ``step`` steps; infinite after the last."""
        manifest = self.task.manifest
        if step == manifest.steps:
            return math.inf
        return min((step // manifest.interval + 1) * manifest.interval, manifest.steps)
