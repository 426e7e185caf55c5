"""Matrix products and convolutions of random shape, as lowering writes them."""

from __future__ import annotations

import random

from protocol.program.body import Value
from protocol.program.builder import Affine, FoldBuilder
from protocol.program.isa import DType
from protocol.program.node import Node
from tests.kernels import shapes
from tests.kernels.equality.values import size, tensor
from tests.kernels.nodes import float_word


def product(rng: random.Random, most: int) -> Node:
    """A product of matrices, either transposed, perhaps batched, with any init."""
    m, n, k = (size(rng, most) for _ in range(3))
    batch = rng.choice((0, 0, 1, 2, 3))
    node = shapes.product(m, n, k, batch, (rng.random() < 0.5, rng.random() < 0.5))
    return _with_init(rng, node)


def deep_product(rng: random.Random, most: int) -> Node:
    """Few outputs of many terms: more than a depth block of any kernel."""
    m, n, k = size(rng, 17), size(rng, 17), rng.choice((255, 256, 257, 513, 769, 1025))
    return shapes.product(m, n, min(k, 30 * most), 0, (rng.random() < 0.5, rng.random() < 0.5))


def strided_product(rng: random.Random, most: int) -> Node:
    """A product of heads that are slices of one wide tensor, or of broadcast operands."""
    batch, heads = rng.choice((1, 2)), rng.choice((1, 2, 3))
    length, width = size(rng, most // 2), size(rng, most)
    b = FoldBuilder(DType.F32, (batch, heads, length, length), (width,))
    joined = 3 * heads * width

    def view(row: Affine, part: int) -> Value:
        axes = [
            b.out(0).axis(batch, length * joined),
            row.axis(length, joined),
            b.out(1).axis(heads, width),
            b.red(0).axis(width, 1),
        ]
        dropped = rng.choice((None, None, 0, 1, 2))  # a zero stride
        axes = [axis for i, axis in enumerate(axes) if i != dropped]
        return b.load(
            tensor(0, DType.F32, batch, length, joined), axes, offset=part * heads * width
        )

    return b.finish(b.fma(view(b.out(2), 0), view(b.out(3), 1), b.acc))


def _geometry(rng: random.Random, most: int) -> tuple[int, ...]:
    """Side, kernel, stride, padding, dilation and the side of the output."""
    while True:
        side, kernel = size(rng, max(3, most // 3)), rng.choice((1, 2, 3, 3, 5))
        stride, pad, dilation = rng.choice((1, 1, 2, 3)), rng.choice((0, 1, 2)), rng.choice((1, 2))
        out = (side + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1
        if out >= 1:
            return side, kernel, stride, pad, dilation, out


def convolution(rng: random.Random, most: int) -> Node:
    """A convolution with padding; beyond the border 0 or another fill is added."""
    side, kernel, stride, pad, dilation, out = _geometry(rng, most)
    n, c, f = rng.choice((1, 2, 3)), size(rng, 5), size(rng, most)
    b = FoldBuilder(DType.F32, (n, f, out, out), (c, kernel, kernel))
    image = b.load(
        tensor(0, DType.F32, n, c, side, side),
        [
            b.out(0).axis(n, c * side * side),
            b.red(0).axis(c, side * side),
            (b.out(2) * stride + b.red(1) * dilation + -pad).axis(side, side),
            (b.out(3) * stride + b.red(2) * dilation + -pad).axis(side, 1),
        ],
        fill=rng.choice((0, 0, 0, float_word(rng))),
    )
    return b.finish(b.fma(image, _taps(b, b.out(1), b.red(0), f, c, kernel), b.acc))


def convolution_input_gradient(rng: random.Random, most: int) -> Node:
    """The transposed convolution, with the divisor that a stride makes."""
    side, kernel, stride, pad, dilation, out = _geometry(rng, most)
    n, c, f = rng.choice((1, 2)), size(rng, 17), size(rng, 5)
    b = FoldBuilder(DType.F32, (n, c, side, side), (f, kernel, kernel))
    rows, columns = ((b.out(2 + i) + b.red(1 + i) * -dilation + pad) // stride for i in range(2))
    gradient = b.load(
        tensor(0, DType.F32, n, f, out, out),
        [
            b.out(0).axis(n, f * out * out),
            b.red(0).axis(f, out * out),
            rows.axis(out, out),
            columns.axis(out, 1),
        ],
        skip=rng.random() < 0.2,
    )
    return b.finish(b.fma(gradient, _taps(b, b.red(0), b.out(1), f, c, kernel), b.acc))


def convolution_weight_gradient(rng: random.Random, most: int) -> Node:
    """The weight gradient, its long sum over images in blocks of whole images."""
    side, kernel, stride, pad, dilation, out = _geometry(rng, most)
    n, c, f, blocks = rng.choice((1, 2, 3)), size(rng, 5), size(rng, 17), rng.choice((1, 2))
    b = FoldBuilder(DType.F32, (blocks, f, c, kernel, kernel), (n, out, out))
    images = n * blocks - rng.choice((0, 0, 1)) if n * blocks > 1 else 1
    image = b.out(0) * n + b.red(0)
    gradient = b.load(
        tensor(0, DType.F32, images, f, out, out),
        [
            image.axis(images, f * out * out),
            b.out(1).axis(f, out * out),
            b.red(1).axis(out, out),
            b.red(2).axis(out, 1),
        ],
    )
    x = b.load(
        tensor(1, DType.F32, images, c, side, side),
        [
            image.axis(images, c * side * side),
            b.out(2).axis(c, side * side),
            (b.red(1) * stride + b.out(3) * dilation + -pad).axis(side, side),
            (b.red(2) * stride + b.out(4) * dilation + -pad).axis(side, 1),
        ],
    )
    return b.finish(b.fma(gradient, x, b.acc))


def _taps(b: FoldBuilder, row: Affine, column: Affine, f: int, c: int, kernel: int) -> Value:
    axes = [row.axis(f, c * kernel * kernel), column.axis(c, kernel * kernel)]
    axes += [b.red(1).axis(kernel, kernel), b.red(2).axis(kernel, 1)]
    return b.load(tensor(1, DType.F32, f, c, kernel, kernel), axes)


def _with_init(rng: random.Random, node: Node) -> Node:
    fields = {name: getattr(node, name) for name in Node.__slots__}
    fields["init"] = rng.choice((0, 0, 0x80000000, float_word(rng)))
    return Node(**fields)
