"""Reductions that keep or place elements: extremes, their indices, any, all, running sums."""

from __future__ import annotations

from typing import Any

import torch

from protocol.capture.lowering.context import Context, aten, lowers
from protocol.capture.lowering.pointwise import cast
from protocol.capture.lowering.reductions import keep_dims, plain_fold, reduced_dims
from protocol.capture.writing.values import STORED, Full, Lowered, View, elements
from protocol.program.body import Value, f32_word
from protocol.program.builder import FoldBuilder
from protocol.program.isa import DType, Type


@lowers(aten.amax.default, aten.amin.default)
def _amax(ctx: Context, x: Lowered, dims: Any = None, keepdim: bool = False) -> Lowered:
    view = ctx.view(x)
    over = reduced_dims(dims, len(view.shape))
    result = _extreme_value(ctx, view, over, ctx.node.target is aten.amax.default)
    return keep_dims(result, over) if keepdim else result


@lowers(aten.any.default, aten.any.dim, aten.any.dims, aten.all.default, aten.all.dim)
def _any(ctx: Context, x: Lowered, dims: Any = None, keepdim: bool = False) -> Lowered:
    source = ctx.argument_dtype(0)
    flag = ctx.lazy(
        lambda b, v: cast(b, v[0], source, torch.bool), x, shape=x.shape, dtype=DType.U8
    )
    view = ctx.view(x if source is torch.bool else flag)
    over = reduced_dims(dims, len(view.shape))
    is_any = ctx.operator == "aten.any"
    result = plain_fold(
        ctx,
        view,
        over,
        DType.U8,
        0 if is_any else 1,
        lambda b, acc, v: b.ior(acc, v) if is_any else b.iand(acc, v),
    )
    return keep_dims(result, over) if keepdim else result


@lowers(aten.argmax.default, aten.argmin.default)
def _argmax(ctx: Context, x: Lowered, dim: int | None = None, keepdim: bool = False) -> Lowered:
    view = ctx.view(x)
    if dim is None:
        count = (elements(view.shape),)
        view, dim = view.reshape(count) or ctx.writer.copy(view, count, ctx.origin), 0
    if not view.shape:
        return Full((), Type.I, 0)
    _, index = _extreme(ctx, view, dim, ctx.node.target is aten.argmax.default)
    return index.unsqueeze(dim % len(view.shape)) if keepdim else index


@lowers(aten.max.dim, aten.min.dim)
def _max_of_rows(ctx: Context, x: Lowered, dim: int, keepdim: bool = False) -> Any:
    view = ctx.view(x)
    if not view.shape:
        return view, Full((), Type.I, 0)
    pair = _extreme(ctx, view, dim, ctx.node.target is aten.max.dim)
    return tuple(v.unsqueeze(dim % len(view.shape)) for v in pair) if keepdim else pair


@lowers(aten.max.default, aten.min.default)
def _max(ctx: Context, x: Lowered) -> Lowered:
    view = ctx.view(x)
    over = reduced_dims(None, len(view.shape))
    return _extreme_value(ctx, view, over, ctx.node.target is aten.max.default)


def _extreme_value(ctx: Context, view: View, over: list[int], largest: bool) -> View:
    if view.dtype is DType.F32:
        init = f32_word(float("-inf") if largest else float("inf"))
        return plain_fold(
            ctx,
            view,
            over,
            DType.F32,
            init,
            lambda b, acc, v: b.max(acc, v) if largest else b.min(acc, v),
        )
    init = 0x80000000 if largest else 0x7FFFFFFF
    if view.dtype is DType.U8:
        init = 0 if largest else 0xFF
    return plain_fold(
        ctx,
        view,
        over,
        view.dtype,
        init,
        lambda b, acc, v: b.imax(acc, v) if largest else b.imin(acc, v),
    )


def _extreme(ctx: Context, view: View, dim: int, largest: bool) -> tuple[View, View]:
    """Two nodes: the extreme value, then the first index that holds it (the first NaN wins)."""
    dim %= len(view.shape)
    best = _extreme_value(ctx, view, [dim], largest)
    kept = best.shape
    b = FoldBuilder(DType.I32, kept, (view.shape[dim],), init=0xFFFFFFFF)
    at = [b.out(i) for i in range(len(kept))]
    value = view.load(b, [*at[:dim], b.red(0), *at[dim:]])
    hit = _same(b, value, best.load(b, at))
    first = b.iand(hit, b.ilt(b.acc, b.i32(0)))
    return best, ctx.finish(b, b.select(first, b.coordinate(len(kept)), b.acc))


def _same(b: FoldBuilder, x: Value, y: Value) -> Value:
    """Equal numbers, or two NaNs."""
    if x.type is Type.I:
        return b.ieq(x, y)
    return b.ior(b.feq(x, y), b.iand(_nan(b, x), _nan(b, y)))


def _nan(b: FoldBuilder, x: Value) -> Value:
    return b.not_(b.feq(x, x))


@lowers(aten.cumsum.default, aten.cumprod.default)
def _cumsum(ctx: Context, x: Lowered, dim: int, **_: Any) -> Lowered:
    """Term r of element o is x[o - (n - 1) + r]; what lies before the start is skipped."""
    source, target = ctx.argument_dtype(0), ctx.torch_dtype()
    if STORED[source] is not STORED[target]:
        x = ctx.lazy(
            lambda b, v: cast(b, v[0], source, target), x, shape=x.shape, dtype=STORED[target]
        )
    if not x.shape:
        return x
    real, sums = ctx.dtype() is DType.F32, ctx.node.target is aten.cumsum.default
    init = 0 if sums else (f32_word(1.0) if real else 1)
    b, value = _running(ctx.view(x), dim, init)
    if sums:
        return ctx.finish(b, b.add(b.acc, value) if real else b.iadd(b.acc, value))
    return ctx.finish(b, b.mul(b.acc, value) if real else b.imul(b.acc, value))


def _running(
    view: View, dim: int, init: int, dtype: DType | None = None
) -> tuple[FoldBuilder, Value]:
    """A fold over the elements up to each one: the builder and its term."""
    dim %= len(view.shape)
    b = FoldBuilder(dtype or view.dtype, view.shape, (view.shape[dim],), init)
    at = [b.out(i) for i in range(len(view.shape))]
    at[dim] = at[dim] + b.red(0) + (1 - view.shape[dim])
    return b, view.load(b, at, skip=True)


@lowers(aten.cummax.default, aten.cummin.default)
def _cummax(ctx: Context, x: Lowered, dim: int) -> Any:
    """The running extreme, then the last index up to each element that holds it."""
    view = ctx.view(x)
    if not view.shape:
        return view, Full((), Type.I, 0)
    if view.dtype is not DType.F32:
        ctx.refuse("only float32 is lowered; convert with .float()")
    largest = ctx.node.target is aten.cummax.default
    b, value = _running(view, dim, f32_word(float("-inf") if largest else float("inf")))
    best = ctx.finish(b, b.max(b.acc, value) if largest else b.min(b.acc, value))
    b, value = _running(view, dim, 0, DType.I32)
    own = best.load(b, [b.out(i) for i in range(len(view.shape))])
    dim %= len(view.shape)
    term = b.iadd(b.coordinate(dim), b.coordinate(len(view.shape)))
    position = b.iadd(term, b.i32(1 - view.shape[dim]))
    return best, ctx.finish(b, b.select(_same(b, value, own), position, b.acc))
