"""Adaptive pooling: windows whose sizes follow from the sizes of input and output.

Window i of m over n elements is floor(i n / m) .. ceil((i + 1) n / m) - 1. An element p stands in
the windows floor(p m / n) .. ceil((p + 1) m / n) - 1: the same rule with n and m exchanged, so that
the gradient is a sum over such windows too. Where m divides n they lie side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from protocol.capture.lowering.context import Context, aten, lowers
from protocol.capture.lowering.convolution import Geometry
from protocol.capture.lowering.pooling import (
    like_result,
    max_backward_of_tiles,
    max_of_windows,
    own_position,
    planes,
    shared_evenly,
    spatial_rank,
)
from protocol.capture.writing.values import Lowered, Shape, View, elements
from protocol.program.body import Value, f32_word
from protocol.program.builder import Affine, FoldBuilder
from protocol.program.isa import DType


def starts(ctx: Context, large: int, small: int) -> View:
    """The first element of each of ``small`` windows over ``large`` elements, as a table."""
    b = FoldBuilder(DType.I32, (small,))
    start, _ = _span(b, b.coordinate(0), large, small)
    return ctx.finish(b, start, "windows")


def _span(b: FoldBuilder, i: Value, large: int, small: int) -> tuple[Value, Value]:
    """First element and number of elements of window i."""
    start = b.idiv(b.imul(i, b.i32(large)), b.i32(small))
    last = b.imul(b.iadd(i, b.i32(1)), b.i32(large))
    end = b.idiv(b.iadd(last, b.i32(small - 1)), b.i32(small))
    return start, b.isub(end, start)


def _most(large: int, small: int) -> int:
    """Elements of the largest window."""
    return max(-(-(i + 1) * large // small) - i * large // small for i in range(small))


def _even(large: Shape, small: Shape) -> Shape | None:
    """The size of the windows if they lie side by side."""
    if any(n % m for n, m in zip(large, small, strict=True)):
        return None
    return tuple(n // m for n, m in zip(large, small, strict=True))


class _Walk:
    """A fold over windows of ``source``: where its terms are, and which of them count."""

    def __init__(self, ctx: Context, source: View, target: Shape, dtype: DType, init: int) -> None:
        large = source.shape[2:]
        domain = [_most(n, m) for n, m in zip(large, target, strict=True)]
        tables = [starts(ctx, n, m) for n, m in zip(large, target, strict=True)]
        self.b = b = FoldBuilder(dtype, (*source.shape[:2], *target), domain, init)
        self.at: list[Affine] = [b.out(0), b.out(1)]
        self.place: list[Value] = []
        self.inside = b.i32(1)
        for d, (n, m) in enumerate(zip(large, target, strict=True)):
            first = tables[d].load(b, [b.out(2 + d)])
            tap = b.coordinate(len(b.shape) + d)
            _, count = _span(b, b.coordinate(2 + d), n, m)
            self.at.append(b.word_of(first) + b.red(d))
            self.place.append(b.iadd(first, tap))
            self.inside = b.iand(self.inside, b.ilt(tap, count))


def _sum_of_windows(ctx: Context, source: View, target: Shape) -> View:
    walk = _Walk(ctx, source, target, DType.F32, 0)
    b = walk.b
    total = b.add(b.acc, source.load(b, walk.at))
    return ctx.finish(b, b.select(walk.inside, total, b.acc))


def _over_counts(ctx: Context, view: View, large: Shape) -> Lowered:
    """``view`` of windows, each over its number of elements."""
    small = view.shape[2:]

    def emit(b: FoldBuilder, v: Sequence[Value]) -> Value:
        count = b.i32(1)
        for d, (n, m) in enumerate(zip(large, small, strict=True)):
            count = b.imul(count, _span(b, b.coordinate(2 + d), n, m)[1])
        return b.div(v[0], b.i2f(count))

    return ctx.lazy(emit, view, shape=view.shape, dtype=DType.F32, placed=True)


@lowers(aten._adaptive_avg_pool2d.default, aten._adaptive_avg_pool3d.default)
def _adaptive_avg_pool(ctx: Context, x: Lowered, _: Sequence[int]) -> Lowered:
    rank = spatial_rank(ctx)
    source = planes(ctx.view(x), rank)
    small = ctx.shape()[-rank:]
    taps = _even(source.shape[2:], small)
    if taps is None:
        total = _sum_of_windows(ctx, source, small)
        return like_result(ctx, ctx.view(_over_counts(ctx, total, source.shape[2:])))
    b = FoldBuilder(DType.F32, (*source.shape[:2], *small), taps)
    tiles = Geometry(taps, (0,) * rank, (1,) * rank, 1)
    ranks = range(rank)
    place = tiles.source([b.out(2 + d) for d in ranks], [b.red(d) for d in ranks])
    total = ctx.finish(b, b.add(b.acc, source.load(b, [b.out(0), b.out(1), *place])))
    total = like_result(ctx, total)
    count = ctx.float_full(float(elements(taps)))
    return ctx.lazy(
        lambda b, v: b.div(v[0], v[1]), total, count, shape=total.shape, dtype=DType.F32
    )


@lowers(aten._adaptive_avg_pool2d_backward.default, aten._adaptive_avg_pool3d_backward.default)
def _adaptive_avg_pool_backward(ctx: Context, gradient: Lowered, _: Lowered) -> Lowered:
    rank = spatial_rank(ctx)
    large = ctx.shape()[-rank:]
    g = ctx.view(gradient)
    taps = _even(large, g.shape[-rank:])
    if taps is not None and rank == 2:
        return shared_evenly(ctx, g, taps, float(elements(taps)))
    share = ctx.view(_over_counts(ctx, planes(g, rank), large))
    return like_result(ctx, _sum_of_windows(ctx, share, large))


@lowers(aten.adaptive_max_pool2d.default, aten.adaptive_max_pool3d.default)
def _adaptive_max_pool(ctx: Context, x: Lowered, _: Sequence[int]) -> tuple[View, View]:
    rank = spatial_rank(ctx)
    view = ctx.view(x)
    source, small = planes(view, rank), ctx.shape(0)[-rank:]
    taps = _even(source.shape[2:], small)
    if taps is not None:
        return max_of_windows(ctx, view, taps, Geometry(taps, (0,) * rank, (1,) * rank, 1))
    walk = _Walk(ctx, source, small, DType.F32, f32_word(float("-inf")))
    b = walk.b
    best = b.max(b.acc, source.load(b, walk.at))
    value = ctx.finish(b, b.select(walk.inside, best, b.acc))
    walk = _Walk(ctx, source, small, DType.I32, 0xFFFFFFFF)
    b = walk.b
    here, top = source.load(b, walk.at), value.load(b, [b.out(i) for i in range(2 + rank)])
    nan = b.iand(b.not_(b.feq(here, here)), b.not_(b.feq(top, top)))
    hit = b.iand(walk.inside, b.ior(b.feq(here, top), nan))
    flat = walk.place[0]
    for d in range(1, rank):
        flat = b.iadd(b.imul(flat, b.i32(source.shape[2 + d])), walk.place[d])
    first = b.iand(hit, b.ilt(b.acc, b.i32(0)))
    index = ctx.finish(b, b.select(first, flat, b.acc))
    return like_result(ctx, value, 0), like_result(ctx, index, 0)


@lowers(aten.adaptive_max_pool2d_backward.default, aten.adaptive_max_pool3d_backward.default)
def _adaptive_max_pool_backward(
    ctx: Context, gradient: Lowered, _: Lowered, indices: Lowered
) -> Any:
    """Each element adds the gradients of its windows whose index names it."""
    rank = spatial_rank(ctx)
    g, index = ctx.views(gradient, indices)
    large = ctx.shape()[-rank:]
    taps = _even(large, g.shape[-rank:])
    if taps is not None and rank == 2:
        return max_backward_of_tiles(ctx, g, index, taps)
    g, index = planes(g, rank), planes(index, rank)
    walk = _Walk(ctx, g, large, DType.F32, 0)
    b = walk.b
    hit = b.ieq(index.load(b, walk.at), own_position(b, b.shape))
    total = b.add(b.acc, g.load(b, walk.at))
    return like_result(ctx, ctx.finish(b, b.select(b.iand(walk.inside, hit), total, b.acc)))
