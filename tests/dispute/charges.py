"""What a node may be accused of: its arithmetic, and each way in which a load gets its word.

A charge names a lie of one unit in the last place, and the way in which it is judged. For each kind
of node and each way the dearest node is taken whose lie changes the state after the step. If none
does, the liar is wrong about a new state tensor too: then there is a claim to dispute, and the
dispute still finds the lie, which comes first.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from protocol.kernels import Executor
from protocol.kernels.executor import Compiled
from protocol.kernels.reference import evaluator
from protocol.program.cost import TreeSizes, arithmetic_gas, judgement_gas, judgement_of_load
from protocol.program.isa import DType
from protocol.program.node import LOADED_WORD, Load, Node, OperandKind
from protocol.training import StepRunner, Task
from protocol.training.hooks import Hooks
from protocol.training.replay import Replay
from protocol.training.tensors import Tensor
from tests.adversaries.wrong_kernel import Lie, WrongKernel

NODES, PLACES, TERMS = 12, 12, 64
"""Nodes of a kind, elements of a node and terms at each end of a fold that are tried."""


class Way(StrEnum):
    """What a judgement is about."""

    ARITHMETIC = "arithmetic"
    SKIPPED = "arithmetic of a skipped term"
    NODE = "load of a node's output"
    STATE = "load of state"
    DATA = "load of data"
    FILL = "load out of bounds"
    INDIRECT = "load at a loaded address"


READS = {OperandKind.NODE: Way.NODE, OperandKind.STATE: Way.STATE, OperandKind.DATA: Way.DATA}


@dataclass(frozen=True)
class Charge:
    """A lie, how it is judged, and what that may cost.

    Attributes:
        carried: whether the liar is wrong about the last bound node, too: the lie alone would leave
            the state as it is.
    """

    lie: Lie
    way: Way
    bound: int
    carried: bool = False


class Wrong(Hooks):
    """The lie of a charge; with ``carrier``, the first element of that node is wrong as well."""

    def __init__(self, lie: Lie, carrier: int | None) -> None:
        self._wrong = [WrongKernel(lie)]
        if carrier is not None:
            self._wrong.append(WrongKernel(Lie(lie.step, carrier, 0)))

    def node_output(self, step: int, node: int, output: Tensor) -> Tensor:
        """The output as the solver has it."""
        for wrong in self._wrong:
            output = wrong.node_output(step, node, output)
        return output

    def fold_rows(
        self, step: int, node: int, element: int, rows: NDArray[np.uint32]
    ) -> NDArray[np.uint32]:
        """The fold that the solver defends."""
        for wrong in self._wrong:
            rows = wrong.fold_rows(step, node, element, rows)
        return rows


def executor() -> Executor:
    """One that computes node by node at once."""
    return Executor(1, compiled=Compiled.NOTHING)


class Case:
    """An honest run of a task, and the charges that its nodes allow in its last step."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.step = task.manifest.steps - 1
        self.honest = Replay(task, executor=executor())
        self.sizes = TreeSizes.of(task.program, task.manifest.data)
        self._matters: dict[tuple[int, int], bool] = {}

    @cached_property
    def kinds(self) -> dict[str, list[int]]:
        """The nodes of each operator and direction."""
        found: dict[str, list[int]] = {}
        for node, origin in enumerate(self.task.manifest.origins):
            found.setdefault(origin.rpartition(": ")[2], []).append(node)
        return found

    def liar(self, charge: Charge) -> Replay:
        """The run of the solver that the charge is true of."""
        hooks = Wrong(charge.lie, self._carrier if charge.carried else None)
        return Replay(self.task, executor=executor(), hooks=hooks)

    def worst_bound(self) -> int:
        """The most gas that a judgement of any node may take."""
        return max(judgement_gas(node, self.sizes) for node in self.task.program.nodes)

    def charges(self, kind: str) -> Iterator[Charge]:
        """For each way in which nodes of the kind can be judged the dearest charge that tells.

        A dearer one that has to be carried comes beside it, or in its place if none tells.
        """
        for way in Way:
            yield from self._charges(kind, way)

    def _charges(self, kind: str, way: Way) -> list[Charge]:
        nodes = self.task.program.nodes
        possible = [
            (self._bound(nodes[node], load), node, load)
            for node in self.kinds[kind]
            for load in _loads_for(nodes[node], way)
        ]
        possible.sort(key=lambda each: -each[0])
        carried: list[Charge] = []
        for bound, node, load in possible[:NODES]:
            for element, term in self._places(node, load, way):
                charge = Charge(Lie(self.step, node, element, load, term), way, bound)
                if self._does_matter(node, element):
                    return [charge, *(each for each in carried if each.bound > bound)]
                if not carried and node < self._carrier and self._can_be_told(node, element):
                    carried = [Charge(charge.lie, way, bound, carried=True)]
        return carried

    def _bound(self, node: Node, load: int | None) -> int:
        if load is None:
            return arithmetic_gas(node)
        return judgement_of_load(node, node.loads[load], self.sizes)

    def _places(self, node: int, load: int | None, way: Way) -> Iterator[tuple[int, int]]:
        """Elements, and a term of each, that are judged in this way."""
        descriptor = self.task.program.nodes[node]
        rng = random.Random(node)
        for element in self._elements(node, rng):
            leaves = self.honest.fold_leaves(self.step, node, element)
            for term in _ends(len(leaves)):
                words = [int(word) for word in np.frombuffer(leaves[term], ">u4")[1:]]
                if _is_judged_so(descriptor, element, term, words, load, way):
                    yield element, term
                    break

    def _elements(self, node: int, rng: random.Random) -> list[int]:
        """Some at random of which a unit makes another number, and the outermost ones.

        Next to zero there are only subnormal numbers, next to infinity none; bytes are true or
        false, and nothing reads how true.
        """
        dtype = self.task.program.nodes[node].dtype
        stored = self.honest.node_output(self.step, node)
        values = np.frombuffer(stored, dtype.numpy)
        telling = values == 0 if dtype is DType.U8 else np.isfinite(values) & (values != 0)
        found = np.flatnonzero(telling)
        chosen = rng.sample(range(found.size), min(PLACES, found.size))
        last = self.task.program.nodes[node].numel - 1
        return [*(int(found[i]) for i in chosen), *sorted({0, last})]

    @cached_property
    def _carrier(self) -> int:
        """The last node that becomes state."""
        return max(b.index for b in self.task.program.bindings if b.kind is OperandKind.NODE)

    def _does_matter(self, node: int, element: int) -> bool:
        """Whether the lie alone changes the state after the step."""
        if (node, element) not in self._matters:
            lie = WrongKernel(Lie(self.step, node, element))
            after = self._after(lie)
            honest = [tensor.tobytes() for tensor in self.honest.state(self.step + 1)]
            self._matters[node, element] = after is not None and after != honest
        return self._matters[node, element]

    def _can_be_told(self, node: int, element: int) -> bool:
        """Whether the step can be computed with the lie at all."""
        return self._after(WrongKernel(Lie(self.step, node, element))) is not None

    def _after(self, hooks: Hooks) -> list[bytes] | None:
        """The state after the step; None if an index points outside: nobody can claim that."""
        runner = StepRunner(self.task.program, executor(), hooks)
        try:
            after = runner.run(self.step, self.honest.state(self.step), self.task.data)
        except IndexError:
            return None
        return [tensor.tobytes() for tensor in after]


