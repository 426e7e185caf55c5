"""What can be laid side by side of a run: a `Record` is an execution as far as it was written down.

A record is read only, and may come from a stranger: everything is checked before it counts. What it
does not hold it withholds. `RunFolder` holds checkpoints; `receipt.Receipt` holds deeper trees.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

from protocol.dispute.execution import Withheld
from protocol.program.canonical import encode_program
from protocol.program.manifest import Manifest
from protocol.program.node import Node, Program
from protocol.training.checkpoints import LOG, CheckpointError, checkpoint_path, read_checkpoint
from protocol.training.task import Task, segment_steps
from protocol.training.tensors import Tensor, roots_of

PAGE: Final = "docs/DIFF.md"
TASK_FOLDER: Final = "task"
"""Where a run keeps its own copy of the task."""


class RecordError(ValueError):
    """A run or receipt that cannot be used, in four parts for people."""

    def __init__(self, what: str, why: str, todo: str, read: str = PAGE) -> None:
        super().__init__(f"{what}: {why}; {todo}")
        self.what = what
        self.why = why
        self.todo = todo
        self.read = read


class Record:
    """A run as far as it was written down: an `Execution` that withholds the rest.

    Args:
        path: its folder.
        manifest: of its task.
        program: of its task.
        log: state roots at the checkpoints, from entry 0; fewer than M + 1 if it is not done.
    """

    def __init__(
        self, path: Path, manifest: Manifest, program: Program, log: Sequence[bytes]
    ) -> None:
        self.path = path
        self.manifest = manifest
        self.program = program
        self.log = list(log)
        if not 1 <= len(log) <= manifest.segments + 1:
            raise RecordError(
                f"the log of {path} cannot be that of its task",
                f"it has {len(log)} entries, the task has 1 to {manifest.segments + 1}",
                "name the folder of the task that it is a run of",
            )
        if log[0] != manifest.initial_state_root:
            raise RecordError(
                f"{path} is a run of another task",
                f"its log begins with 0x{log[0].hex()}, the task's initial state is "
                f"0x{manifest.initial_state_root.hex()}",
                "name the folder of its task with --task",
            )

    @property
    def steps(self) -> int:
        """Number of steps T."""
        return self.manifest.steps

    @property
    def interval(self) -> int:
        """Steps per checkpoint C."""
        return self.manifest.interval

    def roots(self) -> list[bytes]:
        """State roots of the log as far as it is known."""
        return list(self.log)

    def log_leaves(self) -> list[bytes]:
        """State roots of the log as far as it is known."""
        return list(self.log)

    def state(self, index: int) -> Sequence[Tensor]:
        """The state of log entry ``index``. CheckpointError if it is not held."""
        raise CheckpointError(f"{self.path} does not hold checkpoint {index}")

    def segment_leaves(self, segment: int) -> list[bytes]:
        """State roots after each step of a segment; of one step, the log says it."""
        if segment < len(self.log) and len(segment_steps(self.manifest, segment)) == 1:
            return [self.log[segment]]
        raise Withheld(f"segment {segment}")

    def state_leaves(self, step: int) -> list[bytes]:
        """Tensor roots of a state."""
        raise Withheld(f"the state after {step} steps")

    def state_tensor(self, step: int, index: int) -> bytes:
        """Stored bytes of a state tensor."""
        raise Withheld(f"state tensor {index} after {step} steps")

    def trace_leaves(self, step: int) -> list[bytes]:
        """Tensor roots of the node outputs of a step."""
        raise Withheld(f"the trace of step {step}")

    def node_output(self, step: int, node: int) -> bytes:
        """Stored bytes of a node's output."""
        raise Withheld(f"node {node} of step {step}")

    def fold_leaves(self, step: int, node: int, element: int) -> list[bytes]:
        """Leaves of one element's fold."""
        raise Withheld(f"the fold of element {element} of node {node} in step {step}")

    def data_tensor(self, index: int) -> bytes:
        """No record holds the data; they are the task's."""
        raise Withheld(f"data tensor {index}")

    def data_leaves(self) -> list[bytes]:
        """No record holds the data; they are the task's."""
        raise Withheld

    def program_leaves(self) -> list[bytes]:
        """Canonical bytes of every node, then of every state binding."""
        return encode_program(self.program)

    def node(self, index: int) -> Node:
        """Descriptor of a node."""
        return self.program.nodes[index]

    def checkpoint_at(self, step: int) -> int | None:
        """The log entry of the state after ``step`` steps; None if none is logged there."""
        index = -(-step // self.interval)
        is_one = step % self.interval == 0 or step == self.steps
        return index if is_one and index < len(self.log) else None


class RunFolder(Record):
    """The checkpoints of a run of ``task`` in ``path``, which are only looked at.

    Attributes:
        damages: what is wrong with checkpoints that were asked for and do not count.
    """

    def __init__(self, path: Path, task: Task) -> None:
        super().__init__(
            path, task.manifest, task.program, read_log(path / LOG, task.manifest.segments + 1)
        )
        self.damages: dict[int, str] = {}
        self._task = task
        self._last: tuple[int, Sequence[Tensor]] = (0, task.state)

    def state(self, index: int) -> Sequence[Tensor]:
        """The state of log entry ``index``. CheckpointError if it is missing or damaged."""
        if index == 0:
            return self._task.state
        if not 0 < index < len(self.log):
            raise CheckpointError(f"checkpoint {index}: the log has {len(self.log)} entries")
        if self._last[0] != index:
            if not checkpoint_path(self.manifest, self.path, index).is_file():
                raise CheckpointError(f"{self.path} does not hold checkpoint {index}")
            try:
                state = read_checkpoint(self.manifest, self.path, index, self.log[index])
            except CheckpointError as error:
                self.damages[index] = str(error)
                raise
            self._last = (index, state)
        return self._last[1]

    def state_leaves(self, step: int) -> list[bytes]:
        """Tensor roots of a checkpointed state."""
        return roots_of(self._held(step))

    def state_tensor(self, step: int, index: int) -> bytes:
        """Stored bytes of a tensor of a checkpointed state."""
        return self._held(step)[index].tobytes()

    def _held(self, step: int) -> Sequence[Tensor]:
        index = self.checkpoint_at(step)
        if index is None:
            raise Withheld
        try:
            return self.state(index)
        except CheckpointError as error:
            raise Withheld from error


def read_log(path: Path, most: int) -> list[bytes]:
    """The entries of a checkpoint log in a file that may be a stranger's; nothing is written.

    Raises:
        RecordError: no such file, not a log, or more than ``most`` entries.
    """

    def refused(why: str, todo: str = "copy the run's folder again") -> RecordError:
        return RecordError(f"{path} is not a checkpoint log", why, todo)

    if not path.is_file():
        raise refused("there is no such file", "name the folder of a run, or of a receipt")
    try:
        with sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro", uri=True) as database:
            database.execute("PRAGMA trusted_schema = OFF")
            # A stranger's schema may hide any computation behind the name.
            database.set_progress_handler(lambda: 1, 1_000_000 + 1_000 * most)
            kinds = database.execute(
                "SELECT type, sql LIKE 'CREATE TABLE%' FROM sqlite_schema WHERE name = 'leaf'"
            ).fetchall()
            if kinds != [("table", 1)]:
                raise refused("it has no table of leaves")
            rows = database.execute(
                "SELECT id, substr(entry, 1, 33) FROM leaf ORDER BY id LIMIT ?", (most + 1,)
            ).fetchall()
        database.close()
    except sqlite3.Error as error:
        raise refused(f"SQLite says: {error}") from error
    if len(rows) > most:
        raise refused(f"it has more than {most} entries, the most that its task can have")
    for index, (number, entry) in enumerate(rows):
        if number != index + 1 or not isinstance(entry, bytes) or len(entry) != 32:
            raise refused(f"entry {index} is not a root of 32 bytes in its place")
    if not rows:
        raise refused("it is empty", "train first: `pinpoint train run`")
    return [entry for _, entry in rows]
