"""Writes nodes: the growing program, and when an elementwise expression becomes a node of its own.

An expression is taken into its consumer's body as long as the node stays within the limits of a
body and the gas of its judgement; else its largest part becomes a node first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from protocol.capture.errors import CaptureError, Origin, UnsupportedOperator
from protocol.capture.writing.caps import Source, check_rank, check_size, check_totals
from protocol.capture.writing.values import Full, Lazy, Lowered, View, elements
from protocol.program.body import Value
from protocol.program.builder import Affine, BodyTooLarge, FoldBuilder
from protocol.program.cost import TreeSizes, judgement_gas
from protocol.program.isa import DType, Type
from protocol.program.node import Node, Operand, OperandKind

# Proof lengths are not known before the program is; these are the longest ones allowed.
_LARGEST = TreeSizes(nodes=65_536, state=65_536, data=65_536)
_GAS_CAP = 400_000


CHEAP_INSTRUCTIONS = 4


@dataclass(frozen=True)
class Place:
    """Where an expression of ``shape`` is evaluated; ``skip``: out of bounds skips the term."""

    shape: tuple[int, ...]
    coordinates: tuple[Affine, ...]
    skip: bool = False


class Writer:
    """The nodes written so far and where they come from; ``seed`` keys the random draws."""

    def __init__(self, seed: int, step: View) -> None:
        self.nodes: list[Node] = []
        self.sources: list[Source] = []
        self.seed = seed
        self.step = step
        self.draws = 0
        self.given: dict[int, np.ndarray] = {}  # what nodes that gather integers gather from
        self._known: dict[Node, int] = {}

    def add(self, node: Node, origin: Origin, operator: str) -> View:
        """Append a node (or find the same one written before) and return its output."""
        if node not in self._known:
            check_size(node, (origin, operator))
            self._known[node] = len(self.nodes)
            self.nodes.append(node)
            self.sources.append((origin, operator))
        return View.whole(Operand(OperandKind.NODE, self._known[node], node.dtype, node.shape))

    def view(self, value: Lowered, origin: Origin | None = None) -> View:
        """``value`` as a stored tensor; writes the node that computes it if need be."""
        if isinstance(value, View):
            return value
        if isinstance(value, Full):
            dtype = DType.F32 if value.type is Type.F else DType.I32
            b = FoldBuilder(dtype, value.shape)
            node = b.finish(_constant(b, value))
            return self.add(node, origin or Origin(), "aten.full")
        while value.stored is None:
            try:
                value.stored = self._write(value)
            except BodyTooLarge as error:
                part = _largest_part(value)
                if part is None:
                    raise UnsupportedOperator(
                        value.operator, value.origin, f"{error}; split it into smaller parts"
                    ) from error
                self.view(part)
        return value.stored

    def stored(self, value: Lowered, dtype: DType, shape: tuple[int, ...], origin: Origin) -> View:
        """``value`` as the whole output of one node, of this dtype and shape (for bindings)."""
        view = self.view(value, origin)
        if view.dtype is not dtype:
            raise CaptureError(
                f"a state tensor of dtype {dtype.label} would get {view.dtype.label}"
            )
        is_whole = view == View.whole(view.operand) and view.operand.shape == shape
        if is_whole and view.operand.kind is not OperandKind.DATA:  # which no binding names
            return view
        return self.copy(view, shape, origin)

    def copy(self, view: View, shape: tuple[int, ...], origin: Origin) -> View:
        """A node of ``shape`` with the view's elements in row-major order."""
        direct = view if view.shape == shape else view.reshape(shape)
        if direct is None:
            direct = self.copy(view, view.shape, origin).reshape(shape)
        assert direct is not None
        b = FoldBuilder(view.dtype, shape)
        return self.add(b.finish(direct.load(b, _outputs(b))), origin, "aten.clone")

    def next_draw(self) -> int:
        """Number of a new random node: it keys the node's stream."""
        self.draws += 1
        return self.draws - 1

    def emit(self, b: FoldBuilder, value: Lowered, place: Place | None = None) -> Value:
        """``value`` at a place (default: the output coordinates of ``b``), broadcast to it."""
        place = place or Place(b.shape, tuple(_outputs(b)))
        return self._emit(b, value, place, {})

    def _emit(self, b: FoldBuilder, value: Lowered, place: Place, seen: dict[int, Value]) -> Value:
        if isinstance(value, Full):
            return _constant(b, value)
        if isinstance(value, Lazy) and value.stored is None:
            displaced = value.placed and place.coordinates != tuple(_outputs(b))
            if value.shape != place.shape or displaced:
                self.view(value)  # computed once, not once per broadcast element
        if isinstance(value, Lazy) and value.stored is None:
            if id(value) not in seen:
                arguments = [self._emit(b, part, place, seen) for part in value.arguments]
                seen[id(value)] = value.emit(b, arguments)
            return seen[id(value)]
        view = value if isinstance(value, View) else value.stored
        assert view is not None
        return view.expand(place.shape).load(b, place.coordinates, skip=place.skip)

    def is_cheap(self, value: Lazy) -> bool:
        """Is computing ``value`` again in each consumer no more work than reading it back?

        So it is for a few instructions on one tensor of its size, besides broadcast ones.
        """
        views = value.views()
        if views is None:
            return False
        large = [
            v for v in views if all(s for s, n in zip(v.strides, v.shape, strict=True) if n > 1)
        ]
        if len(large) > 1 or elements(value.shape) == 1:
            return False
        b = FoldBuilder(value.dtype, value.shape)
        self.emit(b, value)
        return len(b.steps) <= CHEAP_INSTRUCTIONS

    def _write(self, value: Lazy) -> View:
        b = FoldBuilder(value.dtype, value.shape)
        node = b.finish(self.emit(b, value))
        check_size(node, (value.origin, value.operator))
        check_affordable(node)
        return self.add(node, value.origin, value.operator)

    def pruned(self, roots: set[int]) -> tuple[list[Node], list[str], dict[int, int]]:
        """Nodes and origins that ``roots`` need, and the new number of each old one."""
        needed: set[int] = set()
        for index in range(len(self.nodes) - 1, -1, -1):
            if index in roots or index in needed:
                needed.add(index)
                needed |= {
                    o.index for o in self.nodes[index].operands if o.kind is OperandKind.NODE
                }
        order = sorted(needed)
        for index in order:
            origin, operator = self.sources[index]
            if 0 in self.nodes[index].shape:
                raise UnsupportedOperator(
                    operator,
                    origin,
                    f"it makes a tensor of shape {self.nodes[index].shape}, without elements; "
                    "leave it out",
                )
            check_rank(self.nodes[index], (origin, operator))
        check_totals([self.nodes[i] for i in order], [self.sources[i] for i in order])
        number = {old: new for new, old in enumerate(order)}
        nodes = [
            replace(
                self.nodes[old],
                operands=tuple(
                    replace(o, index=number[o.index]) if o.kind is OperandKind.NODE else o
                    for o in self.nodes[old].operands
                ),
            )
            for old in order
        ]
        origins = [
            origin.describe(operator) for origin, operator in map(self.sources.__getitem__, order)
        ]
        return nodes, origins, number


def check_affordable(node: Node) -> None:
    """BodyTooLarge if the node's bytes or the gas of its judgement exceed the caps."""
    try:
        gas = judgement_gas(node, _LARGEST)
    except ValueError as error:
        raise BodyTooLarge(str(error)) from error
    if gas > _GAS_CAP:
        raise BodyTooLarge(f"its judgement may cost {gas:,} gas, the cap is {_GAS_CAP:,}")


def _outputs(b: FoldBuilder) -> Sequence[Affine]:
    return [b.out(i) for i in range(len(b.shape))]


def _constant(b: FoldBuilder, value: Full) -> Value:
    return b.f32(value.value) if value.type is Type.F else b.i32(int(value.value))


def _largest_part(value: Lazy) -> Lazy | None:
    """The argument with the most operators below it that is not stored yet."""
    parts = [a for a in value.arguments if isinstance(a, Lazy) and a.stored is None]
    return max(parts, key=lambda part: _operators(part, set()), default=None)


def _operators(value: Lazy, seen: set[int]) -> int:
    if id(value) in seen or value.stored is not None:
        return 0
    seen.add(id(value))
    return 1 + sum(_operators(a, seen) for a in value.arguments if isinstance(a, Lazy))