def _loads_for(node: Node, way: Way) -> Sequence[int | None]:
    """The loads of a node that may be judged in this way; None stands for the arithmetic."""
    if way is Way.ARITHMETIC:
        return [None]
    skips = bool(node.guards) or any(load.skip for load in node.loads)
    if way is Way.SKIPPED:
        return [None] if skips else []
    return [
        k
        for k, load in enumerate(node.loads)
        if way is Way.FILL
        or (way is Way.INDIRECT and _is_indirect(load))
        or way is READS[node.operands[load.operand].kind]
    ]


def _is_indirect(load: Load) -> bool:
    return any(term.source & LOADED_WORD for axis in load.axes for term in axis.terms)


def _is_judged_so(
    node: Node, element: int, term: int, words: Sequence[int], load: int | None, way: Way
) -> bool:
    output = evaluator.unravel(element, node.shape)
    at = output + evaluator.unravel(term, node.domain)
    outside = [evaluator.locate(each, at, words) is None for each in node.loads]
    if load is not None:
        return outside[load] == (way is Way.FILL)
    skipped = any(words[guard.load] != output[guard.coordinate] for guard in node.guards)
    skipped |= any(out and each.skip for out, each in zip(outside, node.loads, strict=True))
    return skipped == (way is Way.SKIPPED)


def _ends(count: int) -> list[int]:
    """The last terms, then the first ones."""
    last = range(count - 1, max(count - 1 - TERMS, -1), -1)
    return [*last, *range(min(TERMS, count - len(last)))]
