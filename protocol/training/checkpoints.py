"""Checkpoints of a run: a safetensors file each, and the log of state roots that commits to them.

Entry i of the log is the root of the state after min(i * C, T) steps. The file of a checkpoint is
on disk before its root is in the log; so whatever is logged can be served and resumed from. The
initial state is the task's own and has no file. A run that was stopped between two checkpoints
leaves a partial state beside them, see `partials`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

from protocol.merkle import root_of_leaves
from protocol.merkle.log import CheckpointLog
from protocol.program.manifest import Manifest
from protocol.training.partials import Partials
from protocol.training.task import Task, checkpoint_step
from protocol.training.tensors import Tensor, TensorError, read_tensors, roots_of, write_tensors

LOG: Final = "log.sqlite"


class CheckpointError(ValueError):
    """A checkpoint is missing or is not the state that the log commits to."""


class Checkpoints(Protocol):
    """Where a replay finds states to start from."""

    def roots(self) -> list[bytes]:
        """State roots of the log as far as it is known, from entry 0."""

    def state(self, index: int) -> Sequence[Tensor]:
        """The state of log entry ``index``. CheckpointError if it is not to be had."""


class InitialState:
    """Knows only the task: everything else is computed."""

    def __init__(self, task: Task) -> None:
        self._task = task

    def roots(self) -> list[bytes]:
        """The root of the initial state alone."""
        return [self._task.manifest.initial_state_root]

    def state(self, index: int) -> Sequence[Tensor]:
        """The initial state; there is no other."""
        if index != 0:
            raise CheckpointError(f"checkpoint {index} is not known, only the initial state is")
        return self._task.state


def checkpoint_path(manifest: Manifest, folder: Path, index: int) -> Path:
    """The file of log entry ``index`` of a run in ``folder``; named by the steps done."""
    return folder / f"step-{checkpoint_step(manifest, index):012d}.safetensors"


def read_checkpoint(
    manifest: Manifest, folder: Path, index: int, logged: bytes
) -> Sequence[Tensor]:
    """The state of log entry ``index``, from its file. CheckpointError unless it is ``logged``."""
    path = checkpoint_path(manifest, folder, index)
    try:
        state = read_tensors(path, "state", manifest.state)
    except TensorError as error:
        raise CheckpointError(f"checkpoint {index}: {error}") from error
    root = root_of_leaves(roots_of(state))
    if root != logged:
        raise CheckpointError(
            f"{path} holds the state 0x{root.hex()}, the log commits to 0x{logged.hex()}: "
            "the file was changed"
        )
    return state


class CheckpointFolder:
    """The checkpoints of a run of ``task`` in ``folder``, which is made if need be."""

    def __init__(self, task: Task, folder: Path) -> None:
        self.task = task
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for unfinished in folder.glob("*.tmp"):  # what a crash left behind
            unfinished.unlink(missing_ok=True)
        self._partials = Partials(task, folder)
        try:
            self.log = CheckpointLog(folder / LOG)
        except (sqlite3.DatabaseError, ValueError) as error:
            raise CheckpointError(
                f"{folder / LOG} is not a checkpoint log ({error}): move it away, and the run is "
                "computed again"
            ) from error
        initial = task.manifest.initial_state_root
        try:
            self.log.record(0, initial)
        except ValueError as error:
            self.log.close()
            raise CheckpointError(
                f"{folder} holds a run of another task: its log begins with another initial state "
                f"than 0x{initial.hex()}; choose another folder"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the log; everything is on disk without it."""
        self.log.close()

    def path(self, index: int) -> Path:
        """The file of log entry ``index``; named by the steps done."""
        return checkpoint_path(self.task.manifest, self.folder, index)

    def roots(self) -> list[bytes]:
        """State roots of the log, from entry 0."""
        return [self.log.entry(index) for index in range(self.log.size)]

    def write(self, index: int, state: Sequence[Tensor], root: bytes) -> None:
        """Put a state on disk, then its root into the log.

        Raises:
            ValueError: the log holds another root at this index: the run was not deterministic, or
                the log belongs to another run.
        """
        if index > 0:
            write_tensors(self.path(index), "state", state)
        self.log.record(index, root)
        self._partials.remove()

    def write_partial(self, step: int, state: Sequence[Tensor]) -> None:
        """Keep the state after ``step`` steps, of a run that stops between two checkpoints."""
        self._partials.write(step, state, self.log.root)

    def state(self, index: int) -> Sequence[Tensor]:
        """The state that log entry ``index`` commits to, read from disk and compared with it.

        Raises:
            CheckpointError: not logged, missing, damaged, or another state.
        """
        if not 0 <= index < self.log.size:
            raise CheckpointError(f"checkpoint {index}: the log has {self.log.size} entries")
        if index == 0:
            return self.task.state
        return read_checkpoint(self.task.manifest, self.folder, index, self.log.entry(index))

    def latest(self) -> tuple[int, Sequence[Tensor]]:
        """The last log entry whose state is on disk whole, and that state.

        Only states that the log commits to count: a file that a crash left without its entry is
        computed again, not believed.
        """
        for index in range(self.log.size - 1, 0, -1):
            try:
                return index, self.state(index)
            except CheckpointError:
                continue
        return 0, self.task.state

    def resume(self) -> tuple[int, Sequence[Tensor]]:
        """Where to go on from, the partial state if it counts: (steps done, state)."""
        index, state = self.latest()
        done = self.task.checkpoint_step(index)
        # A damaged last checkpoint is made again first: it has to be served.
        if self.task.manifest.segments > index == self.log.size - 1:
            within = range(done + 1, self.task.checkpoint_step(index + 1))
            return self._partials.latest(within, self.log.root) or (done, state)
        return done, state
