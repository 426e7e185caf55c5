"""Resampling one dimension after the other: nearest and linear, forward and backward.

Output o lies at x = (o + 1/2) scale - 1/2 of the input (o scale with aligned corners, and for the
older of the two nearest modes), computed in f32. Linear: (1 - l) input[i] + l input[i + 1] with
i + l = x; beyond the last element l = 0.
The gradient of an element adds those outputs that read it, in order; they are neighbours, so a
table of the first ones suffices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from protocol.capture.lowering.context import Context, aten, lowers
from protocol.capture.writing.values import Lowered, View
from protocol.program.body import Body, Value
from protocol.program.builder import FoldBuilder
from protocol.program.isa import DType


@dataclass(frozen=True)
class _Grid:
    """How ``small`` input elements and ``large`` outputs relate; ``scale`` is an f32."""

    small: int
    large: int
    scale: float
    mode: str  # nearest, exact, linear, aligned

    @staticmethod
    def of(mode: str, small: int, large: int, factor: float | None) -> _Grid:
        """Scale from the factor that was asked for, else from the sizes."""
        if mode == "aligned":
            step = np.float32(small - 1) / np.float32(large - 1) if large > 1 else np.float32(0)
        elif factor is not None and factor > 0:
            step = np.float32(1.0 / factor)
        else:
            step = np.float32(small) / np.float32(large)
        return _Grid(small, large, float(step), mode)

    @property
    def linear(self) -> bool:
        """Do two elements share in each output?"""
        return self.mode in ("linear", "aligned")

    def first(self, b: Body, o: Value) -> tuple[Value, Value]:
        """The (lower) element that output o reads, and the share of the next one."""
        place = b.i2f(o)
        scale, half = b.f32(self.scale), b.f32(0.5)
        if self.mode == "nearest":
            x = b.mul(place, scale)
        elif self.mode == "exact":
            x = b.mul(b.add(place, half), scale)
        elif self.mode == "aligned":
            x = b.mul(place, scale)
        else:
            x = b.sub(b.mul(b.add(place, half), scale), half)
            x = b.select(b.flt(x, b.f32(0.0)), b.f32(0.0), x)
        element = b.imin(b.f2i(x), b.i32(self.small - 1))
        last = b.ieq(element, b.i32(self.small - 1))
        return element, b.select(last, b.f32(0.0), b.sub(x, b.i2f(element)))

    def next(self, b: Body, element: Value) -> Value:
        """The upper element; the last one has none but itself."""
        return b.imin(b.iadd(element, b.i32(1)), b.i32(self.small - 1))

    def most_readers(self) -> int:
        """A bound on the outputs that read one element."""
        reach = 2 if self.linear else 1
        if self.scale <= 0:
            return self.large
        # Borders are clamped: the outermost elements have up to half a step more, or all the rest.
        places = (np.arange(self.large, dtype=np.float32) * np.float32(self.scale)).astype(int)
        inner = int(np.bincount(np.minimum(places, self.small - 1)).max())
        return min(self.large, reach * (inner + 1) + 1)


def _element_table(ctx: Context, grid: _Grid) -> View:
    b = FoldBuilder(DType.I32, (grid.large,))
    return ctx.finish(b, grid.first(b, b.coordinate(0))[0], "grid")


def _stretched(ctx: Context, view: View, dim: int, grid: _Grid) -> View:
    """``view`` with ``grid.large`` elements along ``dim``."""
    table = _element_table(ctx, grid)
    shape = list(view.shape)
    shape[dim] = grid.large
    b = FoldBuilder(DType.F32, shape)
    at = [b.out(i) for i in range(len(shape))]
    low = table.load(b, [at[dim]])
    at[dim] = b.word_of(low)
    lower = view.load(b, at)
    if not grid.linear:
        return ctx.finish(b, lower)
    _, share = grid.first(b, b.coordinate(dim))
    at[dim] = at[dim] + 1  # beyond the last element its share is 0
    upper = view.load(b, at)
    rest = b.sub(b.f32(1.0), share)
    return ctx.finish(b, b.add(b.mul(rest, lower), b.mul(share, upper)))


def _gathered(ctx: Context, g: View, dim: int, grid: _Grid) -> View:
    """The gradient of ``_stretched``: the outputs from the first reader of each element on."""
    first = _first_readers(ctx, grid)
    shape = list(g.shape)
    shape[dim] = grid.small
    b = FoldBuilder(DType.F32, shape, (grid.most_readers(),))
    at = [b.out(i) for i in range(len(shape))]
    start = first.load(b, [at[dim]])
    at[dim] = b.word_of(start) + b.red(0)
    value = g.load(b, at, skip=True)
    output = b.iadd(start, b.coordinate(len(shape)))
    element, share = grid.first(b, output)
    own = b.coordinate(dim)
    lower = b.ieq(element, own)
    if not grid.linear:
        return ctx.finish(b, b.select(lower, b.add(b.acc, value), b.acc))
    upper = b.iand(b.ieq(grid.next(b, element), own), b.not_(lower))
    weight = b.select(lower, b.sub(b.f32(1.0), share), share)
    total = b.fma(weight, value, b.acc)
    return ctx.finish(b, b.select(b.ior(lower, upper), total, b.acc))


def _first_readers(ctx: Context, grid: _Grid) -> View:
    """For each element the number of outputs whose last element lies before it."""
    b = FoldBuilder(DType.I32, (grid.small,), (grid.large,))
    element, _ = grid.first(b, b.coordinate(1))
    last = grid.next(b, element) if grid.linear else element
    before = b.ilt(last, b.coordinate(0))
    return ctx.finish(b, b.iadd(b.acc, before), "grid")


def _factors(rank: int, given: Sequence[Any]) -> list[float | None]:
    """Scale factors per dimension; the overloads give them as numbers at the end."""
    return [*given, *[None] * rank][:rank]


def _rank(ctx: Context) -> int:
    return next(rank for rank in (1, 2, 3) if f"{rank}d" in ctx.operator)


def _resampled(ctx: Context, x: Lowered, mode: str, factors: Sequence[Any]) -> Lowered:
    """The last dimension first."""
    view, rank = ctx.view(x), _rank(ctx)
    wide = _factors(rank, factors)
    for d in reversed(range(rank)):
        grid = _Grid.of(mode, view.shape[2 + d], ctx.shape()[2 + d], wide[d])
        view = _stretched(ctx, view, 2 + d, grid)
    return view


def _resampled_backward(
    ctx: Context, gradient: Lowered, mode: str, factors: Sequence[Any]
) -> Lowered:
    g, rank = ctx.view(gradient), _rank(ctx)
    wide = _factors(rank, factors)
    for d in range(rank):
        grid = _Grid.of(mode, ctx.shape()[2 + d], g.shape[2 + d], wide[d])
        g = _gathered(ctx, g, 2 + d, grid)
    return g


@lowers(
    aten.upsample_nearest1d_backward.default,
    aten.upsample_nearest2d_backward.default,
    aten.upsample_nearest3d_backward.default,
)
def _nearest_backward(
    ctx: Context, gradient: Lowered, _: Any, __: Any, *factors: float | None
) -> Lowered:
    return _resampled_backward(ctx, gradient, "nearest", factors)


@lowers(
    aten._upsample_nearest_exact1d_backward.default,
    aten._upsample_nearest_exact2d_backward.default,
    aten._upsample_nearest_exact3d_backward.default,
)
def _exact_backward(
    ctx: Context, gradient: Lowered, _: Any, __: Any, *factors: float | None
) -> Lowered:
    return _resampled_backward(ctx, gradient, "exact", factors)


@lowers(
    aten.upsample_linear1d.default,
    aten.upsample_bilinear2d.default,
    aten.upsample_trilinear3d.default,
)
def _linear(ctx: Context, x: Lowered, _: Any, aligned: bool, *factors: float | None) -> Lowered:
    return _resampled(ctx, x, "aligned" if aligned else "linear", factors)


@lowers(
    aten.upsample_linear1d_backward.default,
    aten.upsample_bilinear2d_backward.default,
    aten.upsample_trilinear3d_backward.default,
)
def _linear_backward(
    ctx: Context, gradient: Lowered, _: Any, __: Any, aligned: bool, *factors: float | None
) -> Lowered:
    return _resampled_backward(ctx, gradient, "aligned" if aligned else "linear", factors)
