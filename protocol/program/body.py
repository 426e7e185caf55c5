"""Typed construction of a node's body: values in, single-assignment instructions out.

A ``Body`` knows nothing of tensors. It types every operand as it is written, shares equal
constants and equal instructions (all are pure), and is laid out by ``builder.FoldBuilder``.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from protocol.program.isa import CANONICAL_NAN, SIGNATURES, WORD_MASK, Op, Type
from protocol.program.node import Constant


class BodyTypeError(TypeError):
    """An instruction was given a value of the wrong register type."""


class Section(IntEnum):
    """Where a value lives, in the order of the value indices of a node."""

    ACCUMULATOR = 0
    LOAD = 1
    CONSTANT = 2
    COORDINATE = 3
    INSTRUCTION = 4


@dataclass(frozen=True, slots=True)
class Value:
    """A typed value of one body; ``number`` counts within its section."""

    section: Section
    number: int
    type: Type


def f32_word(value: float) -> int:
    """Word of ``value`` rounded once from double to f32; every NaN is the canonical one."""
    if value != value:
        return CANONICAL_NAN
    try:
        return int(struct.unpack(">I", struct.pack(">f", value))[0])
    except OverflowError:  # what struct says where IEEE rounding gives an infinity
        return 0x7F800000 if value > 0 else 0xFF800000


@dataclass(frozen=True, slots=True)
class Step:
    """An instruction before layout."""

    op: Op
    arguments: tuple[Value, ...]


class Body:
    """A straight-line scalar program under construction."""

    def __init__(self, accumulator: Type) -> None:
        self.acc = Value(Section.ACCUMULATOR, 0, accumulator)
        self.constants: list[Constant] = []
        self.steps: list[Step] = []
        self._constant_at: dict[Constant, Value] = {}
        self._step_at: dict[Step, Value] = {}

    def emit(self, op: Op, *arguments: Value) -> Value:
        """Append ``op`` and return its result; BodyTypeError if an argument has another type."""
        expected = SIGNATURES[op].arguments
        got = tuple(argument.type for argument in arguments)
        if got != expected:
            raise BodyTypeError(
                f"{op.name.lower()} takes ({', '.join(t.name for t in expected)}), "
                f"got ({', '.join(t.name for t in got)}); convert with i2f, f2i, b2f or f2b"
            )
        step = Step(op, arguments)
        if step not in self._step_at:
            value = Value(Section.INSTRUCTION, len(self.steps), SIGNATURES[op].result)
            self.steps.append(step)
            self._step_at[step] = value
        return self._step_at[step]

    def constant(self, kind: Type, word: int) -> Value:
        """The immediate ``word`` (taken modulo 2^32) of register type ``kind``."""
        constant = Constant(kind, word & WORD_MASK)
        if constant not in self._constant_at:
            self._constant_at[constant] = Value(Section.CONSTANT, len(self.constants), kind)
            self.constants.append(constant)
        return self._constant_at[constant]

    def f32(self, value: float) -> Value:
        """The immediate ``value``, rounded once to f32."""
        return self.constant(Type.F, f32_word(value))

    def i32(self, value: int) -> Value:
        """The immediate ``value`` as a two's complement i32."""
        if not -(1 << 31) <= value <= WORD_MASK:
            raise ValueError(f"constant {value} does not fit 32 bits; i64 is lowered to i32")
        return self.constant(Type.I, value)

    # Arithmetic on f32, correctly rounded.

    def add(self, a: Value, b: Value) -> Value:
        """The sum a + b."""
        return self.emit(Op.ADD, a, b)

    def sub(self, a: Value, b: Value) -> Value:
        """The difference a - b."""
        return self.emit(Op.SUB, a, b)

    def mul(self, a: Value, b: Value) -> Value:
        """The product a * b."""
        return self.emit(Op.MUL, a, b)

    def div(self, a: Value, b: Value) -> Value:
        """The quotient a / b."""
        return self.emit(Op.DIV, a, b)

    def sqrt(self, a: Value) -> Value:
        """The square root of a."""
        return self.emit(Op.SQRT, a)

    def fma(self, a: Value, b: Value, c: Value) -> Value:
        """The fused a * b + c, rounded once."""
        return self.emit(Op.FMA, a, b, c)

    def min(self, a: Value, b: Value) -> Value:
        """IEEE 754-2019 minimum: NaN wins, -0 < +0."""
        return self.emit(Op.MIN, a, b)

    def max(self, a: Value, b: Value) -> Value:
        """IEEE 754-2019 maximum: NaN wins, -0 < +0."""
        return self.emit(Op.MAX, a, b)

    def neg(self, a: Value) -> Value:
        """The value a with its sign flipped (a NaN stays canonical)."""
        return self.emit(Op.NEG, a)

    def abs(self, a: Value) -> Value:
        """The value a with its sign cleared (a NaN stays canonical)."""
        return self.emit(Op.ABS, a)

    # Comparisons give 0 or 1; with a NaN they give 0.

    def flt(self, a: Value, b: Value) -> Value:
        """1 if a < b."""
        return self.emit(Op.FLT, a, b)

    def fle(self, a: Value, b: Value) -> Value:
        """1 if a <= b."""
        return self.emit(Op.FLE, a, b)

    def feq(self, a: Value, b: Value) -> Value:
        """1 if a == b (+0 equals -0)."""
        return self.emit(Op.FEQ, a, b)

    def ilt(self, a: Value, b: Value) -> Value:
        """1 if a < b, signed."""
        return self.emit(Op.ILT, a, b)

    def iult(self, a: Value, b: Value) -> Value:
        """1 if a < b, unsigned."""
        return self.emit(Op.IULT, a, b)

    def ieq(self, a: Value, b: Value) -> Value:
        """1 if the words are equal."""
        return self.emit(Op.IEQ, a, b)

    # Selections and conversions.

    def select(self, condition: Value, a: Value, b: Value) -> Value:
        """The value a where the condition is not 0, else b; a and b have one type."""
        return self.emit(Op.FSEL if a.type is Type.F else Op.ISEL, condition, a, b)

    def from_bits(self, a: Value) -> Value:
        """The f32 whose word is a; a NaN is canonicalised."""
        return self.emit(Op.B2F, a)

    def bits(self, a: Value) -> Value:
        """The word of the f32 a."""
        return self.emit(Op.F2B, a)

    def i2f(self, a: Value) -> Value:
        """The signed integer a rounded to f32."""
        return self.emit(Op.I2F, a)

    def f2i(self, a: Value) -> Value:
        """The f32 a truncated to i32, saturating; NaN gives 0."""
        return self.emit(Op.F2I, a)

    # Integers, wrapping.

    def iadd(self, a: Value, b: Value) -> Value:
        """The sum a + b modulo 2^32."""
        return self.emit(Op.IADD, a, b)

    def isub(self, a: Value, b: Value) -> Value:
        """The difference a - b modulo 2^32."""
        return self.emit(Op.ISUB, a, b)

    def imul(self, a: Value, b: Value) -> Value:
        """The low word of a * b."""
        return self.emit(Op.IMUL, a, b)

    def imulhi(self, a: Value, b: Value) -> Value:
        """The high word of the unsigned product a * b."""
        return self.emit(Op.IMULHI, a, b)

    def idiv(self, a: Value, b: Value) -> Value:
        """The signed quotient towards zero; 0 if b is 0."""
        return self.emit(Op.IDIV, a, b)

    def irem(self, a: Value, b: Value) -> Value:
        """The signed remainder with a's sign; 0 if b is 0."""
        return self.emit(Op.IREM, a, b)

    def iand(self, a: Value, b: Value) -> Value:
        """Bitwise and."""
        return self.emit(Op.IAND, a, b)

    def ior(self, a: Value, b: Value) -> Value:
        """Bitwise or."""
        return self.emit(Op.IOR, a, b)

    def ixor(self, a: Value, b: Value) -> Value:
        """Bitwise exclusive or."""
        return self.emit(Op.IXOR, a, b)

    def ishl(self, a: Value, b: Value) -> Value:
        """The word a shifted left by b modulo 32."""
        return self.emit(Op.ISHL, a, b)

    def ishr(self, a: Value, b: Value) -> Value:
        """The word a shifted right by b modulo 32, zeros coming in."""
        return self.emit(Op.ISHR, a, b)

    def isar(self, a: Value, b: Value) -> Value:
        """The word a shifted right by b modulo 32, the sign coming in."""
        return self.emit(Op.ISAR, a, b)

    def imin(self, a: Value, b: Value) -> Value:
        """The smaller of a and b, signed."""
        return self.emit(Op.IMIN, a, b)

    def imax(self, a: Value, b: Value) -> Value:
        """The larger of a and b, signed."""
        return self.emit(Op.IMAX, a, b)

    def not_(self, a: Value) -> Value:
        """1 if a is 0, else 0."""
        return self.ieq(a, self.i32(0))
