"""Gathers, and scatters by guard, with indices of either integer type."""

from __future__ import annotations

import random

from protocol.program.builder import FoldBuilder
from protocol.program.isa import DType
from protocol.program.node import Node
from tests.kernels.equality.values import size, tensor
from tests.kernels.nodes import float_word, integer_word


def gather(rng: random.Random, most: int) -> Node:
    """Rows picked by a token; a token beyond the table gives the fill."""
    vocabulary, width, tokens = size(rng, most), size(rng, most), size(rng, most)
    index, dtype = rng.choice((DType.I32, DType.U8)), rng.choice(list(DType))
    init = float_word(rng) if dtype is DType.F32 else integer_word(rng)
    b = FoldBuilder(dtype, (tokens, width), init=init)
    token = b.load(tensor(0, index, tokens), [b.out(0).axis(tokens, 1)])
    row = b.word_of(token) + rng.choice((0, 0, -1))
    value = b.load(
        tensor(1, dtype, vocabulary, width),
        [row.axis(vocabulary, width), b.out(1).axis(width, 1)],
        fill=float_word(rng) if dtype is DType.F32 else integer_word(rng),
        skip=rng.random() < 0.2,
    )
    return b.finish(value)


def gather_two(rng: random.Random, most: int) -> Node:
    """x[i, j] with two index tensors, summed over the picks of an output."""
    high, wide, count, terms = (size(rng, most) for _ in range(4))
    b = FoldBuilder(DType.F32, (count,), (terms,))
    places = [
        b.load(
            tensor(i, DType.I32, count, terms),
            [b.out(0).axis(count, terms), b.red(0).axis(terms, 1)],
        )
        for i in range(2)
    ]
    rows, columns = (b.word_of(place) for place in places)
    value = b.load(tensor(2, DType.F32, high, wide), [rows.axis(high, wide), columns.axis(wide, 1)])
    return b.finish(b.add(b.acc, value))


def scatter(rng: random.Random, most: int) -> Node:
    """A gradient of a gather: each term is added to the row that its token names, in order."""
    vocabulary, width, tokens = size(rng, most), size(rng, most), size(rng, most)
    index = rng.choice((DType.I32, DType.U8))
    b = FoldBuilder(DType.F32, (vocabulary, width), (tokens,), rng.choice((0, float_word(rng))))
    token = b.load(tensor(0, index, tokens), [b.red(0).axis(tokens, 1)])
    gradient = b.load(
        tensor(1, DType.F32, tokens, width), [b.red(0).axis(tokens, width), b.out(1).axis(width, 1)]
    )
    b.guard(token, 0)
    scaled = b.fma(gradient, b.f32(0.75), b.acc) if rng.random() < 0.5 else b.add(b.acc, gradient)
    return b.finish(scaled)


def scatter_inner(rng: random.Random, most: int) -> Node:
    """Guards on the last coordinate, on one of each row, or on two; integers and bytes too."""
    rows, columns, terms = size(rng, most // 2 + 1), size(rng, most), size(rng, most)
    dtype = rng.choice(list(DType))
    init = float_word(rng) if dtype is DType.F32 else integer_word(rng)
    b = FoldBuilder(dtype, (rows, columns), (terms,), init)
    by_row = rng.random() < 0.5
    axes = [b.red(0).axis(terms, 1)]
    if by_row:
        axes.insert(0, b.out(0).axis(rows, terms))
    column = b.load(tensor(0, DType.I32, rows if by_row else 1, terms), axes)
    value = b.load(
        tensor(1, dtype, rows, terms), [b.out(0).axis(rows, terms), b.red(0).axis(terms, 1)]
    )
    b.guard(column, 1)
    if rng.random() < 0.2:
        b.guard(b.load(tensor(2, DType.U8, terms), [b.red(0).axis(terms, 1)]), 0)
    if dtype is DType.F32:
        return b.finish(b.add(b.acc, value))
    return b.finish(b.iadd(b.imul(b.acc, b.i32(5)), value))  # the order counts here too
