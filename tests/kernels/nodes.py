"""Random fold nodes with operands: every opcode, view, fill, skip, guard, dtype, special value."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol.program.isa import CANONICAL_NAN, SIGNATURES, DType, Op, Type
from protocol.program.node import (
    LOADED_WORD,
    Axis,
    Constant,
    Guard,
    Instruction,
    Load,
    Node,
    Operand,
    OperandKind,
    Term,
    numel,
)

FLOAT_WORDS = (
    0x00000000, 0x80000000, 0x00000001, 0x80000001, 0x007FFFFF, 0x00800000, 0x80800000,
    0x3F800000, 0xBF800000, 0x3F800001, 0x7F7FFFFF, 0xFF7FFFFF, 0x7F800000, 0xFF800000,
    CANONICAL_NAN, 0x4B800000, 0x4EFFFFFF, 0x4F000000, 0xCF000000, 0xCF000001, 0x0D800000,
)  # fmt: skip
INTEGER_WORDS = (0, 1, 2, 3, 31, 32, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFE, 0x10001)
FOREIGN_NANS = (0x7F800001, 0xFFC00000, 0x7FFFFFFF)
DIMS = (1, 1, 2, 3, 4, 5, 7)


@dataclass(frozen=True)
class Case:
    """A node and arrays for its operands."""

    node: Node
    operands: list[NDArray[Any]]

    def elements(self) -> list[list[int]]:
        """The operands as the reference evaluator takes them."""
        return [
            operand.reshape(-1).view(np.uint8 if operand.itemsize == 1 else np.uint32).tolist()
            for operand in self.operands
        ]


def words_of(array: NDArray[Any]) -> list[int]:
    """Stored elements of an output, as the reference evaluator gives them."""
    words: list[int] = array.reshape(-1).view(np.uint8 if array.itemsize == 1 else "<u4").tolist()
    return words


def random_case(seed: int, outputs: int = 60, terms: int = 8) -> Case:
    """The case number ``seed``, with about ``outputs`` elements of ``terms`` terms at most."""
    rng = random.Random(seed)
    shape = _shape(rng, rng.randint(0, 4), outputs)
    domain = _shape(rng, rng.choice((0, 1, 1, 2, 3)), terms)
    dtype = rng.choice((DType.F32, DType.F32, DType.F32, DType.I32, DType.U8))
    operands = [
        Operand(OperandKind.STATE, i, rng.choice(list(DType)), _shape(rng, rng.randint(0, 4), 200))
        for i in range(rng.randint(1, 4))
    ]
    loads: list[Load] = []
    for _ in range(rng.randint(0, 6)):
        loads.append(_load(rng, shape + domain, operands, loads))
    node = _with_body(
        rng,
        Node(
            dtype,
            shape,
            domain,
            init=float_word(rng) if dtype is DType.F32 else integer_word(rng),
            operands=tuple(operands),
            loads=tuple(loads),
            guards=_guards(rng, shape, operands, loads),
        ),
    )
    return Case(node, [random_tensor(rng, operand) for operand in operands])


def random_product(seed: int) -> Case:
    """A product of two random views: rows, columns, batches, padding, divisors and fills."""
    rng = random.Random(seed)
    shape = tuple(rng.choice((1, 2, 3, 5, 9, 14)) for _ in range(rng.randint(2, 3)))
    domain = tuple(rng.choice((1, 2, 4, 5, 17)) for _ in range(rng.randint(1, 2)))
    extents = shape + domain
    owner = [rng.choice("ab") for _ in shape]
    owner[rng.randrange(len(shape))] = rng.choice("ab*-")  # of both: a batch
    operands, loads = [], []
    for slot, side in enumerate("ab"):
        lines = [c for c in range(len(shape)) if owner[c] in (side, "*")]
        operands.append(Operand(OperandKind.STATE, slot, DType.F32, (rng.randint(1, 400),)))
        room = operands[slot].shape[0] - 1
        axes = []
        for allowed in (lines, range(len(shape), len(extents)), [*lines, len(shape)]):
            axes.append(_axis(rng, extents, [], room, allowed))
            room -= axes[-1].stride * (axes[-1].size - 1)
        loads.append(Load(slot, tuple(axes), rng.randint(0, room), float_word(rng)))
    result = 1 + len(loads) + len(extents)
    node = Node(
        DType.F32,
        shape,
        domain,
        init=float_word(rng),
        operands=tuple(operands),
        loads=tuple(loads),
        instructions=(Instruction(Op.FMA, *rng.sample((1, 2), 2), 0),),
        result=result,
    )
    return Case(node, [random_tensor(rng, operand) for operand in operands])


def random_tensor(rng: random.Random, operand: Operand) -> NDArray[Any]:
    """A tensor for an operand; f32 ones may hold NaNs that are not canonical."""
    count = numel(operand.shape)
    if operand.dtype is DType.U8:
        values = [rng.choice((0, 1, 2, 3, 255)) for _ in range(count)]
        return np.array(values, np.uint8).reshape(operand.shape)
    if operand.dtype is DType.I32:
        words = [
            rng.randrange(6) if rng.random() < 0.7 else integer_word(rng) for _ in range(count)
        ]
        return np.array(words, np.uint32).view(np.int32).reshape(operand.shape)
    words = [
        rng.choice(FOREIGN_NANS) if rng.random() < 0.02 else float_word(rng) for _ in range(count)
    ]
    return np.array(words, np.uint32).view(np.float32).reshape(operand.shape)


def float_word(rng: random.Random) -> int:
    """A canonical f32 word: special, of small exponent, or any."""
    kind = rng.random()
    if kind < 0.25:
        return rng.choice(FLOAT_WORDS)
    if kind < 0.9:
        exponent = rng.randint(120, 134) if kind < 0.8 else rng.randint(0, 40)
        return rng.getrandbits(1) << 31 | exponent << 23 | rng.getrandbits(23)
    word = rng.getrandbits(32)
    return CANONICAL_NAN if (word & 0x7FFFFFFF) > 0x7F800000 else word


def integer_word(rng: random.Random) -> int:
    """An i32 word, special or any."""
    return rng.choice(INTEGER_WORDS) if rng.random() < 0.5 else rng.getrandbits(32)


def _shape(rng: random.Random, rank: int, most: int) -> tuple[int, ...]:
    shape: list[int] = []
    for _ in range(rank):
        dim = rng.choice(DIMS) if rng.random() < 0.6 else rng.randint(1, most)
        if math.prod(shape) * dim <= most:
            shape.append(dim)
    return tuple(shape)


def _load(
    rng: random.Random, extents: tuple[int, ...], operands: list[Operand], earlier: list[Load]
) -> Load:
    slot = rng.randrange(len(operands))
    count = numel(operands[slot].shape)
    indices = [j for j, x in enumerate(earlier) if operands[x.operand].dtype is not DType.F32]
    axes: list[Axis] = []
    room = count - 1
    for _ in range(rng.randint(0, 3)):
        axis = _axis(rng, extents, indices, room)
        room -= axis.stride * (axis.size - 1)
        axes.append(axis)
    fill = float_word(rng) if operands[slot].dtype is DType.F32 else integer_word(rng)
    return Load(slot, tuple(axes), rng.randint(0, room), fill, rng.random() < 0.2)


def _axis(
    rng: random.Random,
    extents: tuple[int, ...],
    indices: list[int],
    room: int,
    allowed: Sequence[int] | None = None,
) -> Axis:
    """An axis whose highest address is at most ``room``, in bounds always, often or seldom.

    ``allowed`` are the coordinates that it may depend on; default: all.
    """
    allowed = range(len(extents)) if allowed is None else allowed
    sources = rng.sample(allowed, min(len(allowed), rng.choice((0, 1, 1, 1, 2))))
    terms = [Term(source, rng.choice((1, 1, 1, 2, 3, -1, -2))) for source in sorted(sources)]
    low = sum(min(0, t.coef * (extents[t.source] - 1)) for t in terms)
    high = sum(max(0, t.coef * (extents[t.source] - 1)) for t in terms)
    if indices and rng.random() < 0.4:
        terms.append(Term(LOADED_WORD | rng.choice(indices), rng.choice((1, 1, 1, 2, -1, 1 << 29))))
        high += 5
    style = rng.random()
    if style < 0.5:  # in bounds wherever there is room
        const, size, divisor = -low, high - low + 1, 1
    elif style < 0.8:  # padded
        const, size, divisor = rng.randint(-3, 3), rng.randint(1, max(1, high - low)), 1
    else:
        const, size, divisor = rng.randint(-3, 3), rng.randint(1, high - low + 1), rng.randint(1, 3)
    size = max(1, min(size, room + 1))
    stride = rng.randint(0, room // (size - 1)) if size > 1 else rng.choice((0, 1, 1 << 40))
    return Axis(size, stride, tuple(terms), const, divisor)


def _guards(
    rng: random.Random, shape: tuple[int, ...], operands: list[Operand], loads: list[Load]
) -> tuple[Guard, ...]:
    integers = [k for k, load in enumerate(loads) if operands[load.operand].dtype is not DType.F32]
    if not shape or not integers or rng.random() < 0.6:
        return ()
    pairs = [(k, c) for k in integers for c in range(len(shape))]
    return tuple(Guard(*pair) for pair in rng.sample(pairs, min(len(pairs), rng.choice((1, 1, 2)))))


def _with_body(rng: random.Random, node: Node) -> Node:
    """``node`` with constants, instructions and a result of the accumulator's type."""
    constants = [Constant(Type.F, float_word(rng)), Constant(Type.I, integer_word(rng))]
    for _ in range(rng.randint(0, 3)):
        kind = rng.choice(list(Type))
        constants.append(Constant(kind, float_word(rng) if kind else integer_word(rng)))
    fields = {name: getattr(node, name) for name in Node.__slots__}
    fields["constants"] = tuple(constants)
    types = Node(**fields).value_types()
    instructions = []
    for _ in range(rng.choice((0, 1, 1, 2, 3, 5, 8, 20, 60))):
        op = rng.choice(list(Op))
        arguments = [_value(rng, types, kind) for kind in SIGNATURES[op].arguments]
        instructions.append(Instruction(op, *arguments))
        types.append(SIGNATURES[op].result)
    if node.dtype is DType.F32 and rng.random() < 0.5:
        arguments = [_value(rng, types, Type.F), _value(rng, types, Type.F), 0]
        instructions.append(Instruction(Op.FMA, *arguments))
        types.append(Type.F)
    fields["instructions"] = tuple(instructions)
    fields["result"] = _value(rng, types, node.dtype.type)
    return Node(**fields)


def _value(rng: random.Random, types: list[Type], kind: Type) -> int:
    """A value index of register type ``kind``, later ones more often."""
    known = [index for index, own in enumerate(types) if own is kind]
    return rng.choice(known[-3:]) if rng.random() < 0.5 else rng.choice(known)
