"""The scalar instruction set: opcodes, their operand and result types.

A body is a straight-line program in single assignment form over untyped 32-bit words whose
*registers* are statically typed: ``F`` holds an f32 whose NaN is always ``0x7fc00000``, ``I`` an
i32. Every instruction is total. The bytes here are the ones that the contract decodes
(``contracts/libraries/ScalarProgram.sol``); ``docs/PROTOCOL.md`` section 1 gives each meaning.
"""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import Final

CANONICAL_NAN: Final = 0x7FC00000
WORD_MASK: Final = 0xFFFFFFFF

MAX_INSTRUCTIONS: Final = 128
MAX_LOADS: Final = 16
MAX_OPERANDS: Final = 16
MAX_CONSTANTS: Final = 64
MAX_GUARDS: Final = 4
MAX_RANK: Final = 8
MAX_AXES: Final = 8
MAX_TERMS_PER_AXIS: Final = 16
MAX_NODE_BYTES: Final = 4096


class Type(IntEnum):
    """Static type of a register; the value is its byte in a constant's encoding."""

    I = 0  # noqa: E741 - the name that the specification uses
    F = 1


class DType(IntEnum):
    """Storage type of a tensor; the value is its byte in the canonical encoding."""

    F32 = 1
    I32 = 2
    U8 = 3

    @property
    def width(self) -> int:
        """Bytes of one stored element."""
        return 1 if self is DType.U8 else 4

    @property
    def type(self) -> Type:
        """Type of the register that a load of this dtype fills."""
        return Type.F if self is DType.F32 else Type.I

    @property
    def numpy(self) -> str:
        """The NumPy dtype string of the stored, little-endian form."""
        return {DType.F32: "<f4", DType.I32: "<i4", DType.U8: "|u1"}[self]

    @property
    def label(self) -> str:
        """The name used in manifests: ``f32``, ``i32`` or ``u8``."""
        return self.name.lower()

    @staticmethod
    def from_label(label: str) -> DType:
        """The dtype called ``label`` (``f32``, ``i32``, ``u8``); ValueError for another name."""
        for dtype in DType:
            if dtype.label == label:
                return dtype
        raise ValueError(f"unknown dtype {label!r}: expected one of f32, i32, u8")


class Op(IntEnum):
    """Opcode bytes. 0x01..0x1f produce or compare floats, 0x21..0x3f are integer operations."""

    ADD = 0x01
    SUB = 0x02
    MUL = 0x03
    DIV = 0x04
    SQRT = 0x05
    FMA = 0x06
    MIN = 0x07
    MAX = 0x08
    NEG = 0x09
    ABS = 0x0A
    FLT = 0x0B
    FLE = 0x0C
    FEQ = 0x0D
    FSEL = 0x0E
    B2F = 0x0F
    I2F = 0x10
    IADD = 0x21
    ISUB = 0x22
    IMUL = 0x23
    IMULHI = 0x24
    IDIV = 0x25
    IREM = 0x26
    IAND = 0x27
    IOR = 0x28
    IXOR = 0x29
    ISHL = 0x2A
    ISHR = 0x2B
    ISAR = 0x2C
    ILT = 0x2D
    IULT = 0x2E
    IEQ = 0x2F
    IMIN = 0x30
    IMAX = 0x31
    ISEL = 0x32
    F2B = 0x33
    F2I = 0x34


class Signature(Enum):
    """Argument types and result type of a group of opcodes."""

    FF_F = ((Type.F, Type.F), Type.F)
    F_F = ((Type.F,), Type.F)
    FFF_F = ((Type.F, Type.F, Type.F), Type.F)
    FF_I = ((Type.F, Type.F), Type.I)
    IFF_F = ((Type.I, Type.F, Type.F), Type.F)
    I_F = ((Type.I,), Type.F)
    II_I = ((Type.I, Type.I), Type.I)
    III_I = ((Type.I, Type.I, Type.I), Type.I)
    F_I = ((Type.F,), Type.I)

    @property
    def arguments(self) -> tuple[Type, ...]:
        """Types of the operands a, b, c in order."""
        arguments: tuple[Type, ...] = self.value[0]
        return arguments

    @property
    def result(self) -> Type:
        """Type of the register that the instruction defines."""
        result: Type = self.value[1]
        return result


def _signature(op: Op) -> Signature:
    if op in (Op.ADD, Op.SUB, Op.MUL, Op.DIV, Op.MIN, Op.MAX):
        return Signature.FF_F
    if op in (Op.SQRT, Op.NEG, Op.ABS):
        return Signature.F_F
    if op in (Op.FLT, Op.FLE, Op.FEQ):
        return Signature.FF_I
    if op is Op.FMA:
        return Signature.FFF_F
    if op is Op.FSEL:
        return Signature.IFF_F
    if op in (Op.B2F, Op.I2F):
        return Signature.I_F
    if op is Op.ISEL:
        return Signature.III_I
    if op in (Op.F2B, Op.F2I):
        return Signature.F_I
    return Signature.II_I


SIGNATURES: Final[dict[Op, Signature]] = {op: _signature(op) for op in Op}
