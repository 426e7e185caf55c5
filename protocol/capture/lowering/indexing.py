"""Operators whose addresses come from integer tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from protocol.capture.lowering.context import Context, aten, lowers
from protocol.capture.values import Full, Lowered, View
from protocol.program.body import Value
from protocol.program.builder import FoldBuilder
from protocol.program.isa import DType


@lowers(aten.gather.default)
def _gather(ctx: Context, x: Lowered, dim: int, index: Lowered, **_: Any) -> Lowered:
    source, place = ctx.views(x, index)
    if not source.shape:
        return source
    dim %= len(source.shape)
    b = FoldBuilder(source.dtype, ctx.shape())
    at = [b.out(i) for i in range(len(b.shape))]
    at[dim] = b.word_of(place.load(b, [b.out(i) for i in range(len(b.shape))]))
    return ctx.finish(b, source.load(b, at))


@lowers(aten.embedding.default)
def _embedding(ctx: Context, weight: Lowered, indices: Lowered, *_: Any, **__: Any) -> Lowered:
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


@lowers(aten.index.Tensor)
def _index(ctx: Context, x: Lowered, indices: Sequence[Lowered | None]) -> Lowered:
    """Integer tensors that broadcast together index neighbouring dimensions of ``x``."""
    source = ctx.view(x)
    used = [d for d, index in enumerate(indices) if index is not None]
    if used != list(range(used[0], used[-1] + 1)):
        ctx.refuse("index tensors must stand at neighbouring dimensions; permute first")
    rank = len(ctx.shape()) - (len(source.shape) - len(used))
    b = FoldBuilder(source.dtype, ctx.shape())
    place = [b.out(used[0] + i) for i in range(rank)]
    at = [b.out(i) for i in range(used[0])]
    for dim in used:
        index = _wrapped(ctx, indices[dim], source.shape[dim])
        index = index.expand(ctx.shape()[used[0] : used[0] + rank])
        at.append(b.word_of(index.load(b, place)))
    at += [b.out(i) for i in range(used[0] + rank, len(b.shape))]
    return ctx.finish(b, source.load(b, at))


def _wrapped(ctx: Context, index: Lowered | None, size: int) -> View:
    """The index with negative values counted from the end."""
    assert index is not None
    view = ctx.view(index)
    if view.dtype is not DType.I32:
        ctx.refuse("a mask as index gives a shape that depends on data; use torch.where")
    wrapped = ctx.lazy(
        lambda b, v: b.select(b.ilt(v[0], b.i32(0)), b.iadd(v[0], b.i32(size)), v[0]),
        view,
        shape=view.shape,
        dtype=DType.I32,
    )
    return ctx.view(wrapped)


@lowers(aten.index_put.default, aten._unsafe_index_put.default)
def _index_put(
    ctx: Context,
    x: Lowered,
    indices: Sequence[Lowered | None],
    values: Lowered,
    accumulate: bool = False,
) -> Lowered:
    """Accumulation into zeros at the first dimension: what an indexing gradient is."""
    if not accumulate or len(indices) != 1 or not isinstance(x, Full) or x.value != 0:
        ctx.refuse("only the gradient of indexing the first dimension is lowered")
    index = _wrapped(ctx, indices[0], ctx.shape()[0])
    rest = ctx.shape()[1:]
    source = ctx.view(values).expand((*index.shape, *rest))
    b = FoldBuilder(DType.F32, ctx.shape(), index.shape)
    at = [b.red(i) for i in range(len(index.shape))]
    b.guard(index.load(b, at), 0)
    value = source.load(b, [*at, *(b.out(1 + i) for i in range(len(rest)))])
    return ctx.finish(b, b.add(b.acc, value))


@lowers(aten.scatter.value, aten.scatter.src, elementwise=True)
def _scatter(ctx: Context, x: Lowered, dim: int, index: Lowered, source: Any) -> Lowered:
    """The last index that names an element wins; else the element keeps its value."""
    place = ctx.view(index)
    dim %= len(ctx.shape())
    _need_full_size(ctx, place, dim)
    if place.shape[dim] == 1 and isinstance(source, int | float):
        return _scatter_one(ctx, x, dim, place, float(source))
    b = FoldBuilder(ctx.dtype(), ctx.shape(), (place.shape[dim],))
    at = [b.out(i) for i in range(len(b.shape))]
    at[dim] = b.red(0)
    named = place.load(b, at)
    if isinstance(source, int | float):
        value = b.f32(float(source)) if b.dtype is DType.F32 else b.i32(int(source))
    else:
        value = ctx.view(source).load(b, at)
    start = ctx.writer.emit(b, x if isinstance(x, Full) else ctx.view(x))
    before = b.select(b.not_(b.coordinate(len(b.shape))), start, b.acc)
    return ctx.finish(b, b.select(b.ieq(named, b.coordinate(dim)), value, before))


def _scatter_one(ctx: Context, x: Lowered, dim: int, place: View, source: float) -> Lowered:
    """A single index per line, as a loss has it: no reduction, so it can join its consumer."""
    dtype = ctx.dtype()

    def emit(b: FoldBuilder, v: Sequence[Value]) -> Value:
        value = b.f32(source) if dtype is DType.F32 else b.i32(int(source))
        return b.select(b.ieq(v[1], b.coordinate(dim)), value, v[0])

    return ctx.lazy(emit, x, place, shape=ctx.shape(), dtype=ctx.dtype(), placed=True)


@lowers(aten.scatter_add.default)
def _scatter_add(ctx: Context, x: Lowered, dim: int, index: Lowered, source: Lowered) -> Lowered:
    place, values = ctx.views(index, source)
    dim %= len(ctx.shape())
    _need_full_size(ctx, place, dim)
    b = FoldBuilder(DType.F32, ctx.shape(), (place.shape[dim],))
    at = [b.out(i) for i in range(len(b.shape))]
    at[dim] = b.red(0)
    b.guard(place.load(b, at), dim)
    total = ctx.finish(b, b.add(b.acc, values.load(b, at)))
    return ctx.lazy(lambda b, v: b.add(v[0], v[1]), x, total, shape=ctx.shape(), dtype=DType.F32)


def _need_full_size(ctx: Context, place: View, dim: int) -> None:
    sizes = [
        (a, b) for d, (a, b) in enumerate(zip(place.shape, ctx.shape(), strict=True)) if d != dim
    ]
    if any(a != b for a, b in sizes):
        ctx.refuse(f"index {place.shape} must cover {ctx.shape()} but for dimension {dim}")
