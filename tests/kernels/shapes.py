"""Nodes of the kinds that lowering makes: products, sums, gathers, gradients of gathers."""

from __future__ import annotations

from collections.abc import Sequence

from protocol.program.body import Value
from protocol.program.builder import Affine, FoldBuilder
from protocol.program.isa import DType
from protocol.program.node import Node, Operand, OperandKind


def tensor(index: int, dtype: DType, *shape: int) -> Operand:
    """A state tensor."""
    return Operand(OperandKind.STATE, index, dtype, shape)


def product(
    m: int, n: int, k: int, batch: int = 0, transpose: Sequence[bool] = (False, False)
) -> Node:
    """``a @ b`` of (m, k) and (k, n), either of them stored transposed, perhaps in a batch."""
    b = FoldBuilder(DType.F32, (batch, m, n) if batch else (m, n), (k,))
    first = 1 if batch else 0
    left = tensor(0, DType.F32, *((batch,) if batch else ()), *((k, m) if transpose[0] else (m, k)))
    right = tensor(
        1, DType.F32, *((batch,) if batch else ()), *((n, k) if transpose[1] else (k, n))
    )
    row, column, depth = b.out(first), b.out(first + 1), b.red(0)
    a_axes = (
        [row.axis(m, 1), depth.axis(k, m)] if transpose[0] else [row.axis(m, k), depth.axis(k, 1)]
    )
    b_axes = (
        [column.axis(n, k), depth.axis(k, 1)]
        if transpose[1]
        else [depth.axis(k, n), column.axis(n, 1)]
    )
    if batch:
        a_axes.insert(0, b.out(0).axis(batch, m * k))
        b_axes.insert(0, b.out(0).axis(batch, k * n))
    return b.finish(b.fma(b.load(left, a_axes), b.load(right, b_axes), b.acc))


def heads_product(batch: int, heads: int, length: int, width: int) -> Node:
    """Attention scores ``q @ k^T`` on views of (batch, length, heads, width)."""
    b = FoldBuilder(DType.F32, (batch, heads, length, length), (width,))

    def view(index: int, row: Affine) -> Value:
        return b.load(
            tensor(index, DType.F32, batch, length, heads, width),
            [
                b.out(0).axis(batch, length * heads * width),
                row.axis(length, heads * width),
                b.out(1).axis(heads, width),
                b.red(0).axis(width, 1),
            ],
        )

    return b.finish(b.fma(view(0, b.out(2)), view(1, b.out(3)), b.acc))


def lane_sum(rows: int, columns: int, lanes: int = 32) -> Node:
    """Partial row sums: lane l adds x[l], x[l + lanes], ... (padding adds +0)."""
    terms = -(-columns // lanes)
    b = FoldBuilder(DType.F32, (rows, lanes), (terms,))
    x = b.load(
        tensor(0, DType.F32, rows, columns),
        [b.out(0).axis(rows, columns), (b.red(0) * lanes + b.out(1)).axis(columns, 1)],
        skip=columns % lanes != 0,
    )
    return b.finish(b.add(b.acc, x))


def total(count: int) -> Node:
    """One sum of everything: one output, ``count`` terms."""
    b = FoldBuilder(DType.F32, (), (count,))
    return b.finish(b.add(b.acc, b.load(tensor(0, DType.F32, count), [b.red(0).axis(count, 1)])))


def embedding(vocabulary: int, width: int, tokens: int) -> Node:
    """Rows gathered by token."""
    b = FoldBuilder(DType.F32, (tokens, width))
    token = b.load(tensor(1, DType.I32, tokens), [b.out(0).axis(tokens, 1)])
    table = tensor(0, DType.F32, vocabulary, width)
    return b.finish(
        b.load(table, [b.word_of(token).axis(vocabulary, width), b.out(1).axis(width, 1)])
    )


def embedding_gradient(vocabulary: int, width: int, tokens: int) -> Node:
    """Gradient rows added to the row of their token, in token order."""
    b = FoldBuilder(DType.F32, (vocabulary, width), (tokens,))
    token = b.load(tensor(0, DType.I32, tokens), [b.red(0).axis(tokens, 1)])
    gradient = b.load(
        tensor(1, DType.F32, tokens, width), [b.red(0).axis(tokens, width), b.out(1).axis(width, 1)]
    )
    b.guard(token, 0)
    return b.finish(b.add(b.acc, gradient))


def scatter_columns(rows: int, columns: int, terms: int) -> Node:
    """Like an embedding's gradient, with the pinned coordinate last and u8 tokens and output."""
    b = FoldBuilder(DType.U8, (rows, columns), (terms,), init=7)
    column = b.load(tensor(0, DType.U8, terms), [b.red(0).axis(terms, 1)])
    value = b.load(
        tensor(1, DType.U8, rows, terms), [b.out(0).axis(rows, terms), b.red(0).axis(terms, 1)]
    )
    b.guard(column, 1)
    return b.finish(b.iadd(b.imul(b.acc, b.i32(5)), value))


def convolution(
    batch: int, channels: int, side: int, filters: int, kernel: int = 3, stride: int = 1
) -> Node:
    """A padded square convolution: image (n, c, h, w), weight (f, c, kh, kw)."""
    pad = kernel // 2
    out = (side + 2 * pad - kernel) // stride + 1
    b = FoldBuilder(DType.F32, (batch, filters, out, out), (channels, kernel, kernel))
    image = b.load(
        tensor(0, DType.F32, batch, channels, side, side),
        [
            b.out(0).axis(batch, channels * side * side),
            b.red(0).axis(channels, side * side),
            (b.out(2) * stride + b.red(1) + -pad).axis(side, side),
            (b.out(3) * stride + b.red(2) + -pad).axis(side, 1),
        ],
    )
    weight = b.load(
        tensor(1, DType.F32, filters, channels, kernel, kernel),
        [
            b.out(1).axis(filters, channels * kernel * kernel),
            b.red(0).axis(channels, kernel * kernel),
            b.red(1).axis(kernel, kernel),
            b.red(2).axis(kernel, 1),
        ],
    )
    return b.finish(b.fma(image, weight, b.acc))


def adam_like(count: int) -> Node:
    """An elementwise update with four large operands."""
    b = FoldBuilder(DType.F32, (count,))
    p, g, m, v = (b.load(tensor(i, DType.F32, count), [b.out(0).axis(count, 1)]) for i in range(4))
    mean = b.fma(b.f32(0.1), b.sub(g, m), m)
    spread = b.sqrt(b.fma(b.f32(0.01), b.sub(b.mul(g, g), v), b.abs(v)))
    return b.finish(b.fma(b.f32(-0.001), b.div(mean, b.add(spread, b.f32(1e-8))), p))
