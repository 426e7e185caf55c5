"""Index spaces and addresses: what a load reads as an affine function of a loop's variables.

The elements of nodes that share a loop are numbered row-major. A *space* splits that number into
dimensions fine enough that every node's coordinates are affine in them; neighbouring dimensions
between which nothing distinguishes are then joined again, so that most loops have one or two.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from protocol.program.isa import DType
from protocol.program.node import LOADED_WORD, Axis, Load, Node

_INT32 = range(-(1 << 31), 1 << 31)


@dataclass(frozen=True, slots=True)
class Linear:
    """``const + sum coefs[i] * variable i``; variables are those of the space, then the domain."""

    const: int
    coefs: tuple[int, ...]

    def plus(self, other: Linear, factor: int) -> Linear:
        """``self + factor * other``."""
        return Linear(
            self.const + factor * other.const,
            tuple(x + factor * y for x, y in zip(self.coefs, other.coefs, strict=True)),
        )


@dataclass(frozen=True, slots=True)
class Check:
    """An axis that may be out of bounds: its value before the division, and its words.

    ``narrow`` tells that every value fits an i32.
    """

    value: Linear
    words: tuple[tuple[int, int], ...]
    divisor: int
    size: int
    stride: int
    narrow: bool

    @property
    def plain(self) -> bool:
        """Whether the coordinate is the affine value itself."""
        return self.divisor == 1 and not self.words


@dataclass(frozen=True, slots=True)
class Access:
    """A load: the affine part of its address, and the axes that must be checked.

    The address is ``address`` plus ``stride * coordinate`` of every check. An ``absent`` one is
    out of bounds wherever it is used.
    """

    slot: int
    dtype: DType
    address: Linear
    checks: tuple[Check, ...]
    fill: int
    skip: bool
    absent: bool = False

    def direct(self) -> Linear:
        """The whole address, if every check is plain."""
        total = self.address
        for check in self.checks:
            total = total.plus(check.value, check.stride)
        return total


def split(shapes: Iterable[Sequence[int]], cuts: Iterable[int]) -> tuple[int, ...] | None:
    """Dimensions that refine all shapes (of equal size) and the boundaries ``cuts``, or None.

    A cut n demands that every n-th element begins a new index of some dimension.
    """
    products = set(cuts) | {1}
    for shape in shapes:
        product = 1
        for dim in reversed(shape):
            product *= dim
            products.add(product)
    chain = sorted(products)
    if any(high % low for low, high in pairwise(chain)):
        return None
    return tuple(high // low for low, high in pairwise(chain))[::-1]


def suffixes(dims: Sequence[int]) -> list[int]:
    """Elements per step of each dimension."""
    return [math.prod(dims[i + 1 :]) for i in range(len(dims))]


class Coordinates:
    """The coordinates of a node's output and domain as linear functions of a space's variables."""

    def __init__(self, node: Node, dims: Sequence[int]) -> None:
        self.variables = len(dims) + len(node.domain)
        self.of: list[Linear] = []
        steps = suffixes(dims)
        for low, extent in zip(suffixes(node.shape), node.shape, strict=True):
            coefs = [s // low if low <= s < low * extent else 0 for s in steps]
            self.of.append(Linear(0, (*coefs, *[0] * len(node.domain))))
        for i in range(len(node.domain)):
            coefs = [0] * self.variables
            if node.domain[i] > 1:
                coefs[len(dims) + i] = 1
            self.of.append(Linear(0, tuple(coefs)))

    def access(self, node: Node, load: Load) -> Access:
        """The load with its address in terms of the space."""
        extents = node.shape + node.domain
        address = Linear(load.offset, (0,) * self.variables)
        checks = []
        for axis in load.axes:
            check = self._check(axis, extents)
            if check is None:
                value = self._affine(axis)
                address = address.plus(value, axis.stride if axis.size > 1 else 0)
            else:
                checks.append(check)
        dtype = node.operands[load.operand].dtype
        return Access(load.operand, dtype, address, tuple(checks), load.fill, load.skip)

    def _affine(self, axis: Axis) -> Linear:
        value = Linear(axis.const, (0,) * self.variables)
        for term in axis.terms:
            if not term.source & LOADED_WORD:
                value = value.plus(self.of[term.source], term.coef)
        return value

    def _check(self, axis: Axis, extents: tuple[int, ...]) -> Check | None:
        """What must be checked of an axis; None if it is always in bounds."""
        coefs: dict[int, int] = {}
        for term in axis.terms:
            if term.source & LOADED_WORD or extents[term.source] > 1:
                coefs[term.source] = coefs.get(term.source, 0) + term.coef
        low = high = axis.const
        for source, coef in coefs.items():
            if source & LOADED_WORD:
                ends = (coef * -(1 << 31), coef * ((1 << 31) - 1))
            else:
                ends = (0, coef * (extents[source] - 1))
            low, high = low + min(ends), high + max(ends)
        words = tuple(
            (s & ~LOADED_WORD, c) for s, c in sorted(coefs.items()) if s & LOADED_WORD and c
        )
        if axis.divisor == 1 and not words and low >= 0 and high < axis.size:
            return None
        narrow = low in _INT32 and high in _INT32 and axis.divisor < 1 << 31
        stride = axis.stride if axis.size > 1 else 0
        return Check(self._affine(axis), words, axis.divisor, axis.size, stride, narrow)


def join(dims: Sequence[int], functions: Iterable[Linear], first: int) -> list[list[int]]:
    """Groups of neighbouring dimensions that are one variable to all functions.

    Args:
        dims: extents of the dimensions.
        functions: linear functions over a space in which ``dims`` are the variables from number
            ``first`` on.
        first: see above.
    """
    coefs = {function.coefs[first : first + len(dims)] for function in functions}
    groups: list[list[int]] = []
    for i in range(len(dims)):
        if dims[i] == 1:
            continue
        if groups and all(c[groups[-1][-1]] == c[i] * dims[i] for c in coefs):
            groups[-1].append(i)
        else:
            groups.append([i])
    return groups


def regroup(function: Linear, groups: Sequence[Sequence[int]]) -> Linear:
    """The function over the joined variables: each has the coefficient of its last one."""
    return replace(function, coefs=tuple(function.coefs[group[-1]] for group in groups))
