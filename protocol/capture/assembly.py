"""A program while it is put together: its state and data tensors, its nodes, then its bindings.

What is trained and what is only computed differ in what they add; the step counter, the bindings
and the pruning are here for both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import torch

from protocol.capture.captured import DTYPES, Captured, Tensors
from protocol.capture.data.batches import as_stored
from protocol.capture.errors import CaptureError, Origin
from protocol.capture.writing.copies import without_copies
from protocol.capture.writing.values import View
from protocol.capture.writing.writer import Writer
from protocol.program.builder import FoldBuilder
from protocol.program.estimate import default_interval
from protocol.program.isa import DType
from protocol.program.node import Binding, Node, Operand, OperandKind, Program
from protocol.program.validate import validate_program

STEP = "step"
"""The state tensor that counts the steps done."""


class Assembly:
    """The tensors and nodes of one program; `finish` makes a `Captured` of them.

    A state tensor keeps its value unless `finish` is told another.
    """

    def __init__(self, seed: int, state: Iterable[tuple[str, np.ndarray]]) -> None:
        self.state: Tensors = []
        self.data: Tensors = []
        self._index: dict[str, int] = {}
        self._present: dict[str, View] = {}
        for name, array in state:
            self.add_state(name, array)
        self.add_state(STEP, np.zeros((), np.int32))
        self.writer = Writer(seed, self.state_view(STEP))

    def add_state(self, name: str, array: np.ndarray) -> None:
        """A state tensor after those there are, with its value before the first step."""
        self._index[name] = len(self.state)
        self.state.append((name, array.copy()))

    def has_state(self, name: str) -> bool:
        """Whether there is a state tensor ``name``."""
        return name in self._index

    def state_view(self, name: str) -> View:
        """What the step works with as state tensor ``name``."""
        if name in self._present:
            return self._present[name]
        index = self._index[name]
        return _whole(OperandKind.STATE, index, self.state[index][1])

    def stand_for(self, name: str, view: View) -> None:
        """Let ``view`` stand for state tensor ``name`` wherever the step reads it from now on."""
        self._present[name] = view

    def add_data(self, name: str, array: np.ndarray) -> View:
        """A data tensor, which is left out of the program again if nothing reads it."""
        self.data.append((name, array))
        return self.data_view(name)

    def data_view(self, name: str) -> View:
        """The data tensor ``name``."""
        index = [n for n, _ in self.data].index(name)
        return _whole(OperandKind.DATA, index, self.data[index][1])

    def commit(self, constant: torch.Tensor) -> View:
        """A data tensor with the values of a constant in the graph."""
        name = f"constant.{len(self.data)}"
        return self.add_data(name, as_stored(constant, name))

    def finish(
        self,
        new: Mapping[str, View],
        *,
        name: str,
        steps: int,
        interval: int | None,
        batch_size: int,
        loss: str | None = None,
    ) -> Captured:
        """Bind every state tensor, ``new`` ones to nodes, and validate the program.

        ``loss`` is the state tensor that holds the last loss.
        """
        bound = {**self._present, **new, STEP: self._advanced()}
        roots = {v.operand.index for v in bound.values() if v.operand.kind is OperandKind.NODE}
        self.writer.nodes = without_copies(self.writer.nodes, roots)
        nodes, origins, number = self.writer.pruned(roots)
        bindings = []
        for state_name, _ in self.state:
            source = bound.get(state_name, self.state_view(state_name)).operand
            index = number[source.index] if source.kind is OperandKind.NODE else source.index
            bindings.append(Binding(source.kind, index, source.dtype, source.shape))
        used = sorted({o.index for n in nodes for o in n.operands if o.kind is OperandKind.DATA})
        place = {old: at for at, old in enumerate(used)}
        program = Program(tuple(_with_data(node, place) for node in nodes), tuple(bindings))
        captured = Captured(
            name=name,
            program=program,
            state=self.state,
            data=[self.data[old] for old in used],
            origins=origins,
            loss_state=None if loss is None else self._index[loss],
            steps=steps,
            interval=default_interval(program, steps) if interval is None else interval,
            batch_size=batch_size,
            seed=self.writer.seed,
        )
        validate_program(captured.program, captured.data_specs(), captured.origins)
        return captured

    def _advanced(self) -> View:
        b = FoldBuilder(DType.I32, ())
        advanced = b.iadd(self.writer.step.load(b, []), b.i32(1))
        return self.writer.add(b.finish(advanced), Origin(STEP, "opt"), "step + 1")


def check_counts(seed: int, interval: int | None, **counts: object) -> None:
    """CaptureError unless the numbers of people's own files are what a task can have.

    ``counts`` has ``steps``, which the interval must not exceed.
    """
    if not (_is_whole(seed) and 0 <= seed < 1 << 63):
        raise CaptureError(f"seed {seed!r} must lie in 0..2^63-1, a whole number")
    for what, count in counts.items():
        if not isinstance(count, int) or not _is_whole(count) or count < 1:
            raise CaptureError(f"{what} is {count!r}, expected a whole number of at least 1")
    steps = counts["steps"]
    assert isinstance(steps, int)
    if steps >= 1 << 31:
        raise CaptureError(f"steps is {steps:,}, expected fewer than 2^31: their counter is an i32")
    if interval is not None and not (_is_whole(interval) and 1 <= interval <= steps):
        raise CaptureError(f"interval {interval!r} must lie in 1..{steps}, the number of steps")


def _is_whole(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool)


def tensors_of(model: torch.nn.Module) -> dict[str, np.ndarray]:
    """Parameters and then buffers of a module in the stored types, by name. UnsupportedDtype."""
    return {
        name: as_stored(tensor, f"{kind} {name}")
        for kind, tensors in (
            ("parameter", model.named_parameters()),
            ("buffer", model.named_buffers()),
        )
        for name, tensor in tensors
    }


def _whole(kind: OperandKind, index: int, array: np.ndarray) -> View:
    return View.whole(Operand(kind, index, DTYPES[array.dtype], array.shape))


def _with_data(node: Node, place: dict[int, int]) -> Node:
    return replace(
        node,
        operands=tuple(
            replace(o, index=place[o.index]) if o.kind is OperandKind.DATA else o
            for o in node.operands
        ),
    )
