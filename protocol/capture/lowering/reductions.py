"""Sums in the order that every executor keeps, and folds that need no split.

Rows (the contiguous dimension): lane l of 32 takes x[l], x[l+32], ..., then the lanes in order;
above 32,768 terms first in blocks of 1,024. Columns: blocks of 256 rows, then the blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from protocol.capture.lowering.context import Context, aten, lowers
from protocol.capture.lowering.pointwise import cast
from protocol.capture.values import STORED, Lowered, View, elements
from protocol.program.body import Value
from protocol.program.builder import Affine, FoldBuilder
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
    if not dims:
        return list(range(rank))
    return sorted({d % rank for d in dims})


def keep_dims(view: View, dims: Sequence[int]) -> View:
    """``view`` with a size-1 dimension at each of ``dims``."""
    for dim in dims:
        view = view.unsqueeze(dim)
    return view


def float_sum(ctx: Context, view: View, dims: Sequence[int], minus: View | None = None) -> View:
    """Sum over ``dims``; with ``minus`` (broadcastable) the sum of squared differences."""
    other = None if minus is None else minus.expand(view.shape)
    left = list(dims)
    while left:
        run = _last_run(view, left, other)
        view, dim = _joined(view, run)
        if other is not None:
            other, _ = _joined(other, run)
        left = left[: len(left) - len(run)]
        smallest = min(
            (s for s, n in zip(view.strides, view.shape, strict=True) if n > 1 and s), default=0
        )
        is_row = view.strides[dim] <= smallest
        reduce_one = _sum_row if is_row else _sum_column
        view = reduce_one(ctx, view, dim, other)
        other = None
    return view


def _last_run(view: View, left: list[int], other: View | None) -> list[int]:
    """The longest tail of neighbouring dimensions that one affine coordinate can walk."""
    run = [left[-1]]
    for dim in reversed(left[:-1]):
        if dim != run[0] - 1:
            break
        longer = [dim, *run]
        if _try_join(view, longer) is None:
            break
        if other is not None and _try_join(other, longer) is None:
            break
        run = longer
    return run


def _try_join(view: View, run: list[int]) -> View | None:
    first, last = run[0], run[-1]
    length = elements(view.shape[first : last + 1])
    return view.reshape((*view.shape[:first], length, *view.shape[last + 1 :]))


def _joined(view: View, run: list[int]) -> tuple[View, int]:
    joined = _try_join(view, run)
    assert joined is not None
    return joined, run[0]


def _term(
    b: FoldBuilder, view: View, other: View | None, at: Sequence[Affine], skip: bool
) -> Value:
    x = view.load(b, at, skip=skip)
    if other is None:
        return b.add(b.acc, x)
    difference = b.sub(x, other.load(b, at))
    return b.fma(difference, difference, b.acc)


def _sum_whole(ctx: Context, view: View, dim: int, other: View | None) -> View:
    kept = view.shape[:dim] + view.shape[dim + 1 :]
    b = FoldBuilder(DType.F32, kept, (view.shape[dim],))
    at = [b.out(i) for i in range(len(kept))]
    at.insert(dim, b.red(0))
    return ctx.finish(b, _term(b, view, other, at, skip=False))


def _sum_row(ctx: Context, view: View, dim: int, other: View | None) -> View:
    length = view.shape[dim]
    kept = view.shape[:dim] + view.shape[dim + 1 :]
    if length <= LANES:
        return _sum_whole(ctx, view, dim, other)
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
    lanes = ctx.finish(b, _term(b, view, other, at, skip=ragged))
    sums = _sum_whole(ctx, lanes, len(lanes.shape) - 1, None)
    return sums if len(sums.shape) == len(kept) else _sum_row(ctx, sums, len(kept), None)


def _sum_column(ctx: Context, view: View, dim: int, other: View | None) -> View:
    rows = view.shape[dim]
    if rows <= ROWS_PER_BLOCK:
        return _sum_whole(ctx, view, dim, other)
    kept = view.shape[:dim] + view.shape[dim + 1 :]
    b = FoldBuilder(DType.F32, (-(-rows // ROWS_PER_BLOCK), *kept), (ROWS_PER_BLOCK,))
    at = [b.out(1 + i) for i in range(len(kept))]
    at.insert(dim, b.out(0) * ROWS_PER_BLOCK + b.red(0))
    partial = ctx.finish(b, _term(b, view, other, at, skip=rows % ROWS_PER_BLOCK != 0))
    return _sum_column(ctx, partial, 0, None)


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
    view = ctx.view(x)
    over = reduced_dims(dims, len(view.shape))
    if STORED[target].type is Type.F:
        result = float_sum(ctx, view, over)
    else:
        result = plain_fold(ctx, view, over, DType.I32, 0, lambda b, acc, v: b.iadd(acc, v))
    return keep_dims(result, over) if keepdim else result


@lowers(aten.mean.dim, aten.mean.default)
def _mean(ctx: Context, x: Lowered, dims: Any = None, keepdim: bool = False, **_: Any) -> Lowered:
    if ctx.argument_dtype(0) is not torch.float32:
        ctx.refuse("the mean of integers is not lowered; convert with .float()")
    view = ctx.view(x)
    over = reduced_dims(dims, len(view.shape))
    return _divided(ctx, view, over, float_sum(ctx, view, over), 0, keepdim)


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
    mean = ctx.view(_divided(ctx, view, over, float_sum(ctx, view, over), 0, keepdim=True))
    squares = float_sum(ctx, view, over, minus=mean)
    correction = 1 if correction is None else correction
    variance = ctx.view(_divided(ctx, view, over, squares, correction, keepdim))
    if ctx.node.target is aten.var.correction:
        return variance
    return variance, mean if keepdim else mean.squeeze(over)


def _divided(
    ctx: Context, view: View, over: list[int], total: View, correction: float, keepdim: bool
) -> Lowered:
    count = elements([view.shape[dim] for dim in over])
    total = keep_dims(total, over) if keepdim else total
    divisor = ctx.float_full(float(count - correction))
    return ctx.lazy(
        lambda b, v: b.div(v[0], v[1]), total, divisor, shape=total.shape, dtype=DType.F32
    )


@lowers(aten.linalg_vector_norm.default)
def _norm(
    ctx: Context,
    x: Lowered,
    order: float = 2,
    dims: Any = None,
    keepdim: bool = False,
    **_: Any,
) -> Lowered:
    if order != 2:
        ctx.refuse(f"only the 2-norm is lowered, not order {order}; write it with abs and sum")
    view = ctx.view(x)
    over = reduced_dims(dims, len(view.shape))
    zero = ctx.view(ctx.float_full(0.0))
    total = float_sum(ctx, view, over, minus=zero)
    total = keep_dims(total, over) if keepdim else total
    return ctx.lazy(lambda b, v: b.sqrt(v[0]), total, shape=total.shape, dtype=DType.F32)
