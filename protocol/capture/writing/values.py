"""What a graph value is while it is lowered: a view of a stored tensor, or not yet computed.

``View``  a strided window on an operand; costs no node, becomes the axes of a load.
``Full``  one constant everywhere.
``Lazy``  an elementwise expression that waits: its only consumer may take it into its own body.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch

from protocol.capture.errors import Origin
from protocol.program.body import Value
from protocol.program.builder import Affine, FoldBuilder
from protocol.program.isa import DType, Type
from protocol.program.node import LOADED_WORD, Axis, Operand, numel

Shape = tuple[int, ...]

# i64 is lowered to i32: constants are range-checked, data tensors when they are read.
STORED: dict[torch.dtype, DType] = {
    torch.float32: DType.F32,
    torch.int32: DType.I32,
    torch.int64: DType.I32,
    torch.uint8: DType.U8,
    torch.bool: DType.U8,
}


def contiguous_strides(shape: Sequence[int]) -> Shape:
    """Row-major strides in elements."""
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))


@dataclass(frozen=True)
class View:
    """Elements ``offset + sum(stride * index)`` of an operand's flat storage."""

    operand: Operand
    shape: Shape
    strides: Shape
    offset: int = 0

    @staticmethod
    def whole(operand: Operand) -> View:
        """The operand as it is stored."""
        return View(operand, operand.shape, contiguous_strides(operand.shape))

    @property
    def dtype(self) -> DType:
        """Storage type of the elements."""
        return self.operand.dtype

    def permute(self, order: Sequence[int]) -> View:
        """Dimensions in another order."""
        rank = len(self.shape)
        order = [d % rank for d in order]
        return replace(
            self,
            shape=tuple(self.shape[d] for d in order),
            strides=tuple(self.strides[d] for d in order),
        )

    def expand(self, shape: Sequence[int]) -> View:
        """Broadcast to ``shape``; -1 keeps a size."""
        lead = len(shape) - len(self.shape)
        sizes = (1,) * lead + self.shape
        strides = (0,) * lead + self.strides
        target = tuple(own if new == -1 else new for own, new in zip(sizes, shape, strict=True))
        return replace(
            self,
            shape=target,
            strides=tuple(
                0 if own == 1 and new != 1 else stride
                for own, new, stride in zip(sizes, target, strides, strict=True)
            ),
        )

    def unsqueeze(self, dim: int) -> View:
        """A new dimension of size 1 at ``dim``."""
        dim %= len(self.shape) + 1
        return replace(
            self,
            shape=(*self.shape[:dim], 1, *self.shape[dim:]),
            strides=(*self.strides[:dim], 0, *self.strides[dim:]),
        )

    def squeeze(self, dims: Sequence[int]) -> View:
        """Without those of ``dims`` that have size 1."""
        rank = len(self.shape)
        gone = {d % rank for d in dims if rank and self.shape[d] == 1}
        keep = [d for d in range(rank) if d not in gone]
        return replace(
            self,
            shape=tuple(self.shape[d] for d in keep),
            strides=tuple(self.strides[d] for d in keep),
        )

    def slice(self, dim: int, start: int, stop: int, step: int = 1) -> View:
        """Elements start, start + step, ... before stop along ``dim``."""
        dim %= len(self.shape)
        count = max(0, -(-(stop - start) // step))
        shape, strides = list(self.shape), list(self.strides)
        shape[dim], strides[dim] = count, self.strides[dim] * step
        offset = self.offset + start * self.strides[dim]
        return replace(self, shape=tuple(shape), strides=tuple(strides), offset=offset)

    def select(self, dim: int, index: int) -> View:
        """The slice ``index`` of ``dim``, without that dimension."""
        dim %= len(self.shape)
        index %= self.shape[dim]
        return replace(
            self,
            shape=self.shape[:dim] + self.shape[dim + 1 :],
            strides=self.strides[:dim] + self.strides[dim + 1 :],
            offset=self.offset + index * self.strides[dim],
        )

    def flip(self, dims: Sequence[int]) -> View:
        """Reversed along ``dims``."""
        strides, offset = list(self.strides), self.offset
        for dim in {d % len(self.shape) for d in dims}:
            offset += strides[dim] * (self.shape[dim] - 1)
            strides[dim] = -strides[dim]
        return replace(self, strides=tuple(strides), offset=offset)

    def reshape(self, shape: Sequence[int]) -> View | None:
        """The same elements in row-major order under ``shape``; None if that needs a copy."""
        groups = _merge(self.shape, self.strides)
        strides: list[int] = []
        for size in reversed(shape):
            if size == 1:
                strides.append(0)
                continue
            while groups and groups[-1][0] == 1:
                groups.pop()
            if not groups or groups[-1][0] % size:
                return None
            length, stride = groups.pop()
            strides.append(stride)
            groups.append((length // size, stride * size))
        if any(length != 1 for length, _ in groups):
            return None
        return replace(self, shape=tuple(shape), strides=tuple(reversed(strides)))

    def load(
        self,
        b: FoldBuilder,
        coordinates: Sequence[Affine],
        *,
        fill: int = 0,
        skip: bool = False,
    ) -> Value:
        """A load of the element at ``coordinates``; an index outside the view is out of bounds."""
        axes: list[Axis] = []
        offset = self.offset
        extents = b.shape + b.domain
        for size, stride, coordinate in zip(self.shape, self.strides, coordinates, strict=True):
            low, high = _range(coordinate, extents)
            inside = low is not None and high is not None and low >= 0 and high < size
            if inside and (stride == 0 or (low == high and coordinate.divisor == 1)):
                assert low is not None
                offset += stride * low
                continue
            if stride < 0:  # count from the other end: strides in a load are not negative
                offset += stride * (size - 1)
                coordinate = coordinate * -1 + (size - 1)
            axes.append(coordinate.axis(size, abs(stride)))
        return b.load(self.operand, axes, offset, fill=fill, skip=skip)


@dataclass(frozen=True)
class Full:
    """``value`` at every index; ``type`` tells how a body sees it."""

    shape: Shape
    type: Type
    value: float


Emit = Callable[[FoldBuilder, Sequence[Value]], Value]


@dataclass(eq=False)
class Lazy:
    """An elementwise expression over values that broadcast to its shape.

    ``placed``: its body reads output coordinates, so that it only makes sense at its own shape.
    """

    shape: Shape
    dtype: DType
    emit: Emit
    arguments: tuple[Lowered, ...]
    origin: Origin
    operator: str
    placed: bool = False
    stored: View | None = field(default=None)

    def views(self) -> list[View] | None:
        """The distinct views that the expression reads, broadcast to its shape.

        None if a part of it is of another shape and not stored yet.
        """
        found: dict[View, None] = {}
        for argument in self.arguments:
            if isinstance(argument, Lazy) and argument.stored is None:
                inner = argument.views() if argument.shape == self.shape else None
                if inner is None:
                    return None
                found.update(dict.fromkeys(inner))
            elif not isinstance(argument, Full):
                view = argument.stored if isinstance(argument, Lazy) else argument
                assert view is not None
                found[view.expand(self.shape)] = None
        return list(found)


Lowered = View | Full | Lazy


def reshaped(value: Lowered, shape: Shape) -> Lowered | None:
    """``value`` under another shape in row-major order; None if a part of it needs a copy."""
    if isinstance(value, Full):
        return replace(value, shape=shape)
    if isinstance(value, View):
        return value.reshape(shape)
    if value.stored is not None:
        return value.stored.reshape(shape)
    if value.placed:
        return None
    arguments: list[Lowered] = []
    for argument in value.arguments:
        if isinstance(argument, Lazy) and argument.stored is not None:
            argument = argument.stored
        if isinstance(argument, Lazy) and argument.shape != value.shape:
            return None
        if isinstance(argument, View):
            argument = argument.expand(value.shape)
        moved = reshaped(argument, shape)
        if moved is None:
            return None
        arguments.append(moved)
    return replace(value, shape=shape, arguments=tuple(arguments))


def _merge(shape: Shape, strides: Shape) -> list[tuple[int, int]]:
    """(length, stride) of the dimensions, neighbours that continue each other joined."""
    groups: list[tuple[int, int]] = []
    for size, stride in zip(shape, strides, strict=True):
        if size == 1:
            continue
        if groups and groups[-1][1] == stride * size:
            length, _ = groups.pop()
            groups.append((length * size, stride))
        else:
            groups.append((size, stride))
    return groups


def _range(coordinate: Affine, extents: Shape) -> tuple[int | None, int | None]:
    """Least and greatest value, or None when it depends on data or has a divisor."""
    if coordinate.divisor != 1 or any(source & LOADED_WORD for source, _ in coordinate.terms):
        return None, None
    low = high = coordinate.const
    for source, coef in coordinate.terms:
        reach = coef * (extents[source] - 1)
        low, high = low + min(0, reach), high + max(0, reach)
    return low, high


def elements(shape: Sequence[int]) -> int:
    """Number of elements."""
    return numel(tuple(shape))
