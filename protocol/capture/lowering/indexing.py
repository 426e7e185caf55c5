"""Reading at addresses that come from integer tensors, and the gradient of an embedding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from protocol.capture.lowering.context import Context, aten, lowers
from protocol.capture.lowering.ranges import check_addresses
from protocol.capture.writing.values import Lowered, View
from protocol.program.builder import FoldBuilder
from protocol.program.isa import DType


@lowers(aten.gather.default)
def _gather(ctx: Context, x: Lowered, dim: int, index: Lowered, **_: Any) -> Lowered:
    if x.shape:
        check_addresses(ctx, 2, x.shape[dim])
    source, place = ctx.views(x, index)
    if not source.shape:
        return source.expand(ctx.shape())
    if not place.shape:
        place = place.unsqueeze(0)
    dim %= len(source.shape)
    b = FoldBuilder(source.dtype, place.shape)
    at = [b.out(i) for i in range(len(b.shape))]
    at[dim] = b.word_of(place.load(b, [b.out(i) for i in range(len(b.shape))]))
    gathered = ctx.finish(b, source.load(b, at))
    return gathered if ctx.shape() else gathered.select(0, 0)


@lowers(aten.index_select.default)
def _index_select(ctx: Context, x: Lowered, dim: int, index: Lowered) -> Lowered:
    source, place = ctx.views(x, index)
    if not source.shape:
        return source.expand(ctx.shape())
    dim %= len(source.shape)
    b = FoldBuilder(source.dtype, ctx.shape())
    at = [b.out(i) for i in range(len(b.shape))]
    where = place.load(b, [at[dim]] if place.shape else [])
    at[dim] = b.word_of(where)
    return ctx.finish(b, source.load(b, at))


@lowers(aten.embedding.default)
def _embedding(ctx: Context, weight: Lowered, indices: Lowered, *_: Any, **__: Any) -> Lowered:
    check_addresses(ctx, 1, weight.shape[0])
    table, index = ctx.views(weight, indices)
    b = FoldBuilder(table.dtype, ctx.shape())
    rank = len(index.shape)
    row = b.word_of(index.load(b, [b.out(i) for i in range(rank)]))
    return ctx.finish(b, table.load(b, [row, b.out(rank)]))


@lowers(aten.embedding_dense_backward.default)
def _embedding_backward(
    ctx: Context,
    gradient: Lowered,
    indices: Lowered,
    count: int,
    padding_index: int,
    scale_by_frequency: bool,
) -> Lowered:
    """One pass over the tokens: a guard skips every row but the token's own."""
    if scale_by_frequency:
        ctx.refuse("scale_grad_by_freq is not lowered; leave it False")
    g, index = ctx.views(gradient, indices)
    tokens = index.shape
    b = FoldBuilder(DType.F32, (count, g.shape[-1]), tokens)
    at = [b.red(i) for i in range(len(tokens))]
    token = index.load(b, at)
    total = b.add(b.acc, g.load(b, [*at, b.out(1)]))
    if padding_index >= 0:
        total = b.select(b.ieq(token, b.i32(padding_index)), b.acc, total)
    b.guard(token, 0)
    return ctx.finish(b, total)


@lowers(aten.index.Tensor, aten._unsafe_index.Tensor)
def _index(ctx: Context, x: Lowered, indices: Sequence[Lowered | None]) -> Lowered:
    """Integer tensors that broadcast together index some dimensions of ``x``.

    Their common dimensions stand where those of ``x`` stood, or first if these are apart.
    """
    source = ctx.view(x)
    used = [d for d, index in enumerate(indices) if index is not None]
    rank = len(ctx.shape()) - (len(source.shape) - len(used))
    first = used[0] if are_neighbours(used) else 0
    b = FoldBuilder(source.dtype, ctx.shape())
    place = [b.out(first + i) for i in range(rank)]
    kept = iter([b.out(i) for i in range(len(b.shape)) if not first <= i < first + rank])
    at = []
    for dim in range(len(source.shape)):
        if dim in used:
            index = wrapped(ctx, indices[dim], source.shape[dim])
            index = index.expand(ctx.shape()[first : first + rank])
            at.append(b.word_of(index.load(b, place)))
        else:
            at.append(next(kept))
    return ctx.finish(b, source.load(b, at))


def are_neighbours(dims: Sequence[int]) -> bool:
    """Do the dimensions follow each other?"""
    return list(dims) == list(range(dims[0], dims[-1] + 1))


def wrapped(ctx: Context, index: Lowered | None, size: int) -> View:
    """The index with negative values counted from the end."""
    assert index is not None
    view = ctx.view(index)
    if view.dtype is not DType.I32:
        ctx.refuse("a mask as index gives a shape that depends on data; use torch.where")
    positive = ctx.lazy(
        lambda b, v: b.select(b.ilt(v[0], b.i32(0)), b.iadd(v[0], b.i32(size)), v[0]),
        view,
        shape=view.shape,
        dtype=DType.I32,
    )
    return ctx.view(positive)
