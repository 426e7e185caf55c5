"""Writes receipts: executes segments of a run again and records their trees.

Each segment is computed from the checkpoint before it, never read from the one after it, and must
end in what the run's log says: a receipt tells what this machine computes, or there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from protocol.kernels.devices import AnyExecutor
from protocol.merkle import root_of_leaves
from protocol.program.node import numel
from protocol.storage import ContentStore
from protocol.training.checkpoints import CheckpointError, Checkpoints
from protocol.training.contents import Contents, FoldPlace
from protocol.training.device_step import runner_for
from protocol.training.hooks import Hooks
from protocol.training.receipt import FILE, Receipt
from protocol.training.recorded import RecordError
from protocol.training.replay import Replay
from protocol.training.task import Task
from protocol.training.tensors import Tensor, write_bytes

Place = TypeVar("Place", int, FoldPlace)


class NotReproduced(Exception):
    """This machine does not compute what the run's log says: one of them is wrong.

    Attributes:
        segment: where.
        logged: state root of the log.
        computed: what this machine has instead.
    """

    def __init__(self, segment: int, logged: bytes, computed: bytes) -> None:
        super().__init__(
            f"segment {segment} ends in 0x{computed.hex()} on this machine, the log says "
            f"0x{logged.hex()}"
        )
        self.segment = segment
        self.logged = logged
        self.computed = computed


class Until:
    """The checkpoints up to entry ``last``: what comes after must be computed."""

    def __init__(self, checkpoints: Checkpoints, last: int) -> None:
        self._checkpoints = checkpoints
        self._last = last

    def roots(self) -> list[bytes]:
        """State roots up to the last one."""
        return self._checkpoints.roots()[: self._last + 1]

    def state(self, index: int) -> Sequence[Tensor]:
        """The state of an entry that is not after the last one. CheckpointError."""
        if index > self._last:
            raise CheckpointError(f"checkpoint {index} has to be computed")
        return self._checkpoints.state(index)


class Recorder:
    """Adds to the receipt in ``folder``, or begins one.

    Args:
        task: the run's task.
        checkpoints: the run: its log, and states to start from.
        folder: of the receipt.
        executor: computes the nodes.
        hooks: what a dishonest run changed; default: nothing.

    Raises:
        RecordError: the folder holds a receipt of another run, or a damaged one.
    """

    def __init__(
        self,
        task: Task,
        checkpoints: Checkpoints,
        folder: Path,
        executor: AnyExecutor | None = None,
        hooks: Hooks | None = None,
    ) -> None:
        self._task = task
        self._checkpoints = checkpoints
        self._folder = folder
        self._executor = executor
        self._hooks = hooks
        self._log = checkpoints.roots()
        self._replay: tuple[int, Replay] | None = None
        begun = Contents(task.manifest.root, root_of_leaves(self._log), len(self._log))
        self.contents = begun
        if (folder / FILE).exists():
            self.contents = Receipt(folder).contents
            for what in ("manifest_root", "log_root"):
                old, new = (getattr(c, what) for c in (self.contents, begun))
                if old != new:
                    raise RecordError(
                        f"{folder} holds a receipt of another run",
                        f"its {what} is 0x{old.hex()}, this run's 0x{new.hex()}",
                        "name another folder with --out",
                    )
        self._store = ContentStore(folder)

    def record_segment(self, segment: int) -> bytes:
        """Record the state roots after each step of a segment, and the states at both ends.

        Returns:
            The segment root.

        Raises:
            NotReproduced: this machine computes something else than the log says.
            RecordError: the run has not come that far.
        """
        replay = self._execute(segment)
        steps = self._task.segment_steps(segment)
        for step in (steps.start, steps.stop):
            self._put_state(replay, step)
        root = self._store.put_leaves(replay.segment_leaves(segment))
        self._add(segments=_merged(self.contents.segments, segment, root))
        return root

    def record_step(self, step: int) -> bytes:
        """Record all node outputs of a step, and the states around it; the trace root."""
        segment = step // self._task.manifest.interval + 1
        if not 0 <= step < self._task.manifest.steps:
            raise RecordError(
                f"there is no step {step}",
                f"the task has the steps 0 to {self._task.manifest.steps - 1}",
                "name one of them with --step",
            )
        self.record_segment(segment)
        replay, leaves = self._execute(segment), []

        def record(_node: int, output: Tensor) -> None:
            leaves.append(self._store.put_tensor(output.tobytes()))

        runner = runner_for(self._task.program, self._executor, self._hooks)
        runner.run(step, replay.state(step), self._task.data, record)
        for at in (step, step + 1):
            self._put_state(replay, at)
        root = self._store.put_leaves(leaves)
        self._add(steps=_merged(self.contents.steps, step, root))
        return root

    def record_fold(self, step: int, node: int, element: int) -> bytes:
        """Record the fold of one element, with its step; the fold root."""
        nodes = self._task.program.nodes
        if not 0 <= node < len(nodes) or not 0 <= element < numel(nodes[node].shape):
            has = f"nodes 0 to {len(nodes) - 1}"
            if 0 <= node < len(nodes):
                has = f"elements 0 to {numel(nodes[node].shape) - 1} in node {node}"
            raise RecordError(
                f"there is no element {element} of node {node}",
                f"the task has {has}",
                "name a node, and an element of its flat output, with --fold NODE:ELEMENT",
            )
        self.record_step(step)
        replay = self._execute(step // self._task.manifest.interval + 1)
        root = self._store.put_leaves(replay.fold_leaves(step, node, element))
        self._add(folds=_merged(self.contents.folds, (step, node, element), root))
        return root

    def _execute(self, segment: int) -> Replay:
        """The run, executed through a segment from its start."""
        if self._replay is not None and self._replay[0] == segment:
            return self._replay[1]
        if not 1 <= segment < len(self._log):
            raise RecordError(
                f"segment {segment} cannot be recorded",
                f"the run has finished the segments 1 to {len(self._log) - 1}",
                "name one of them, or train on: `pinpoint train run`",
            )
        until = Until(self._checkpoints, segment - 1)
        replay = Replay(self._task, until, self._executor, self._hooks)
        start = self._task.segment_steps(segment).start
        ends = [root_of_leaves(replay.state_leaves(start)), replay.segment_leaves(segment)[-1]]
        for index, root in zip((segment - 1, segment), ends, strict=True):
            if root != self._log[index]:
                raise NotReproduced(index, self._log[index], root)
        self._replay = (segment, replay)
        return replay

    def _put_state(self, replay: Replay, step: int) -> None:
        for tensor in replay.state(step):
            self._store.put_tensor(tensor.tobytes())
        self._store.put_leaves(replay.state_leaves(step))

    def _add(self, **rows: object) -> None:
        """Write the table of contents; what it names is there already."""
        self.contents = replace(self.contents, **rows)  # type: ignore[arg-type]
        self._store.put(self._task.manifest.to_bytes())
        self._store.put_leaves(self._task.program_leaves)
        self._store.put_leaves(self._log)
        write_bytes(self._folder / FILE, self.contents.to_bytes())


def _merged(
    rows: tuple[tuple[Place, bytes], ...], place: Place, root: bytes
) -> tuple[tuple[Place, bytes], ...]:
    return tuple(sorted({**dict(rows), place: root}.items()))
