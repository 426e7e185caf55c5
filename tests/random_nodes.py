"""Valid fold nodes and operands from a seed: the same cases for every implementation.

The nodes use everything that a node may have: views with negative and exact-divisor coordinates,
indirect coordinates, skips, guards, every opcode, every dtype. They are small: the reference
evaluates them in milliseconds.
"""

from __future__ import annotations

import random

from protocol.program.body import Value
from protocol.program.builder import Affine, FoldBuilder
from protocol.program.isa import SIGNATURES, DType, Op, Type
from protocol.program.node import Axis, Node, Operand, OperandKind, numel
from protocol.program.validate import validate_node
from tests.float_cases import SPECIALS

FLOATS = [int(word) for word in SPECIALS]
INTEGERS = [0, 1, 2, 3, 31, 32, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFE, 0xFFC00000]


def random_word(rng: random.Random, kind: Type) -> int:
    """A word of a type; floats are canonical, integers small half of the time."""
    if kind is Type.F:
        return rng.choice(FLOATS) if rng.random() < 0.4 else _random_float(rng)
    if rng.random() < 0.5:
        return rng.randrange(8)
    return rng.choice(INTEGERS) if rng.random() < 0.5 else rng.getrandbits(32)


def random_elements(rng: random.Random, operand: Operand) -> list[int]:
    """Stored elements for an operand: words, or bytes for ``u8``."""
    count = numel(operand.shape)
    if operand.dtype is DType.U8:
        return [rng.choice([0, 1, 2, 3, rng.getrandbits(8)]) for _ in range(count)]
    return [random_word(rng, operand.dtype.type) for _ in range(count)]


def random_node(rng: random.Random, instructions: int = 24) -> Node:
    """A node that validation accepts."""
    shape = _random_shape(rng, 3, 4)
    domain = _random_shape(rng, 2, 4)
    dtype = rng.choice(list(DType))
    builder = FoldBuilder(dtype, shape, domain, random_word(rng, dtype.type))
    operands = [
        Operand(OperandKind(rng.randrange(3)), index, rng.choice(list(DType)), _operand_shape(rng))
        for index in range(rng.randrange(5))
    ]
    loads: list[Value] = []
    if operands:
        for _ in range(rng.randrange(7)):
            loads.append(_random_load(rng, builder, rng.choice(operands), loads))
    integers = [load for load in loads if load.type is Type.I]
    if integers and shape and rng.random() < 0.3:
        builder.guard(rng.choice(integers), rng.randrange(len(shape)))
    node = builder.finish(_random_body(rng, builder, loads, rng.randrange(instructions + 1)))
    validate_node(node)
    return node


def _random_float(rng: random.Random) -> int:
    exponent = rng.choice([0, 1, 254, *range(110, 150)])
    return rng.getrandbits(1) << 31 | exponent << 23 | rng.getrandbits(23)


def _random_shape(rng: random.Random, rank: int, size: int) -> tuple[int, ...]:
    return tuple(rng.randint(1, size) for _ in range(rng.randint(0, rank)))


def _operand_shape(rng: random.Random) -> tuple[int, ...]:
    return _random_shape(rng, 3, 6)


def _random_load(
    rng: random.Random, builder: FoldBuilder, operand: Operand, earlier: list[Value]
) -> Value:
    axes: list[Axis] = []
    room = numel(operand.shape) - 1
    for _ in range(rng.randint(0, 3)):
        size = rng.randint(1, min(6, room + 1))
        stride = rng.randint(0, room // (size - 1)) if size > 1 else rng.choice([0, 1, 1 << 40])
        room -= stride * (size - 1)
        axes.append(_random_coordinate(rng, builder, earlier).axis(size, stride))
    return builder.load(
        operand,
        axes,
        rng.randint(0, room),
        fill=random_word(rng, operand.dtype.type),
        skip=rng.random() < 0.15,
    )


def _random_coordinate(rng: random.Random, builder: FoldBuilder, earlier: list[Value]) -> Affine:
    count = len(builder.shape) + len(builder.domain)
    parts = [Affine(((source, rng.choice([1, 1, 2, -1, 3])),)) for source in range(count)]
    integers = [load for load in earlier if load.type is Type.I]
    parts += [builder.word_of(load) * rng.choice([1, 1, -1, (1 << 28) + 1]) for load in integers]
    rng.shuffle(parts)
    coordinate = Affine(const=rng.choice([0, 0, 0, 1, -1, 2, rng.randint(-(1 << 40), 1 << 40)]))
    for part in parts[: rng.choice([0, 1, 1, 2, 3])]:
        coordinate = coordinate + part
    return coordinate // rng.choice([1, 1, 1, 2, 3])


def _random_body(rng: random.Random, builder: FoldBuilder, loads: list[Value], count: int) -> Value:
    """A chain in which each instruction prefers the values that nothing has used yet."""
    values = [builder.acc, *loads]
    values += [builder.coordinate(i) for i in range(len(builder.shape) + len(builder.domain))]
    values += [builder.constant(Type.F, random_word(rng, Type.F)) for _ in range(2)]
    values += [builder.constant(Type.I, random_word(rng, Type.I)) for _ in range(2)]
    unused = list(loads)
    for _ in range(count):
        op = rng.choice(list(Op))
        arguments = []
        for kind in SIGNATURES[op].arguments:
            fresh = [value for value in unused if value.type is kind]
            fitting = [value for value in values if value.type is kind]
            arguments.append(rng.choice(fresh if fresh and rng.random() < 0.8 else fitting))
        value = builder.emit(op, *arguments)
        values.append(value)
        unused = [value for value in (*unused, value) if value not in arguments]
    fitting = [value for value in values if value.type is builder.dtype.type]
    return fitting[-1] if rng.random() < 0.9 else rng.choice(fitting)
