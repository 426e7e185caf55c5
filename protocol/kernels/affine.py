"""Flat addresses of loads as affine functions, and whether a load stays inside a unit.

A unit of a tensor is one of ``units`` equal contiguous parts of its row-major storage (`Region`).
What is asked here: computing unit u of a node, does a load of an operand read unit u alone?
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from protocol.program.node import LOADED_WORD, Axis, Load, Node, OperandKind

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Address:
    """The flat element ``const + sum(coefs[c] * coordinate c)`` over output ++ domain.

    ``is_checked``: for some coordinates the load is out of bounds and reads nothing.
    """

    coefs: tuple[int, ...]
    const: int
    is_checked: bool


@dataclass(frozen=True, slots=True)
class UnitMap:
    """What a load reads in unit u: the elements from ``low`` to ``high`` after a start.

    ``steps`` gives the start as (size, step) per digit of u, outermost first, neighbours that count
    on one another made one: two loads with equal steps walk their operand alike.
    """

    steps: tuple[tuple[int, int], ...]
    low: int
    high: int

    def meets(self, other: UnitMap) -> bool:
        """Both read some of the same elements in each unit, and others in other units."""
        moves = any(step for _, step in self.steps)
        overlap = self.low <= other.high and other.low <= self.high
        return moves and self.steps == other.steps and overlap


def address_of(load: Load, extents: Shape) -> Address | None:
    """The load's address, or None if it needs a loaded word or an exact division."""
    coefs = [0] * len(extents)
    const = load.offset
    is_checked = False
    for axis in load.axes:
        if axis.divisor != 1:
            return None
        const += axis.stride * axis.const
        for term in axis.terms:
            if term.source & LOADED_WORD:
                return None
            coefs[term.source] += axis.stride * term.coef
        is_checked = is_checked or not _stays_inside(axis, extents)
    return Address(tuple(coefs), const, is_checked)


def coordinate_loads(loads: Iterable[Load]) -> Iterator[int]:
    """Numbers of the loads whose words are coordinates of later loads."""
    for load in loads:
        for axis in load.axes:
            for term in axis.terms:
                if term.source & LOADED_WORD:
                    yield term.source & ~LOADED_WORD


def unit_counts(shape: Shape) -> frozenset[int]:
    """The numbers of units that leading dimensions of ``shape`` count."""
    counts = [1]
    for size in shape:
        counts.append(counts[-1] * size)
    return frozenset(counts)


def is_local(address: Address, shape: Shape, domain: Shape, inner: int, units: int) -> bool:
    """Whether the load reads elements of [u * inner, (u + 1) * inner) only, in every unit u."""
    if address.is_checked:
        return False
    weight, low, high = units, address.const, address.const
    for size, coef in zip(shape + domain, address.coefs, strict=True):
        if size == 1:
            continue
        if weight > 1:
            weight //= size
            if coef != inner * weight:
                return False
        elif coef < 0:
            low += coef * (size - 1)
        else:
            high += coef * (size - 1)
    return low >= 0 and high < inner


def reads_own_element(node: Node, slot: int) -> bool:
    """Whether each load of state tensor ``slot`` reads the very element that is computed."""
    for load in node.loads:
        operand = node.operands[load.operand]
        if operand.kind is OperandKind.STATE and operand.index == slot:
            address = address_of(load, node.shape + node.domain)
            if address is None or not is_local(address, node.shape, node.domain, 1, node.numel):
                return False
    return True


def unit_map(address: Address, shape: Shape, domain: Shape, units: int) -> UnitMap:
    """How the load walks its operand, unit after unit; ``units`` is one of `unit_counts`."""
    weight, low, high = units, address.const, address.const
    steps: list[tuple[int, int]] = []
    for size, coef in zip(shape + domain, address.coefs, strict=True):
        if size == 1:
            continue
        if weight > 1:
            weight //= size
            if steps and steps[-1][1] == coef * size:
                steps[-1] = (steps[-1][0] * size, coef)
            else:
                steps.append((size, coef))
        else:
            low += min(0, coef * (size - 1))
            high += max(0, coef * (size - 1))
    return UnitMap(tuple(steps), low, high)


def _stays_inside(axis: Axis, extents: Shape) -> bool:
    low = high = axis.const
    for term in axis.terms:
        reach = term.coef * (extents[term.source] - 1)
        low += min(0, reach)
        high += max(0, reach)
    return low >= 0 and high < axis.size
