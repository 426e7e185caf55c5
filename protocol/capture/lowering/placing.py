"""Writing at addresses that come from integer tensors: index_put and scatter.

Where several terms name one element, sums add them in row-major order of the index, from +0, and
what was there before is added last; without accumulation the last one wins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from protocol.capture.lowering.context import Context, aten, lowers
from protocol.capture.lowering.indexing import are_neighbours, wrapped
from protocol.capture.writing.values import Full, Lowered, Shape, View, elements
from protocol.program.body import Body, Value, f32_word
from protocol.program.builder import Affine, FoldBuilder
from protocol.program.isa import MAX_GUARDS, WORD_MASK, DType, Type

_NOWHERE = WORD_MASK  # -1: no coordinate equals it


@lowers(aten.index_put.default, aten._unsafe_index_put.default)
def _index_put(
    ctx: Context,
    x: Lowered,
    indices: Sequence[Lowered | None],
    values: Lowered,
    accumulate: bool = False,
) -> Lowered:
    masks = [i for i in ctx.node.args[1] if i is not None]  # type: ignore[union-attr]
    if masks[0].meta["val"].dtype is torch.bool:  # type: ignore[union-attr]
        return _masked_put(ctx, x, indices, values, accumulate)
    used = [d for d, index in enumerate(indices) if index is not None]
    if len(used) > MAX_GUARDS:
        ctx.refuse(f"{len(used)} index tensors at once, at most {MAX_GUARDS} are lowered")
    views = [wrapped(ctx, indices[d], ctx.shape()[d]) for d in used]
    common: Shape = np.broadcast_shapes(*(view.shape for view in views))
    views = [view.expand(common) for view in views]
    before = [ctx.shape()[d] for d in range(len(ctx.shape())) if d not in used]
    first = used[0] if are_neighbours(used) else 0
    shape = (*before[:first], *common, *before[first:])
    if accumulate:
        return _accumulated(ctx, x, dict(zip(used, views, strict=True)), values, shape, first)
    return _replaced(ctx, x, dict(zip(used, views, strict=True)), values, shape, first)


def _accumulated(
    ctx: Context,
    x: Lowered,
    index: dict[int, View],
    values: Lowered,
    shape: Shape,
    first: int,
) -> Lowered:
    if ctx.dtype() is DType.U8:
        ctx.refuse("accumulating bools or bytes is not lowered; convert with .float()")
    source = ctx.view(values).expand(shape)
    common = next(iter(index.values())).shape
    b = FoldBuilder(ctx.dtype(), ctx.shape(), common)
    at = [b.red(i) for i in range(len(common))]
    for dim, view in index.items():
        b.guard(view.load(b, at), dim)
    rest = [b.out(d) for d in range(len(b.shape)) if d not in index]
    value = source.load(b, [*rest[:first], *at, *rest[first:]])
    total = ctx.finish(b, _plus(b, b.acc, value))
    if isinstance(x, Full) and x.value == 0:
        return total
    return ctx.lazy(lambda b, v: _plus(b, v[0], v[1]), x, total, shape=b.shape, dtype=b.dtype)


def _plus(b: Body, x: Value, y: Value) -> Value:
    return b.add(x, y) if x.type is Type.F else b.iadd(x, y)


def _replaced(
    ctx: Context,
    x: Lowered,
    index: dict[int, View],
    values: Lowered,
    shape: Shape,
    first: int,
) -> Lowered:
    """Two nodes: the last position of the index that names an element, then its value."""
    common = next(iter(index.values())).shape
    b = FoldBuilder(DType.I32, [ctx.shape()[d] for d in index], common, init=_NOWHERE)
    at = [b.red(i) for i in range(len(common))]
    for place, view in enumerate(index.values()):
        b.guard(view.load(b, at), place)
    hit = ctx.finish(b, _flat(b, common))
    b = FoldBuilder(ctx.dtype(), ctx.shape())
    named = hit.load(b, [b.out(d) for d in index])
    if isinstance(values, Full):
        value = ctx.writer.emit(b, values)
    else:
        flat = (*shape[:first], elements(common), *shape[first + len(common) :])
        wide = ctx.view(values).expand(shape)
        source = wide.reshape(flat) or ctx.writer.copy(wide, flat, ctx.origin)
        rest = [b.out(d) for d in range(len(b.shape)) if d not in index]
        value = source.load(b, [*rest[:first], b.word_of(named), *rest[first:]])
    start = ctx.writer.emit(b, x if isinstance(x, Full) else ctx.view(x))
    return ctx.finish(b, b.select(b.ilt(named, b.i32(0)), start, value))


def _flat(b: FoldBuilder, common: Shape) -> Value:
    """Row-major position in the domain."""
    flat = b.i32(0)
    for i, size in enumerate(common):
        flat = b.iadd(b.imul(flat, b.i32(size)), b.coordinate(len(b.shape) + i))
    return flat


def _masked_put(
    ctx: Context,
    x: Lowered,
    indices: Sequence[Lowered | None],
    values: Lowered,
    accumulate: bool,
) -> Lowered:
    """One number at every place where a mask of the leading dimensions is true."""
    mask = ctx.view(indices[0]) if indices[0] is not None else None
    if mask is None or len(indices) != 1 or elements(values.shape) != 1:
        ctx.refuse("as many values as a mask has hits depend on data; use torch.where")
    rank = len(ctx.shape())
    for _ in range(rank - len(mask.shape)):
        mask = mask.unsqueeze(len(mask.shape))
    number = ctx.view(values).reshape(()) if not isinstance(values, Full) else values
    assert number is not None

    def emit(b: FoldBuilder, v: Sequence[Value]) -> Value:
        return b.select(v[0], _plus(b, v[1], v[2]) if accumulate else v[2], v[1])

    mask, dtype = mask.expand(ctx.shape()), ctx.dtype()
    return ctx.lazy(emit, mask, x, number, shape=ctx.shape(), dtype=dtype)


@lowers(aten.scatter.value, aten.scatter.src, elementwise=True)
def _scatter(ctx: Context, x: Lowered, dim: int, index: Lowered, source: Any) -> Lowered:
    """The last index that names an element wins; else the element keeps its value."""
    place, wide = _lines(ctx.view(index)), ctx.shape() or (1,)
    dim %= len(wide)
    scalar = isinstance(source, int | float)
    if place.shape[dim] == 1 and scalar and _covers(place, wide, dim) and ctx.shape():
        return _scatter_one(ctx, x, dim, place, float(source))
    b = FoldBuilder(ctx.dtype(), wide, (place.shape[dim],))
    at = [b.out(i) for i in range(len(b.shape))]
    at[dim] = b.red(0)
    named = _named(b, place, wide, dim, at)
    if scalar:
        value = b.f32(float(source)) if b.dtype is DType.F32 else b.i32(int(source))
    else:
        value = _lines(ctx.view(source)).load(b, at)
    start = ctx.writer.emit(b, x if isinstance(x, Full) else _lines(ctx.view(x)))
    before = b.select(b.not_(b.coordinate(len(b.shape))), start, b.acc)
    result = ctx.finish(b, b.select(b.ieq(named, b.coordinate(dim)), value, before))
    return result if ctx.shape() else result.select(0, 0)


def _lines(view: View) -> View:
    """A single number as one line."""
    return view if view.shape else view.unsqueeze(0)


def _covers(place: View, shape: Shape, dim: int) -> bool:
    """Does the index reach every line?"""
    return all(a == b for d, (a, b) in enumerate(zip(place.shape, shape, strict=True)) if d != dim)


def _named(b: FoldBuilder, place: View, shape: Shape, dim: int, at: Sequence[Affine]) -> Value:
    """The coordinate that the index names; none on lines that the index does not reach."""
    return place.load(b, at, fill=0 if _covers(place, shape, dim) else _NOWHERE)


def _scatter_one(ctx: Context, x: Lowered, dim: int, place: View, source: float) -> Lowered:
    """A single index per line, as a loss has it: no reduction, so it can join its consumer."""
    dtype = ctx.dtype()

    def emit(b: FoldBuilder, v: Sequence[Value]) -> Value:
        value = b.f32(source) if dtype is DType.F32 else b.i32(int(source))
        return b.select(b.ieq(v[1], b.coordinate(dim)), value, v[0])

    return ctx.lazy(emit, x, place, shape=ctx.shape(), dtype=ctx.dtype(), placed=True)


@lowers(aten.scatter_add.default)
def _scatter_add(ctx: Context, x: Lowered, dim: int, index: Lowered, source: Lowered) -> Lowered:
    total = _guarded(ctx, dim, index, source, 0, _plus)
    return ctx.lazy(
        lambda b, v: _plus(b, v[0], v[1]), x, total, shape=ctx.shape(), dtype=ctx.dtype()
    )


def _guarded(
    ctx: Context,
    dim: int,
    index: Lowered,
    source: Lowered,
    init: int,
    combine: Callable[[Body, Value, Value], Value],
) -> View:
    """Each element's fold over the values whose index names it."""
    dtype = ctx.dtype()
    if dtype is DType.U8:
        ctx.refuse("scattering bools or bytes is not lowered; convert with .float()")
    place, wide = _lines(ctx.view(index)), ctx.shape() or (1,)
    values = _lines(ctx.view(source))
    dim %= len(wide)
    b = FoldBuilder(dtype, wide, (place.shape[dim],), init)
    at = [b.out(i) for i in range(len(b.shape))]
    at[dim] = b.red(0)
    b.guard(_named(b, place, wide, dim, at), dim)
    total = ctx.finish(b, combine(b, b.acc, values.load(b, at)))
    return total if ctx.shape() else total.select(0, 0)


