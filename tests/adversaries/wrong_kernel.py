"""A kernel that is wrong in one element, by one unit in the last place, in one step.

The solver trains by fused kernels as everybody does. Its program has one node more, which takes
what the kernel computed, adds the unit, and stands where the kernel's output stood: in a register
if that is where it was, in the memory of a state tensor if it was written there. In a dispute the
solver defends what came out, node by node.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from protocol.kernels import Executor
from protocol.kernels.schedule import Schedule
from protocol.program.builder import FoldBuilder
from protocol.program.isa import Type
from protocol.program.node import Binding, Node, Operand, OperandKind, Program
from protocol.training import Hooks, StepRunner, Task
from protocol.training.replay import Replay
from protocol.training.tensors import Tensor


@dataclass(frozen=True)
class Lie:
    """Where the kernel is wrong; ``load``: the load that its defender blames, or none.

    ``term`` is the first of the fold that its defender has wrong; by default the last.
    """

    step: int
    node: int
    element: int
    load: int | None = None
    term: int = -1


class WrongKernel(Hooks):
    """The same node by node: an element's last bits, and the fold that ends at it."""

    def __init__(self, lie: Lie) -> None:
        self._lie = lie

    def node_output(self, step: int, node: int, output: Tensor) -> Tensor:
        """The output as the kernel writes it."""
        if (step, node) != (self._lie.step, self._lie.node):
            return output
        changed = output.copy()
        words = changed.reshape(-1).view(np.uint8 if output.itemsize == 1 else np.uint32)
        words[self._lie.element] += 1
        return changed

    def fold_rows(
        self, step: int, node: int, element: int, rows: NDArray[np.uint32]
    ) -> NDArray[np.uint32]:
        """A fold that ends in the lie, and reads it if the lie is a load."""
        if (step, node, element) != (self._lie.step, self._lie.node, self._lie.element):
            return rows
        changed = rows.copy()
        changed[self._lie.term :, 0] += 1
        if self._lie.load is not None:
            changed[self._lie.term, 1 + self._lie.load] += 1
        return changed


class WrongRunner(StepRunner):
    """Whole steps by a schedule with the wrong kernel in it."""

    def __init__(self, task: Task, lie: Lie, executor: Executor) -> None:
        super().__init__(task.program, executor, WrongKernel(lie))
        self.fused = StepRunner(_with_lie(task, lie), executor)

    def run(
        self,
        step: int,
        state: Sequence[Tensor],
        data: Sequence[Tensor],
        observe: Callable[[int, Tensor], None] | None = None,
        *,
        consume: bool = False,
    ) -> Sequence[Tensor]:
        """The state after the step, and the same whether it is watched or not."""
        if observe is None:
            return self.fused.run(step, state, data, consume=consume)
        return super().run(step, state, data, observe)


class WrongReplay(Replay):
    """The run of a solver whose kernel is wrong."""

    def __init__(self, task: Task, lie: Lie, executor: Executor) -> None:
        super().__init__(task, executor=executor)
        self._runner = WrongRunner(task, lie, executor)


def schedule_with(task: Task, lie: Lie, executor: Executor) -> tuple[Schedule, int]:
    """How the wrong kernel runs, and its node there; the node after it is the lie."""
    return Schedule(_with_lie(task, lie), executor), lie.node


def first_that_matters(task: Task, step: int, node: int, load: int | None = None) -> Lie:
    """The lie about the last element of a node that changes the state after the step."""
    honest = Replay(task, executor=Executor(1))
    before = honest.state(step)
    after = [tensor.tobytes() for tensor in honest.state(step + 1)]
    for element in reversed(range(task.program.nodes[node].numel)):
        lie = Lie(step, node, element, load)
        lying = StepRunner(task.program, Executor(1), WrongKernel(lie))
        if [tensor.tobytes() for tensor in lying.run(step, before, task.data)] != after:
            return lie
    raise LookupError(f"no last bit of node {node} matters in step {step}")


def _with_lie(task: Task, lie: Lie) -> Program:
    """The program with a node after the lie's that everything reads in its place."""
    program = task.program

    def moved(kind: OperandKind, index: int) -> int:
        return index + (kind is OperandKind.NODE and index >= lie.node)

    def renumbered(node: Node) -> Node:
        operands = (replace(o, index=moved(o.kind, o.index)) for o in node.operands)
        return replace(node, operands=tuple(operands))

    step = next(i for i, spec in enumerate(task.manifest.state) if spec.name == "step")
    before, after = program.nodes[: lie.node + 1], program.nodes[lie.node + 1 :]
    false = _false_node(program.nodes[lie.node], program.bindings[step], step, lie)
    return Program(
        (*before, false, *map(renumbered, after)),
        tuple(replace(b, index=moved(b.kind, b.index)) for b in program.bindings),
    )


def _false_node(true: Node, step: Binding, slot: int, lie: Lie) -> Node:
    """Its operand, but for one element in one step."""
    b = FoldBuilder(true.dtype, true.shape)
    value = b.load(
        Operand(OperandKind.NODE, lie.node, true.dtype, true.shape),
        [b.out(axis).axis(size, stride) for axis, size, stride in _axes(true.shape)],
    )
    now = b.load(Operand(OperandKind.STATE, slot, step.dtype, step.shape))
    here = b.ieq(b.flat_position(), b.i32(lie.element))
    wrong = b.iand(here, b.ieq(now, b.i32(lie.step)))
    if true.dtype.type is Type.F:
        return b.finish(b.from_bits(b.iadd(b.bits(value), wrong)))
    return b.finish(b.iadd(value, wrong))


def _axes(shape: Sequence[int]) -> list[tuple[int, int, int]]:
    """(axis, size, stride) of a row-major tensor."""
    found, stride = [], 1
    for axis in reversed(range(len(shape))):
        found.append((axis, shape[axis], stride))
        stride *= shape[axis]
    return found
