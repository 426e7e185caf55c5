"""Valid nodes at the edges of what a node may have: the dearest to decode, to run and to locate."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from protocol.program.isa import MAX_AXES, MAX_LOADS, MAX_RANK, SIGNATURES, DType, Op, Type
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
from tests.random_nodes import INTEGERS, random_word

LARGEST = (1 << 31) - 1
MOST_TERMS = 1 << 24


@dataclass
class _Body:
    """A chain of instructions that uses every load: each one takes the value before it."""

    rng: random.Random
    values: list[Type]
    by_type: dict[Type, list[int]]
    instructions: list[Instruction] = field(default_factory=list)

    def emit(self, op: Op, current: int, other: int | None = None) -> int:
        """Apply an instruction to ``current``, and to ``other`` if it is given."""
        given = [current] if other is None else [current, other]
        arguments = []
        for kind in SIGNATURES[op].arguments:
            taken = next((value for value in given if self.values[value] is kind), None)
            if taken is not None:
                given.remove(taken)
            arguments.append(self.rng.choice(self.by_type[kind]) if taken is None else taken)
        assert not given, f"{op.name} does not take what it was given"
        self.instructions.append(Instruction(op, *arguments))
        self.values.append(SIGNATURES[op].result)
        return len(self.values) - 1


def heavy_node(
    rng: random.Random,
    *,
    instructions: int = 128,
    ops: Sequence[Op] = tuple(Op),
    loads: int = MAX_LOADS,
    axes: int = 2,
    sources: int = 2,
    rank: int = 2,
    skip: float = 0.2,
    deep: bool = False,
    dtype: DType | None = None,
    first_operand: int = 0,
    reals: Sequence[int] | None = None,
) -> Node:
    """A node with this much of everything.

    Args:
        ops: What the body is filled up with.
        axes: Axes of each load; ``sources``: terms of each axis, as far as there are sources.
        rank: Dimensions of output, of domain and of every operand.
        skip: Share of the loads that are marked ``skip``.
        deep: As many terms, elements and chunks as there may be.
        first_operand: Indices of operands count from here.
        reals: The constants of type F; random ones if missing.
    """
    dtype = dtype or rng.choice(list(DType))
    shape = _shape(rng, rank, LARGEST if deep else 60)
    domain = _shape(rng, rank, MOST_TERMS if deep else 60)
    operands = tuple(
        Operand(
            OperandKind(rng.randrange(3)),
            first_operand + slot,
            # An integer first: later loads may be indirect.
            DType.I32 if slot == 0 else rng.choice(list(DType)),
            _shape(rng, rank, LARGEST if deep else 5_000),
        )
        for slot in range(loads)
    )
    built: list[Load] = []
    for slot in range(loads):
        words = [k for k in range(slot) if operands[k].dtype.type is Type.I]
        coordinates = len(shape) + len(domain)
        known = [*range(coordinates), *(LOADED_WORD | k for k in words)]
        built.append(_load(rng, operands[slot], slot, known, axes, sources, skip))
    guards = ()
    if operands and shape and rng.random() < 0.3:
        guards = (Guard(0, rng.randrange(len(shape))),)
    floats = [Constant(Type.F, word) for word in reals] if reals else _constants(rng, Type.F)
    constants = (*floats, *_constants(rng, Type.I))
    types = [dtype.type, *(operand.dtype.type for operand in operands)]
    types += [constant.type for constant in constants]
    types += [Type.I] * (len(shape) + len(domain))
    return _with_body(
        Node(dtype, shape, domain, 0, operands, tuple(built), guards, constants),
        _Body(rng, types, {kind: [i for i, t in enumerate(types) if t is kind] for kind in Type}),
        max(instructions, 2 * loads + 8),
        ops,
    )


def _with_body(node: Node, body: _Body, count: int, ops: Sequence[Op]) -> Node:
    """The node with a body that uses all its loads and constants, filled up with ``ops``."""
    integer, real = Type.I, Type.F
    first = {kind: [v for v in body.by_type[kind] if v < node.first_coordinate] for kind in Type}
    current = {kind: first[kind][0] for kind in Type}
    for value in first[integer][1:]:
        current[integer] = body.emit(Op.IXOR, current[integer], value)
    for value in first[real][1:]:
        current[real] = body.emit(Op.MAX, current[real], value)
    to_real = body.emit(Op.I2F, current[integer])
    value, kind = body.emit(Op.ADD, to_real, current[real]), real
    while len(body.instructions) < min(count, 128) - 1:
        fitting = [op for op in ops if kind in SIGNATURES[op].arguments]
        op = body.rng.choice(fitting) if fitting else _conversion(kind)
        value, kind = body.emit(op, value), SIGNATURES[op].result
    if kind is not node.dtype.type:
        value = body.emit(_conversion(kind), value)
    return Node(
        node.dtype,
        node.shape,
        node.domain,
        node.init,
        node.operands,
        node.loads,
        node.guards,
        node.constants,
        tuple(body.instructions),
        value,
    )


def _conversion(kind: Type) -> Op:
    return Op.F2I if kind is Type.F else Op.I2F


def _constants(rng: random.Random, kind: Type) -> list[Constant]:
    words = {random_word(rng, kind) for _ in range(4)}
    return [Constant(kind, word) for word in sorted(words)]


def _shape(rng: random.Random, rank: int, most: int) -> tuple[int, ...]:
    """Dimensions whose product comes near ``most``, the last one the largest."""
    rank = min(rank, MAX_RANK)
    if rank == 0:
        return ()
    small = tuple(rng.randint(1, 3) for _ in range(rank - 1))
    return (*small, max(1, most // numel(small)))


def _load(
    rng: random.Random,
    operand: Operand,
    slot: int,
    known: Sequence[int],
    axes: int,
    sources: int,
    skip: float,
) -> Load:
    room = numel(operand.shape) - 1
    built: list[Axis] = []
    for _ in range(min(axes, MAX_AXES)):
        size = rng.randint(1, min(1 << 20, room + 1))
        stride = rng.randint(0, room // (size - 1)) if size > 1 else rng.randrange(1 << 40)
        room -= stride * (size - 1)
        chosen = sorted(rng.sample(known, min(sources, len(known), 16)))
        # Zero coefficients do not exist; those that cancel keep most loads in bounds.
        terms = tuple(Term(source, rng.choice([1, 1, 2, -1, 1 << 20])) for source in chosen)
        built.append(Axis(size, stride, terms, rng.choice([0, 0, 1, 1 << 40]), 1))
    fill = rng.choice(INTEGERS[:4])
    return Load(slot, tuple(built), rng.randint(0, max(0, room)), fill, rng.random() < skip)
