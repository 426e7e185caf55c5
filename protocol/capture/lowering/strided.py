"""Further views: diagonals, sliding windows, repetition; and tensors without content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from protocol.capture.lowering.context import Context, aten, lowers
from protocol.capture.lowering.pointwise import type_of
from protocol.capture.writing.values import Full, Lowered
from protocol.program.builder import FoldBuilder
from protocol.program.isa import DType


@lowers(aten.diagonal.default)
def _diagonal(
    ctx: Context, x: Lowered, offset: int = 0, first: int = 0, second: int = 1
) -> Lowered:
    """One dimension that steps in two."""
    if isinstance(x, Full):
        return replace(x, shape=ctx.shape())
    view = ctx.view(x)
    rank = len(view.shape)
    first, second = first % rank, second % rank
    down, right = view.strides[first], view.strides[second]
    rest = [d for d in range(rank) if d not in (first, second)]
    start = right * offset if offset >= 0 else -down * offset
    return replace(
        view,
        shape=(*(view.shape[d] for d in rest), ctx.shape()[-1]),
        strides=(*(view.strides[d] for d in rest), down + right),
        offset=view.offset + start,
    )


@lowers(aten.diagonal_scatter.default)
def _diagonal_scatter(
    ctx: Context, x: Lowered, source: Lowered, offset: int = 0, first: int = 0, second: int = 1
) -> Lowered:
    """The source where the two coordinates differ by ``offset``."""
    rank = len(ctx.shape())
    first, second = first % rank, second % rank
    b = FoldBuilder(ctx.dtype(), ctx.shape())
    rest = [b.out(d) for d in range(rank) if d not in (first, second)]
    place = b.out(first if offset >= 0 else second)
    inner = ctx.view(source).load(b, [*rest, place])
    outer = ctx.writer.emit(b, x if isinstance(x, Full) else ctx.view(x))
    apart = b.isub(b.coordinate(second), b.coordinate(first))
    return ctx.finish(b, b.select(b.ieq(apart, b.i32(offset)), inner, outer))


@lowers(aten.unfold.default)
def _unfold(ctx: Context, x: Lowered, dim: int, _: int, step: int) -> Lowered:
    """Windows that are ``step`` apart; the places in them are the last dimension."""
    view = ctx.view(x)
    if not view.shape:
        return view.expand(ctx.shape())
    dim %= len(view.shape)
    strides = list(view.strides)
    strides[dim] *= step
    return replace(view, shape=ctx.shape(), strides=(*strides, view.strides[dim]))


@lowers(aten.unfold_backward.default)
def _unfold_backward(
    ctx: Context, gradient: Lowered, _: Sequence[int], dim: int, size: int, step: int
) -> Lowered:
    """Each element adds the gradients of the windows that it stands in, by its place in them."""
    g = ctx.view(gradient)
    if not ctx.shape():
        return g.select(0, 0)
    dim %= len(ctx.shape())
    b = FoldBuilder(DType.F32, ctx.shape(), (size,))
    at = [b.out(i) for i in range(len(b.shape))]
    at[dim] = (at[dim] + b.red(0) * -1) // step
    value = g.load(b, [*at, b.red(0)], skip=True)
    return ctx.finish(b, b.add(b.acc, value))


@lowers(aten.repeat.default)
def _repeat(ctx: Context, x: Lowered, repeats: Sequence[int]) -> Lowered:
    """Each dimension n as (times, n), the first of them without a stride."""
    if isinstance(x, Full):
        return replace(x, shape=ctx.shape())
    view = ctx.view(x)
    for _ in range(len(repeats) - len(view.shape)):
        view = view.unsqueeze(0)
    for dim in range(len(repeats)):
        view = view.unsqueeze(2 * dim)
    wide = list(view.shape)
    wide[::2] = repeats
    view = view.expand(wide)
    return view.reshape(ctx.shape()) or ctx.writer.copy(view, ctx.shape(), ctx.origin)


@lowers(
    aten._efficientzerotensor.default,
    aten.new_empty_strided.default,
    aten.empty_strided.default,
)
def _zeros(ctx: Context, *_: Any, **__: Any) -> Lowered:
    """Memory that is to be written; until then it is zero."""
    return Full(ctx.shape(), type_of(ctx.torch_dtype()), 0)
