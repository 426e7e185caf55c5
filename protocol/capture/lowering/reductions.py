"""Sums in the order that every executor keeps, and folds that need no split.

Rows (the contiguous dimension): lane l of 32 takes x[l], x[l+32], ..., then the lanes in order;
above 32,768 terms first in blocks of 1,024. Columns: blocks of 256 rows, then the blocks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from protocol.capture.lowering.context import Context, aten, lowers
from protocol.capture.lowering.pointwise import cast
from protocol.capture.writing.values import STORED, Lazy, Lowered, Shape, View, elements, reshaped
from protocol.capture.writing.writer import Place
from protocol.program import elementary
from protocol.program.body import Value, f32_word
from protocol.program.builder import Affine, BodyTooLarge, FoldBuilder
from protocol.program.isa import DType, Type

LANES = 32
BLOCK = 1_024
LONGEST_ROW = 32_768
ROWS_PER_BLOCK = 256

# acc, loaded word -> new acc
Combine = Callable[[FoldBuilder, Value, Value], Value]


def reduced_dims(dims: Sequence[int] | int | None, rank: int) -> list[int]:
    """Dimensions to reduce, ascending; none given means all."""
    if isinstance(dims, int):
        dims = [dims]
    if not dims or rank == 0:
        return list(range(rank))
    return sorted({d % rank for d in dims})


def keep_dims(view: View, dims: Sequence[int]) -> View:
    """``view`` with a size-1 dimension at each of ``dims``."""
    for dim in dims:
        view = view.unsqueeze(dim)
    return view


def float_sum(ctx: Context, source: Lowered, dims: Sequence[int], square: bool = False) -> View:
    """Sum over ``dims`` of the elements or of their squares.

    A waiting expression is computed inside the first fold, unless that makes it too large.
    """
    if isinstance(source, Lazy) and source.stored is None:
        try:
            if source.views():
                return _sum_runs(ctx, source, list(dims), square)
        except BodyTooLarge:
            pass
    return _sum_runs(ctx, ctx.view(source), list(dims), square)


def _sum_runs(ctx: Context, source: Lowered, left: list[int], square: bool) -> View:
    """One run of neighbouring dimensions after the other, the last one first."""
    if not left and square:  # a single number: its square is the whole sum
        source = ctx.lazy(
            lambda b, v: b.mul(v[0], v[0]), source, shape=source.shape, dtype=DType.F32
        )
    while left:
        run = _last_run(source, left)
        joined = _try_join(source, run)
        assert joined is not None
        left = left[: len(left) - len(run)]
        reduce_one = _sum_row if _is_row(joined, run[0]) else _sum_column
        source, square = reduce_one(ctx, joined, run[0], square), False
    return ctx.view(source)


def _last_run(source: Lowered, left: list[int]) -> list[int]:
    """The longest tail of neighbouring dimensions that one affine coordinate can walk."""
    run = [left[-1]]
    for dim in reversed(left[:-1]):
        if dim != run[0] - 1 or _try_join(source, [dim, *run]) is None:
            break
        run = [dim, *run]
    return run


def _try_join(source: Lowered, run: list[int]) -> Lowered | None:
    if len(run) == 1:
        return source
    first, last = run[0], run[-1]
    length = elements(source.shape[first : last + 1])
    return reshaped(source, (*source.shape[:first], length, *source.shape[last + 1 :]))


def _is_row(source: Lowered, dim: int) -> bool:
    """Is ``dim`` the one along which the largest operand is contiguous?"""
    views = [source] if isinstance(source, View) else getattr(source, "views", list)()
    leader = max(views, key=lambda view: sum(1 for s in view.strides if s))
    strides = [s for s, n in zip(leader.strides, leader.shape, strict=True) if n > 1 and s]
    return bool(leader.strides[dim] <= min(strides, default=0))


def _term(
    ctx: Context,
    b: FoldBuilder,
    source: Lowered,
    at: Sequence[Affine],
    square: bool,
    skip: bool = False,
) -> Value:
    value = ctx.writer.emit(b, source, Place(source.shape, tuple(at), skip))
    return b.fma(value, value, b.acc) if square else b.add(b.acc, value)


def _sum_whole(ctx: Context, source: Lowered, dim: int, square: bool = False) -> View:
    kept = source.shape[:dim] + source.shape[dim + 1 :]
    b = FoldBuilder(DType.F32, kept, (source.shape[dim],))
    at = [b.out(i) for i in range(len(kept))]
    at.insert(dim, b.red(0))
    return ctx.finish(b, _term(ctx, b, source, at, square))


def _sum_row(ctx: Context, source: Lowered, dim: int, square: bool = False) -> View:
    length = source.shape[dim]
    kept = source.shape[:dim] + source.shape[dim + 1 :]
    if length <= LANES:
        return _sum_whole(ctx, source, dim, square)
    if length <= LONGEST_ROW:
        b = FoldBuilder(DType.F32, (*kept, LANES), (-(-length // LANES),))
        place = b.red(0) * LANES + b.out(len(kept))
        ragged = length % LANES != 0
    else:
        blocks = -(-length // BLOCK)
        b = FoldBuilder(DType.F32, (*kept, blocks, LANES), (BLOCK // LANES,))
        place = b.out(len(kept)) * BLOCK + b.red(0) * LANES + b.out(len(kept) + 1)
        ragged = length % BLOCK != 0
    at = [b.out(i) for i in range(len(kept))]
    at.insert(dim, place)
    lanes = ctx.finish(b, _term(ctx, b, source, at, square, skip=ragged))
    sums = _sum_whole(ctx, lanes, len(lanes.shape) - 1)
    return sums if len(sums.shape) == len(kept) else _sum_row(ctx, sums, len(kept))


def _sum_column(ctx: Context, source: Lowered, dim: int, square: bool = False) -> View:
    rows = source.shape[dim]
    if rows <= ROWS_PER_BLOCK:
        return _sum_whole(ctx, source, dim, square)
    kept = source.shape[:dim] + source.shape[dim + 1 :]
    b = FoldBuilder(DType.F32, (-(-rows // ROWS_PER_BLOCK), *kept), (ROWS_PER_BLOCK,))
    at = [b.out(1 + i) for i in range(len(kept))]
    at.insert(dim, b.out(0) * ROWS_PER_BLOCK + b.red(0))
    ragged = rows % ROWS_PER_BLOCK != 0
    partial = ctx.finish(b, _term(ctx, b, source, at, square, skip=ragged))
    return _sum_column(ctx, partial, 0)


def plain_fold(
    ctx: Context, view: View, dims: Sequence[int], dtype: DType, init: int, combine: Combine
) -> View:
    """One node over all of ``dims``, for operations whose order cannot matter."""
    kept = [d for d in range(len(view.shape)) if d not in dims]
    domain = [view.shape[d] for d in dims]
    b = FoldBuilder(dtype, [view.shape[d] for d in kept], domain, init)
    at = [
        b.out(kept.index(d)) if d in kept else b.red(list(dims).index(d))
        for d in range(len(view.shape))
    ]
    return ctx.finish(b, combine(b, b.acc, view.load(b, at)))


@lowers(aten.sum.dim_IntList, aten.sum.default)
def _sum(ctx: Context, x: Lowered, dims: Any = None, keepdim: bool = False, **_: Any) -> Lowered:
    source, target = ctx.argument_dtype(0), ctx.torch_dtype()
    if STORED[source].type is not STORED[target].type:
        x = ctx.lazy(
            lambda b, v: cast(b, v[0], source, target), x, shape=x.shape, dtype=STORED[target]
        )
    over = reduced_dims(dims, len(x.shape))
    if STORED[target].type is Type.F:
        result = float_sum(ctx, x, over)
    else:
        view = ctx.view(x)
        result = plain_fold(ctx, view, over, DType.I32, 0, lambda b, acc, v: b.iadd(acc, v))
    return keep_dims(result, over) if keepdim else result


@lowers(aten.mean.dim, aten.mean.default)
def _mean(ctx: Context, x: Lowered, dims: Any = None, keepdim: bool = False, **_: Any) -> Lowered:
    if ctx.argument_dtype(0) is not torch.float32:
        ctx.refuse("the mean of integers is not lowered; convert with .float()")
    over = reduced_dims(dims, len(x.shape))
    return _divided(ctx, x.shape, over, float_sum(ctx, x, over), 0, keepdim)


@lowers(aten.var_mean.correction, aten.var.correction)
def _var_mean(
    ctx: Context,
    x: Lowered,
    dims: Any = None,
    *,
    correction: float | None = None,
    keepdim: bool = False,
) -> Any:
    """Two passes: the mean, then the sum of squared differences (exact for constant rows)."""
    view = ctx.view(x)
    over = reduced_dims(dims, len(view.shape))
    mean = ctx.view(_divided(ctx, view.shape, over, float_sum(ctx, view, over), 0, keepdim=True))
    centred = ctx.lazy(
        lambda b, v: b.sub(v[0], v[1]), view, mean, shape=view.shape, dtype=DType.F32
    )
    squares = float_sum(ctx, centred, over, square=True)
    correction = 1 if correction is None else correction
    variance = ctx.view(_divided(ctx, view.shape, over, squares, correction, keepdim))
    if ctx.node.target is aten.var.correction:
        return variance
    return variance, mean if keepdim else mean.squeeze(over)


def _divided(
    ctx: Context, shape: Shape, over: list[int], total: View, correction: float, keepdim: bool
) -> Lowered:
    count = elements([shape[dim] for dim in over])
    total = keep_dims(total, over) if keepdim else total
    divisor = ctx.float_full(float(count - correction))
    return ctx.lazy(
        lambda b, v: b.div(v[0], v[1]), total, divisor, shape=total.shape, dtype=DType.F32
    )


@lowers(aten.prod.default, aten.prod.dim_int)
def _prod(ctx: Context, x: Lowered, dim: int | None = None, keepdim: bool = False, **_: Any) -> Any:
    """The factors in row-major order, from 1."""
    source, target = ctx.argument_dtype(0), ctx.torch_dtype()
    if STORED[source] is not STORED[target]:
        x = ctx.lazy(
            lambda b, v: cast(b, v[0], source, target), x, shape=x.shape, dtype=STORED[target]
        )
    view = ctx.view(x)
    over = reduced_dims(None if dim is None else [dim], len(view.shape))
    if STORED[target].type is Type.F:
        init, combine = f32_word(1.0), _times
    else:
        init, combine = 1, _integer_times
    result = plain_fold(ctx, view, over, ctx.dtype(), init, combine)
    return keep_dims(result, over) if keepdim else result


def _times(b: FoldBuilder, acc: Value, v: Value) -> Value:
    return b.mul(acc, v)


def _integer_times(b: FoldBuilder, acc: Value, v: Value) -> Value:
    return b.imul(acc, v)


@lowers(aten.linalg_vector_norm.default)
def _norm(
    ctx: Context,
    x: Lowered,
    order: float = 2,
    dims: Any = None,
    keepdim: bool = False,
    **_: Any,
) -> Lowered:
    """(sum of abs(x)^p)^(1/p); the largest or smallest abs(x) for an infinite p."""
    if ctx.argument_dtype(0) is not ctx.torch_dtype():
        ctx.refuse("only float32 is lowered; convert with .float()")
    over = reduced_dims(dims, len(x.shape))
    if math.isinf(order):
        total: Lowered = _extreme_size(ctx, x, over, order > 0)
    elif order == 2:
        total = float_sum(ctx, x, over, square=True)
    else:
        total = float_sum(ctx, _powers(ctx, x, order), over)
    total = ctx.view(total)
    total = keep_dims(total, over) if keepdim else total
    if math.isinf(order) or order in (0, 1):
        return total

    def root(b: FoldBuilder, v: Sequence[Value]) -> Value:
        return b.sqrt(v[0]) if order == 2 else elementary.power(b, v[0], b.f32(1 / order))

    return ctx.lazy(root, total, shape=total.shape, dtype=DType.F32)


def _extreme_size(ctx: Context, x: Lowered, over: list[int], largest: bool) -> View:
    sizes = ctx.lazy(lambda b, v: b.abs(v[0]), x, shape=x.shape, dtype=DType.F32)
    return plain_fold(
        ctx,
        ctx.view(sizes),
        over,
        DType.F32,
        f32_word(0.0 if largest else math.inf),
        lambda b, acc, v: b.max(acc, v) if largest else b.min(acc, v),
    )


def _powers(ctx: Context, x: Lowered, order: float) -> Lowered:
    def emit(b: FoldBuilder, v: Sequence[Value]) -> Value:
        if order == 0:
            return b.select(b.feq(v[0], b.f32(0.0)), b.f32(0.0), b.f32(1.0))
        size = b.abs(v[0])
        return size if order == 1 else elementary.power(b, size, b.f32(order))

    return ctx.lazy(emit, x, shape=x.shape, dtype=DType.F32)
