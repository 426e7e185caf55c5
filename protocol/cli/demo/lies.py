"""What the dishonest do: each lie is one small change of an honest solver."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol.agents.conduct import Conduct
from protocol.dispute.execution import Execution, Opaque
from protocol.dispute.state import DisputeState, Position
from protocol.dispute.trees import PartialTensor, tensor_root_of
from protocol.merkle import CHUNK_BYTES
from protocol.program.node import OperandKind
from protocol.training.hooks import Hooks
from protocol.training.replay import Replay
from protocol.training.step import StepRunner
from protocol.training.task import Task
from protocol.training.tensors import Tensor, roots_of


@dataclass(frozen=True)
class Target:
    """Where a lie is told: an element of a weight gradient, and one that matters.

    A difference of one ulp in a gradient can vanish in the rounding of the updates that follow.
    Then the next checkpoint, and with it all that is sold, is the honest one; a liar that wants to
    change anything picks another element.
    """

    step: int
    node: int
    element: int

    @staticmethod
    def of(task: Task) -> Target:
        """The first element of a weight gradient whose last bit changes a checkpoint in mid-run."""
        shapes = {
            tensor.shape
            for spec, tensor in zip(task.manifest.state, task.state, strict=True)
            if spec.name.startswith("model.") and tensor.ndim == 2
        }
        for index, node in enumerate(task.program.nodes):
            backward = "bwd" in task.manifest.origins[index]
            if backward and node.shape in shapes and node.terms > 1:
                return _first_that_matters(task, task.manifest.steps // 2 + 1, index)
        raise LookupError("the program has no weight gradient")


_TARGETS: dict[tuple[bytes, int, int], Target] = {}


def _first_that_matters(task: Task, step: int, node: int) -> Target:
    key = (task.manifest.root, step, node)
    if key not in _TARGETS:
        _TARGETS[key] = _search(task, step, node)
    return _TARGETS[key]


def _search(task: Task, step: int, node: int) -> Target:
    honest = Replay(task)
    before = honest.state(step)
    checkpoint = next(end for end in range(step + 1, task.manifest.steps + 1) if _logged(task, end))
    for element in range(task.program.nodes[node].numel // 2, task.program.nodes[node].numel):
        target = Target(step, node, element)
        runner = StepRunner(task.program, hooks=OneUlp(target))
        state = before
        for at in range(step, checkpoint):
            state = runner.run(at, state, task.data)
        if roots_of(state) != honest.state_leaves(checkpoint):
            return target
    raise LookupError(f"no last bit of node {node} matters in step {step}")


def _logged(task: Task, step: int) -> bool:
    return step % task.manifest.interval == 0 or step == task.manifest.steps


class OneUlp(Hooks):
    """Adds one unit in the last place to one element of one node in one step."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def node_output(self, step: int, node: int, output: Tensor) -> Tensor:
        """The output with the lie."""
        if (step, node) != (self._target.step, self._target.node):
            return output
        changed = output.copy()
        words = changed.reshape(-1).view("<u4")
        words[self._target.element] += 1
        return changed

    def fold_rows(
        self, step: int, node: int, element: int, rows: NDArray[np.uint32]
    ) -> NDArray[np.uint32]:
        """A fold that ends in the lie: its last accumulator is what the output says."""
        if (step, node, element) != (self._target.step, self._target.node, self._target.element):
            return rows
        changed = rows.copy()
        changed[-1, 0] += 1
        return changed


class AnotherBatch(Hooks):
    """Trains one step on the batch of the step after it."""

    def __init__(self, step: int, order: int) -> None:
        self._step = step
        self._order = order

    def data_tensor(self, step: int, index: int, tensor: Tensor) -> Tensor:
        """The order of examples, with the lie."""
        if (step, index) != (self._step, self._order):
            return tensor
        changed = tensor.copy()
        changed[step] = tensor[(step + 1) % len(tensor)]
        return changed


class SkippedInterval(Hooks):
    """Copies the state through one checkpoint interval instead of training."""

    def __init__(self, steps: range) -> None:
        self._steps = steps
        self._kept: dict[int, Tensor] = {}

    def next_state(self, step: int, index: int, tensor: Tensor) -> Tensor:
        """The state of the last step before the interval."""
        if step == self._steps.start - 1:
            self._kept[index] = tensor.copy()
        return self._kept[index].copy() if step in self._steps else tensor


class AnotherTensor(Hooks):
    """Commits a tensor as new state that is not the one which its binding names."""

    def __init__(self, step: int, index: int) -> None:
        self._step = step
        self._index = index

    def next_state(self, step: int, index: int, tensor: Tensor) -> Tensor:
        """The tensor upside down."""
        if (step, index) != (self._step, self._index):
            return tensor
        return np.ascontiguousarray(tensor[::-1])


class Wrapped:
    """An execution seen through a lie; what the lie does not touch is the run's own."""

    def __init__(self, execution: Execution) -> None:
        self._execution = execution

    def __getattr__(self, name: str) -> Any:
        return getattr(self._execution, name)


