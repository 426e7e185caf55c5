"""Matrix products: acc = fma(a, b, acc) over k in increasing order, starting from +0."""

from __future__ import annotations

from protocol.capture.lowering.context import Context, aten, lowers
from protocol.capture.writing.values import Lowered, View
from protocol.program.builder import FoldBuilder
from protocol.program.isa import DType


@lowers(aten.mm.default)
def _mm(ctx: Context, a: Lowered, b: Lowered) -> View:
    left, right = ctx.views(a, b)
    fold = FoldBuilder(DType.F32, (left.shape[0], right.shape[1]), (left.shape[1],))
    x = left.load(fold, [fold.out(0), fold.red(0)])
    y = right.load(fold, [fold.red(0), fold.out(1)])
    return ctx.finish(fold, fold.fma(x, y, fold.acc))


@lowers(aten.bmm.default)
def _bmm(ctx: Context, a: Lowered, b: Lowered) -> View:
    left, right = ctx.views(a, b)
    batch, rows, inner = left.shape
    fold = FoldBuilder(DType.F32, (batch, rows, right.shape[2]), (inner,))
    x = left.load(fold, [fold.out(0), fold.out(1), fold.red(0)])
    y = right.load(fold, [fold.out(0), fold.red(0), fold.out(2)])
    return ctx.finish(fold, fold.fma(x, y, fold.acc))


@lowers(aten.dot.default)
def _dot(ctx: Context, a: Lowered, b: Lowered) -> View:
    left, right = ctx.views(a, b)
    fold = FoldBuilder(DType.F32, (), left.shape)
    product = fold.fma(left.load(fold, [fold.red(0)]), right.load(fold, [fold.red(0)]), fold.acc)
    return ctx.finish(fold, product)


@lowers(aten.mv.default)
def _mv(ctx: Context, a: Lowered, b: Lowered) -> View:
    left, right = ctx.views(a, b)
    fold = FoldBuilder(DType.F32, (left.shape[0],), (left.shape[1],))
    x = left.load(fold, [fold.out(0), fold.red(0)])
    return ctx.finish(fold, fold.fma(x, right.load(fold, [fold.red(0)]), fold.acc))