_REDUCTIONS: dict[str, tuple[float, Callable[[Body, Value, Value], Value]]] = {
    "sum": (0.0, _plus),
    "mean": (0.0, _plus),
    "prod": (1.0, lambda b, x, y: b.mul(x, y)),
    "amax": (float("-inf"), lambda b, x, y: b.max(x, y)),
    "amin": (float("inf"), lambda b, x, y: b.min(x, y)),
}


@lowers(aten.scatter_reduce.two)
def _scatter_reduce(
    ctx: Context,
    x: Lowered,
    dim: int,
    index: Lowered,
    source: Lowered,
    reduce: str,
    *,
    include_self: bool = True,
) -> Lowered:
    """The fold over the named values, then with the element that was there (if it counts)."""
    if ctx.dtype() is not DType.F32:
        ctx.refuse("only float32 is lowered; convert with .float()")
    init, combine = _REDUCTIONS[reduce]
    total = _guarded(ctx, dim, index, source, f32_word(init), combine)
    ones = ctx.view(ctx.float_full(1.0)).expand(ctx.view(source).shape)
    count = _guarded(ctx, dim, index, ones, 0, _plus)

    def emit(b: FoldBuilder, v: Sequence[Value]) -> Value:
        own, folded, number = v
        if include_self:
            both = combine(b, own, folded)
            return b.div(both, b.add(number, b.f32(1.0))) if reduce == "mean" else both
        value = b.div(folded, number) if reduce == "mean" else folded
        return b.select(b.feq(number, b.f32(0.0)), own, value)

    return ctx.lazy(emit, x, total, count, shape=ctx.shape(), dtype=DType.F32)