class InventedLog(Wrapped):
    """Checkpoints between the first and the last are hashes of nothing."""

    def log_leaves(self) -> list[bytes]:
        """The log with its invented entries."""
        leaves = self._execution.log_leaves()
        return [leaves[0], *(_thin_air("log", i) for i in range(1, len(leaves) - 1)), leaves[-1]]

    def segment_leaves(self, segment: int) -> list[bytes]:
        """Ends where the invented log says."""
        return [*self._execution.segment_leaves(segment)[:-1], self.log_leaves()[segment]]


class InventedSegment(Wrapped):
    """All states inside a segment but the last are hashes of nothing."""

    def segment_leaves(self, segment: int) -> list[bytes]:
        """The segment with its invented leaves."""
        leaves = self._execution.segment_leaves(segment)
        return [*(Opaque(_thin_air("segment", i)) for i in range(len(leaves) - 1)), leaves[-1]]


class InventedTrace(Wrapped):
    """The outputs of all nodes are hashes of nothing."""

    def trace_leaves(self, step: int) -> list[bytes]:
        """The invented trace."""
        count = len(self._execution.trace_leaves(step))
        return [Opaque(_thin_air("trace", i)) for i in range(count)]


class InventedTensor(Wrapped):
    """The chunks of the false node's output are hashes of nothing."""

    def __init__(self, execution: Execution, target: Target) -> None:
        super().__init__(execution)
        self._target = target

    def node_output(self, step: int, node: int) -> bytes:
        """The output, of which nobody has the bytes."""
        stored = self._execution.node_output(step, node)
        if (step, node) != (self._target.step, self._target.node):
            return stored
        chunks = range(-(-len(stored) // CHUNK_BYTES))
        return PartialTensor(stored, {i: Opaque(_thin_air("tensor", i)) for i in chunks})

    def trace_leaves(self, step: int) -> list[bytes]:
        """The trace over the invented output."""
        leaves = list(self._execution.trace_leaves(step))
        if step == self._target.step:
            leaves[self._target.node] = tensor_root_of(self.node_output(step, self._target.node))
        return leaves


class InventedFold(Wrapped):
    """The terms of the false element's fold but the last are hashes of nothing."""

    def fold_leaves(self, step: int, node: int, element: int) -> list[bytes]:
        """The fold with its invented leaves."""
        leaves = self._execution.fold_leaves(step, node, element)
        return [*(Opaque(_thin_air("fold", i)) for i in range(len(leaves) - 1)), leaves[-1]]


def one_ulp(task: Task) -> Conduct:
    """Adds one ulp to one element of one weight gradient in one middle step."""
    return Conduct(hooks=OneUlp(Target.of(task)))


def wrong_data(task: Task) -> Conduct:
    """Uses another batch in one step."""
    order = [spec.name for spec in task.manifest.data].index("order")
    return Conduct(hooks=AnotherBatch(Target.of(task).step, order))


def lazy(task: Task) -> Conduct:
    """Skips one checkpoint interval and copies the state."""
    return Conduct(hooks=SkippedInterval(task.segment_steps(task.manifest.segments // 2 + 1)))


def bad_binding(task: Task) -> Conduct:
    """Computes honestly, commits another tensor as new state."""
    index = next(
        q
        for q, (spec, binding) in enumerate(
            zip(task.manifest.state, task.program.bindings, strict=True)
        )
        if spec.name.startswith("model.") and binding.kind is OperandKind.NODE
    )
    return Conduct(hooks=AnotherTensor(Target.of(task).step, index))


def withholder(task: Task) -> Conduct:
    """Serves no leaves off chain."""
    return Conduct(hooks=OneUlp(Target.of(task)), serves=False)


def silent(task: Task) -> Conduct:
    """Stops answering in the middle of a dispute."""

    def answers(position: Position) -> bool:
        return position.state is not DisputeState.NEED_FOLD

    return Conduct(hooks=OneUlp(Target.of(task)), answers=answers)


def random_hashes(task: Task, level: str) -> Conduct:
    """Commits roots of nothing at one level: log, segment, trace, tensor or fold."""
    target = Target.of(task)

    def invent(execution: Execution) -> Execution:
        wrap: dict[str, Callable[[Execution], Any]] = {
            "log": InventedLog,
            "segment": InventedSegment,
            "trace": InventedTrace,
            "tensor": lambda run: InventedTensor(run, target),
            "fold": InventedFold,
        }
        lying: Execution = wrap[level](execution)
        return lying

    # A log that is invented afterwards is not consistent with reports of the trained one.
    return Conduct(hooks=OneUlp(target), commit=invent, reports=level != "log")


def _thin_air(what: str, index: int) -> bytes:
    """32 bytes of which nobody knows a preimage."""
    return hashlib.sha256(f"thin air: {what} {index}".encode()).digest()
