"""Elementwise programs of random shape, over views that permute, repeat and pad."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from protocol.program import expansions
from protocol.program.body import Body, Value
from protocol.program.builder import Affine, BodyTooLarge, FoldBuilder
from protocol.program.isa import SIGNATURES, DType, Op, Type
from protocol.program.node import Axis, Node
from protocol.program.philox import keep, uniform_word
from tests.kernels.equality.values import size, tensor
from tests.kernels.nodes import float_word, integer_word

FUNCTIONS: tuple[Callable[[Body, Value], Value], ...] = (
    *(expansions.exp, expansions.log, expansions.log1p, expansions.expm1, expansions.tanh),
    *(expansions.erf, expansions.sin, expansions.cos, expansions.sigmoid, expansions.rsqrt),
)
FLOATS = [Op.ADD, Op.SUB, Op.MUL, Op.DIV, Op.FMA, Op.FMA, Op.MIN, Op.MAX, Op.SQRT, Op.NEG, Op.ABS]


def shape_of(rng: random.Random, most: int) -> tuple[int, ...]:
    """An output shape of up to ``20 * most`` elements: long, square, or with ones in it."""
    dims = [size(rng, rng.choice((3, most, 20 * most))) for _ in range(rng.choice((1, 1, 2, 3)))]
    while math.prod(dims) > 20 * most:
        dims[dims.index(max(dims))] //= 2
    return tuple(dims)


def view(rng: random.Random, b: FoldBuilder, index: int, dtype: DType) -> Value:
    """A load of a tensor that is as large as the output, repeated, permuted, reversed or padded."""
    rank = len(b.shape)
    stored = [d for d in range(rank) if rng.random() < 0.85]
    rng.shuffle(stored) if rng.random() < 0.3 else None
    axes: list[Axis] = []
    stride = 1
    for d in reversed(stored):
        coordinate: Affine = b.out(d)
        style = rng.random()
        extent = b.shape[d]
        if style < 0.1:
            coordinate = coordinate * -1 + (extent - 1)
        elif style < 0.2:
            coordinate = coordinate + rng.choice((-2, -1, 1))
        axes.insert(0, coordinate.axis(extent, stride))
        stride *= extent
    fill = float_word(rng) if dtype is DType.F32 else integer_word(rng)
    return b.load(tensor(index, dtype, stride), axes, fill=fill, skip=rng.random() < 0.05)


def functions(rng: random.Random, most: int) -> Node:
    """exp, log, tanh, erf, sin, cos, ... and arithmetic between them."""
    b = FoldBuilder(DType.F32, shape_of(rng, most), init=float_word(rng))
    values = [view(rng, b, i, DType.F32) for i in range(rng.choice((1, 2)))]
    y = rng.choice(FUNCTIONS)(b, values[0])
    y = b.fma(y, values[-1], b.f32(rng.choice((0.5, -1.0, 1e-3))))
    if rng.random() < 0.5:
        try:
            return b.finish(rng.choice(FUNCTIONS)(b, y))
        except BodyTooLarge:
            pass
    return b.finish(y)


def arithmetic(rng: random.Random, most: int) -> Node:
    """Chains of f32 instructions over one to five tensors, with accumulator and init."""
    b = FoldBuilder(DType.F32, shape_of(rng, most), init=float_word(rng))
    values = [view(rng, b, i, DType.F32) for i in range(rng.randint(1, 5))]
    values += [b.acc, b.f32(0.1), b.constant(Type.F, float_word(rng))]
    for _ in range(rng.choice((1, 2, 4, 9, 30))):
        op = rng.choice(FLOATS)
        values.append(b.emit(op, *(rng.choice(values[-6:]) for _ in SIGNATURES[op].arguments)))
    return b.finish(values[-1])


def mixed(rng: random.Random, most: int) -> Node:
    """Chains over f32, i32 and u8 with conversions, comparisons and selections; any output."""
    dtype = rng.choice(list(DType))
    init = float_word(rng) if dtype is DType.F32 else integer_word(rng)
    b = FoldBuilder(dtype, shape_of(rng, most), init=init)
    by_type: dict[Type, list[Value]] = {Type.F: [b.f32(0.5)], Type.I: [b.i32(-3), b.i32(31)]}
    by_type[b.acc.type].append(b.acc)
    by_type[Type.I].append(b.flat_position())
    for i in range(rng.randint(1, 4)):
        value = view(rng, b, i, rng.choice(list(DType)))
        by_type[value.type].append(value)
    for _ in range(rng.choice((2, 5, 12, 40))):
        op = rng.choice(list(Op))
        arguments = [rng.choice(by_type[kind][-3:]) for kind in SIGNATURES[op].arguments]
        by_type[SIGNATURES[op].result].append(b.emit(op, *arguments))
    return b.finish(by_type[dtype.type][-1])


def dropout(rng: random.Random, most: int) -> Node:
    """Philox bodies: a mask by the element's number and a step, and the scaled survivors."""
    b = FoldBuilder(DType.F32, shape_of(rng, most))
    step = b.load(tensor(0, DType.I32, 1), [])
    word = uniform_word(b, rng.getrandbits(64), rng.getrandbits(16), step, b.flat_position())
    probability = rng.choice((0.0, 0.1, 0.9, 1.0))
    scaled = b.mul(view(rng, b, 1, DType.F32), b.f32(1.0 / 0.9))
    return b.finish(b.select(keep(b, word, probability), scaled, b.f32(0.0)))


def update(rng: random.Random, most: int) -> Node:
    """An AdamW step with its scalars from a row of a table."""
    b = FoldBuilder(DType.F32, (size(rng, 20 * most),))
    p, g, m, v = (b.load(tensor(i, DType.F32, b.shape[0]), [b.out(0).axis(b.shape[0], 1)])
                  for i in range(4))  # fmt: skip
    row = b.load(tensor(4, DType.I32, 1), [])
    rate, scale = (
        b.load(tensor(5, DType.F32, 7, 2), [b.word_of(row).axis(7, 2)], offset=i) for i in range(2)
    )
    mean = b.fma(b.f32(0.1), b.sub(g, m), m)
    square = b.fma(b.f32(0.001), b.sub(b.mul(g, g), v), v)
    spread = b.fma(b.sqrt(square), scale, b.f32(1e-8))
    decayed = b.mul(p, b.f32(0.9999))
    return b.finish(b.fma(b.neg(rate), b.div(mean, spread), decayed))
