"""A node as the kernels see it: affine addresses, axes to check, coordinates that are one loop."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from protocol.program.isa import Op
from protocol.program.node import LOADED_WORD, Axis, Load, Node, Term


@dataclass(frozen=True, slots=True)
class View:
    """A load: ``constant + sum(strides[c] * coordinate c)``, and the axes that may leave bounds.

    Only addresses in bounds are read, and those lie below 2^31: kernels compute them modulo 2^32.
    """

    constant: int
    strides: tuple[int, ...]
    checks: tuple[Axis, ...]

    def step(self, coordinate: int) -> int:
        """How far the address moves with the coordinate (exact where a divisor divides)."""
        return self.strides[coordinate] + sum(
            axis.stride * _coef(axis, coordinate) // axis.divisor for axis in self.checks
        )

    def moves(self, coordinate: int) -> bool:
        """Whether the address, in or out of bounds, changes with the coordinate."""
        return self.strides[coordinate] != 0 or any(_coef(a, coordinate) for a in self.checks)

    def vectors(self, count: int) -> list[list[int]]:
        """What the address is made of: for each part its factor of each coordinate."""
        parts = [[_coef(axis, c) for c in range(count)] for axis in self.checks]
        return [list(self.strides), *parts]

    def words(self) -> set[int]:
        """The loads whose words are coordinates."""
        return words_of(self.checks)


@dataclass(frozen=True, slots=True)
class Dim:
    """Neighbouring coordinates run as one: ``coordinate`` is the innermost of them."""

    coordinate: int
    extent: int


def view_of(load: Load, extents: Sequence[int]) -> View:
    """The view of a load whose coordinates run over ``extents``."""
    constant = load.offset
    strides = [0] * len(extents)
    checks = []
    for axis in map(_without_divisor, load.axes):
        if not _always_inside(axis, extents):
            checks.append(axis)
        elif axis.size > 1:
            constant += axis.stride * axis.const
            for term in axis.terms:
                strides[term.source] += axis.stride * term.coef
    return View(constant, tuple(strides), tuple(checks))


def reach(axis: Axis, extents: Sequence[int]) -> int:
    """The largest magnitude of an axis's value before its division."""
    most = abs(axis.const)
    for term in axis.terms:
        most += abs(term.coef) * (_words(term) or extents[term.source] - 1)
    return most


def words_of(axes: Iterable[Axis]) -> set[int]:
    """The loads whose words the axes read."""
    return {t.source & ~LOADED_WORD for axis in axes for t in axis.terms if t.source & LOADED_WORD}


def merge(
    coordinates: Sequence[int],
    extents: Sequence[int],
    vectors: Sequence[Sequence[int]],
    apart: Collection[int] = (),
) -> list[Dim]:
    """The coordinates, in order, with neighbours run as one where every address allows it.

    Args:
        coordinates: of one flat index, outermost first.
        extents: of all coordinates.
        vectors: for each part of an address its factor of every coordinate.
        apart: coordinates whose own value somebody reads.
    """
    dims: list[Dim] = []
    for c in (c for c in coordinates if extents[c] > 1):
        inner = Dim(c, extents[c])
        if dims and c not in apart and dims[-1].coordinate not in apart:
            outer = dims[-1].coordinate
            if all(vector[outer] == vector[c] * extents[c] for vector in vectors):
                inner = Dim(c, dims.pop().extent * extents[c])
        dims.append(inner)
    return dims


def row_major(shape: Sequence[int]) -> list[int]:
    """Strides of a row-major tensor."""
    strides, stride = [], 1
    for size in reversed(shape):
        strides.append(stride)
        stride *= size
    return strides[::-1]


class Liveness:
    """What a node's result and its skipped terms really depend on.

    Attributes:
        instructions: positions of the instructions that matter, in order.
        loads: numbers of the loads that matter, in order.
        coordinates: those whose value the body reads.
    """

    def __init__(self, node: Node) -> None:
        self.values = {node.result}
        positions = []
        for position in reversed(range(len(node.instructions))):
            if node.first_instruction + position in self.values:
                positions.append(position)
                self.values |= set(node.instructions[position].arguments)
        self.instructions = positions[::-1]
        count = len(node.loads)
        wanted = {v - 1 for v in self.values if 1 <= v <= count}
        wanted |= {k for k, load in enumerate(node.loads) if load.skip}
        wanted |= {guard.load for guard in node.guards}
        self.loads = sorted(close_over_words(node, wanted))
        first = node.first_coordinate
        self.coordinates = {v - first for v in self.values if first <= v < node.first_instruction}


def close_over_words(node: Node, loads: Iterable[int]) -> set[int]:
    """The loads, and those whose words they are addressed by."""
    closed = set(loads)
    for k in reversed(range(len(node.loads))):
        if k in closed:
            closed |= words_of(node.loads[k].axes)
    return closed


def product_loads(node: Node) -> tuple[int, int] | None:
    """The two loads if the body is ``fma(load, load, acc)``, else None."""
    position = node.result - node.first_instruction
    if position < 0:
        return None
    last = node.instructions[position]
    a, b = last.a - 1, last.b - 1
    if last.op is not Op.FMA or last.c != 0 or not all(0 <= k < len(node.loads) for k in (a, b)):
        return None
    return a, b


def _coef(axis: Axis, coordinate: int) -> int:
    return next((t.coef for t in axis.terms if t.source == coordinate), 0)


def _words(term: Term) -> int:
    """Largest magnitude of the source if it is a word, else 0."""
    return 1 << 31 if term.source & LOADED_WORD else 0


def _without_divisor(axis: Axis) -> Axis:
    """The same axis without its division, if that never leaves a remainder."""
    d = axis.divisor
    if d == 1 or axis.const % d or any(t.coef % d for t in axis.terms):
        return axis
    terms = tuple(Term(t.source, t.coef // d) for t in axis.terms)
    return replace(axis, terms=terms, const=axis.const // d, divisor=1)


def _always_inside(axis: Axis, extents: Sequence[int]) -> bool:
    if axis.divisor != 1 or words_of([axis]):
        return False
    low = high = axis.const
    for term in axis.terms:
        far = term.coef * (extents[term.source] - 1)
        low, high = low + min(0, far), high + max(0, far)
    return low >= 0 and high < axis.size
