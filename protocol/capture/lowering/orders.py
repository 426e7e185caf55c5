"""Reductions that keep or place elements: extremes, their indices, any, all, running sums."""

from __future__ import annotations

from typing import Any

import torch

from protocol.capture.lowering.context import Context, aten, lowers
from protocol.capture.lowering.pointwise import cast
from protocol.capture.lowering.reductions import keep_dims, plain_fold, reduced_dims
from protocol.capture.values import STORED, Full, Lowered, elements
from protocol.program.body import Value, f32_word
from protocol.program.builder import FoldBuilder
from protocol.program.isa import DType, Type


@lowers(aten.amax.default, aten.amin.default)
def _amax(ctx: Context, x: Lowered, dims: Any = None, keepdim: bool = False) -> Lowered:
    view = ctx.view(x)
    over = reduced_dims(dims, len(view.shape))
    largest = ctx.node.target is aten.amax.default
    if view.dtype is DType.F32:
        init = f32_word(float("-inf") if largest else float("inf"))
        result = plain_fold(
            ctx,
            view,
            over,
            DType.F32,
            init,
            lambda b, acc, v: b.max(acc, v) if largest else b.min(acc, v),
        )
    else:
        init = 0x80000000 if largest else 0x7FFFFFFF
        result = plain_fold(
            ctx,
            view,
            over,
            DType.I32,
            init,
            lambda b, acc, v: b.imax(acc, v) if largest else b.imin(acc, v),
        )
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
    """Two nodes: the extreme value, then the first index that holds it (the first NaN wins)."""
    view = ctx.view(x)
    if view.dtype is not DType.F32:
        ctx.refuse("only float32 is lowered; convert with .float()")
    if dim is None:
        count = (elements(view.shape),)
        view, dim = view.reshape(count) or ctx.writer.copy(view, count, ctx.origin), 0
    if not view.shape:
        return Full((), Type.I, 0)
    dim %= len(view.shape)
    largest = ctx.node.target is aten.argmax.default
    init = f32_word(float("-inf") if largest else float("inf"))
    best = plain_fold(
        ctx,
        view,
        [dim],
        DType.F32,
        init,
        lambda b, acc, v: b.max(acc, v) if largest else b.min(acc, v),
    )
    kept = best.shape
    b = FoldBuilder(DType.I32, kept, (view.shape[dim],), init=0xFFFFFFFF)
    at = [b.out(i) for i in range(len(kept))]
    value = view.load(b, [*at[:dim], b.red(0), *at[dim:]])
    extreme = best.load(b, at)
    hit = b.ior(b.feq(value, extreme), b.iand(_nan(b, value), _nan(b, extreme)))
    first = b.iand(hit, b.ilt(b.acc, b.i32(0)))
    index = ctx.finish(b, b.select(first, b.coordinate(len(kept)), b.acc))
    return index.unsqueeze(dim) if keepdim else index


def _nan(b: FoldBuilder, x: Value) -> Value:
    return b.not_(b.feq(x, x))


@lowers(aten.cumsum.default)
def _cumsum(ctx: Context, x: Lowered, dim: int, **_: Any) -> Lowered:
    """Term r of element o is x[o - (n - 1) + r]; what lies before the start is skipped."""
    source, target = ctx.argument_dtype(0), ctx.torch_dtype()
    if STORED[source] is not STORED[target]:
        x = ctx.lazy(
            lambda b, v: cast(b, v[0], source, target), x, shape=x.shape, dtype=STORED[target]
        )
    if not x.shape:
        return x
    view = ctx.view(x)
    dim %= len(view.shape)
    b = FoldBuilder(view.dtype, view.shape, (view.shape[dim],))
    at = [b.out(i) for i in range(len(view.shape))]
    at[dim] = at[dim] + b.red(0) + (1 - view.shape[dim])
    value = view.load(b, at, skip=True)
    total = b.add(b.acc, value) if view.dtype is DType.F32 else b.iadd(b.acc, value)
    return ctx.finish(b, total)
