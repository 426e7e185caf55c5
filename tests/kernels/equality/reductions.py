"""Sums, extremes and integer folds over rows, columns, windows and everything."""

from __future__ import annotations

import random

from protocol.program import expansions
from protocol.program.body import Value
from protocol.program.builder import Affine, FoldBuilder
from protocol.program.isa import DType, Op
from protocol.program.node import Node
from tests.kernels.equality.values import size, tensor
from tests.kernels.nodes import float_word, integer_word

LANES = 32
ROWS_PER_BLOCK = 256
EXACT_FLOAT = (Op.MIN, Op.MAX)
EXACT_INTEGER = (Op.IMIN, Op.IMAX, Op.IAND, Op.IOR, Op.IXOR, Op.IADD)
NEGATIVE_INFINITY = 0xFF800000


def _term(rng: random.Random, b: FoldBuilder, x: Value) -> Value:
    """What a sum adds up: x, its square, its exponential, or its product with another value."""
    style = rng.random()
    if style < 0.4:
        return b.add(b.acc, x)
    if style < 0.6:
        return b.fma(x, x, b.acc)
    if style < 0.8:
        return b.add(b.acc, expansions.exp(b, b.sub(x, b.f32(1.0))))
    return b.sub(b.mul(b.acc, b.f32(0.5)), x)  # the order of the terms counts twice


def row_lanes(rng: random.Random, most: int) -> Node:
    """Lane l of 32 adds x[l], x[l + 32], ...; beyond the row nothing."""
    rows, columns = size(rng, most), size(rng, 12 * most)
    terms = -(-columns // LANES)
    b = FoldBuilder(DType.F32, (rows, LANES), (terms,))
    place = b.red(0) * LANES + b.out(1)
    x = b.load(
        tensor(0, DType.F32, rows, columns),
        [b.out(0).axis(rows, columns), place.axis(columns, 1)],
        skip=columns % LANES != 0,
    )
    return b.finish(_term(rng, b, x))


def rows(rng: random.Random, most: int) -> Node:
    """Whole rows in order: the lanes' sum, or short rows."""
    count, length = size(rng, most), rng.choice((LANES, size(rng, 2 * most)))
    b = FoldBuilder(DType.F32, (count,), (length,), init=rng.choice((0, 0, float_word(rng))))
    axes = [b.out(0).axis(count, length), b.red(0).axis(length, 1)]
    return b.finish(_term(rng, b, b.load(tensor(0, DType.F32, count, length), axes)))


def columns(rng: random.Random, most: int) -> Node:
    """Blocks of rows summed by column; the last block is ragged."""
    block = rng.choice((ROWS_PER_BLOCK, 16))
    height, width = size(rng, 3 * block), size(rng, most)
    blocks = -(-height // block)
    b = FoldBuilder(DType.F32, (blocks, width), (block,))
    x = b.load(
        tensor(0, DType.F32, height, width),
        [(b.out(0) * block + b.red(0)).axis(height, width), b.out(1).axis(width, 1)],
        skip=height % block != 0,
    )
    return b.finish(_term(rng, b, x))


def everything(rng: random.Random, most: int) -> Node:
    """One to seven sums of many terms: lanes are terms."""
    count, length = rng.choice((1, 1, 2, 7)), size(rng, 25 * most)
    b = FoldBuilder(DType.F32, (count,) if count > 1 else (), (length,))
    axes = [b.red(0).axis(length, 1)]
    if count > 1:
        axes.insert(0, b.out(0).axis(count, length))
    x = b.load(tensor(0, DType.F32, count, length), axes)
    return b.finish(_term(rng, b, x))


def extremes(rng: random.Random, most: int) -> Node:
    """Folds that an executor may reorder: min, max, integer sums and bits; any type and view."""
    dtype = rng.choice((DType.F32, DType.F32, DType.I32, DType.U8))
    op = rng.choice(EXACT_FLOAT if dtype is DType.F32 else EXACT_INTEGER)
    count, length = rng.choice((1, 3, size(rng, most))), size(rng, 8 * most)
    init = rng.choice((0, NEGATIVE_INFINITY, float_word(rng))) if dtype is DType.F32 else (
        integer_word(rng)
    )  # fmt: skip
    by_row = rng.random() < 0.5
    strides = (length, 1) if by_row else (1, count)
    b = FoldBuilder(dtype, (count,), (length,), init)
    x = b.load(
        tensor(0, dtype, count * length),
        [b.out(0).axis(count, strides[0]), b.red(0).axis(length, strides[1])],
    )
    arguments = [b.acc, x]
    rng.shuffle(arguments)
    return b.finish(b.emit(op, *arguments))


def first_index(rng: random.Random, most: int) -> Node:
    """The second node of an argmax: the first place that holds the value, -1 if none does."""
    count, length = size(rng, most), size(rng, most)
    b = FoldBuilder(DType.I32, (count,), (length,), init=0xFFFFFFFF)
    x = b.load(
        tensor(0, DType.F32, count, length),
        [b.out(0).axis(count, length), b.red(0).axis(length, 1)],
    )
    best = b.load(tensor(1, DType.F32, count), [b.out(0).axis(count, 1)])
    nan = b.emit(Op.IAND, b.ieq(b.feq(x, x), b.i32(0)), b.ieq(b.feq(best, best), b.i32(0)))
    here = b.emit(Op.IOR, b.feq(x, best), nan)
    hit = b.emit(Op.IAND, here, b.ilt(b.acc, b.i32(0)))
    return b.finish(b.select(hit, b.coordinate(1), b.acc))


def pooling(rng: random.Random, most: int) -> Node:
    """Maximum or sum over padded windows: taps beyond the border are skipped or fill."""
    n, c, side = rng.choice((1, 2)), size(rng, 7), size(rng, most)
    kernel, stride, pad = rng.choice((2, 3)), rng.choice((1, 2)), rng.choice((0, 1))
    out = max(1, (side + 2 * pad - kernel) // stride + 1)
    maximum = rng.random() < 0.6
    b = FoldBuilder(
        DType.F32, (n, c, out, out), (kernel, kernel), NEGATIVE_INFINITY if maximum else 0
    )

    def place(i: int) -> Affine:
        return b.out(2 + i) * stride + b.red(i) + -pad

    x = b.load(
        tensor(0, DType.F32, n, c, side, side),
        [
            b.out(0).axis(n, c * side * side),
            b.out(1).axis(c, side * side),
            place(0).axis(side, side),
            place(1).axis(side, 1),
        ],
        fill=NEGATIVE_INFINITY if maximum else 0,
        skip=rng.random() < 0.5,
    )
    return b.finish(b.max(b.acc, x) if maximum else b.add(b.acc, x))
