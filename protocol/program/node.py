"""The fold node: the one kind of thing that a training step is made of.

    for each output element o (row-major over ``shape``):
        acc = init
        for r (row-major over ``domain``):
            acc = body(acc, words of the loads at (o, r), o, r)
        out[o] = store(acc)

``docs/PROTOCOL.md`` section 2 is the specification. These dataclasses hold exactly what the
canonical bytes hold (``canonical.py``); ``validate.py`` says which of them are allowed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from protocol.program.isa import SIGNATURES, DType, Op, Type

LOADED_WORD = 0x80  # flag in a term's source: the word of an earlier load instead of a coordinate


class OperandKind(IntEnum):
    """Where an operand's tensor comes from."""

    NODE = 0
    STATE = 1
    DATA = 2


def numel(shape: tuple[int, ...]) -> int:
    """Number of elements of a tensor of ``shape`` (1 for the scalar shape ``()``)."""
    return math.prod(shape)


@dataclass(frozen=True, slots=True)
class Operand:
    """A tensor that a node reads: output of an earlier node, a state or a data tensor."""

    kind: OperandKind
    index: int
    dtype: DType
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Term:
    """``coef * source`` of an affine coordinate.

    ``source`` below 16 is a coordinate of (output ++ domain); ``0x80 | j`` is the i32 word
    of load j.
    """

    source: int
    coef: int = 1


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of a load's view: its coordinate is ``(const + sum of terms) / divisor``, exactly.

    A remainder, or a coordinate outside ``0 <= c < size``, puts the load out of bounds.
    ``stride`` counts elements of the operand's flat row-major storage.
    """

    size: int
    stride: int
    terms: tuple[Term, ...] = ()
    const: int = 0
    divisor: int = 1


@dataclass(frozen=True, slots=True)
class Load:
    """Reads one element of operand ``operand`` (a slot number) at ``offset + sum(stride * c)``.

    Out of bounds the word is ``fill``; with ``skip`` the whole term then leaves acc unchanged.
    """

    operand: int
    axes: tuple[Axis, ...] = ()
    offset: int = 0
    fill: int = 0
    skip: bool = False


@dataclass(frozen=True, slots=True)
class Guard:
    """The term is skipped unless word ``load`` equals output coordinate ``coordinate``."""

    load: int
    coordinate: int


@dataclass(frozen=True, slots=True)
class Constant:
    """An immediate word and its register type."""

    type: Type
    word: int


@dataclass(frozen=True, slots=True)
class Instruction:
    """One scalar operation on value indices a, b, c (unused ones are 0)."""

    op: Op
    a: int = 0
    b: int = 0
    c: int = 0

    @property
    def arguments(self) -> tuple[int, ...]:
        """The value indices that the opcode really reads."""
        return (self.a, self.b, self.c)[: len(SIGNATURES[self.op].arguments)]


@dataclass(frozen=True, slots=True)
class Node:
    """A fold.

    Value indices of its body: 0 acc, then loads, constants, coordinates (o ++ r), instructions.
    """

    dtype: DType
    shape: tuple[int, ...]
    domain: tuple[int, ...] = ()
    init: int = 0
    operands: tuple[Operand, ...] = ()
    loads: tuple[Load, ...] = ()
    guards: tuple[Guard, ...] = ()
    constants: tuple[Constant, ...] = ()
    instructions: tuple[Instruction, ...] = ()
    result: int = 0

    @property
    def numel(self) -> int:
        """Number of output elements."""
        return numel(self.shape)

    @property
    def terms(self) -> int:
        """Number of terms R of each output element's fold (1 for a one-point domain)."""
        return numel(self.domain)

    @property
    def nbytes(self) -> int:
        """Bytes of the stored output."""
        return self.numel * self.dtype.width

    @property
    def first_constant(self) -> int:
        """Value index of the first constant."""
        return 1 + len(self.loads)

    @property
    def first_coordinate(self) -> int:
        """Value index of the first coordinate."""
        return self.first_constant + len(self.constants)

    @property
    def first_instruction(self) -> int:
        """Value index that the first instruction defines."""
        return self.first_coordinate + len(self.shape) + len(self.domain)

    def value_types(self) -> list[Type]:
        """Register type of every value index, in order."""
        types = [self.dtype.type]
        types += [self.operands[load.operand].dtype.type for load in self.loads]
        types += [constant.type for constant in self.constants]
        types += [Type.I] * (len(self.shape) + len(self.domain))
        types += [SIGNATURES[instruction.op].result for instruction in self.instructions]
        return types


@dataclass(frozen=True, slots=True)
class Binding:
    """Which tensor becomes a state tensor after the step.

    Either a node's output or a state tensor as it was before the step.
    """

    kind: OperandKind
    index: int
    dtype: DType
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of the state tensor."""
        return numel(self.shape) * self.dtype.width


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name, storage type and shape of a state or data tensor."""

    name: str
    dtype: DType
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of the stored tensor."""
        return numel(self.shape) * self.dtype.width


@dataclass(frozen=True, slots=True)
class Program:
    """One training step: nodes in topological order and one binding per state tensor."""

    nodes: tuple[Node, ...]
    bindings: tuple[Binding, ...]

    def consumers(self) -> Iterator[tuple[int, Operand]]:
        """Every (node index, operand) pair in order."""
        for index, node in enumerate(self.nodes):
            for operand in node.operands:
                yield index, operand
