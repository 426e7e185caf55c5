"""How far apart two words are, for reports.

The distance counts representable floats between two f32 words (units in the last place), with -0
and +0 one apart, which is how a bit-for-bit comparison sees them.
"""

from __future__ import annotations

import math
import struct

from protocol.program.isa import DType

SIGN = 0x80000000
INFINITY = 0x7F800000


def to_float(word: int) -> float:
    """The value of an f32 word."""
    value: float = struct.unpack("<f", struct.pack("<I", word))[0]
    return value


def distance(a: int, b: int) -> int | None:
    """Representable f32 values between two words; None if exactly one of them is a NaN."""
    if _is_nan(a) or _is_nan(b):
        return 0 if _is_nan(a) and _is_nan(b) else None
    return abs(_rank(a) - _rank(b))


def decimal(word: int) -> str:
    """The shortest decimal that reads back as the f32 word: ``0.1``, ``-0.0``, ``inf``, ``nan``."""
    value = to_float(word)
    if not math.isfinite(value):
        return str(value)
    for digits in range(1, 10):
        text = f"{value:.{digits}g}"
        if _reads_back(text, word):
            break
    return text if any(mark in text for mark in ".en") else f"{text}.0"


def value_of(word: int, dtype: DType) -> str:
    """A word in decimal, as its type reads it: i32 words are signed."""
    if dtype is DType.F32:
        return decimal(word)
    return str(word - (1 << 32) if dtype is DType.I32 and word >> 31 else word)


def hexadecimal(word: int, dtype: DType) -> str:
    """A word in hexadecimal: as many digits as its type stores."""
    return f"0x{word:0{2 * dtype.width}x}"


def how_far(a: int, b: int, dtype: DType) -> str:
    """The distance of two different words for a reader."""
    if dtype is not DType.F32:
        return f"{abs(int(value_of(a, dtype)) - int(value_of(b, dtype)))} apart"
    if _is_nan(a) and _is_nan(b):
        return "two different NaNs" if a != b else "the same NaN"
    apart = distance(a, b)
    return "not comparable" if apart is None else f"{apart} ulp apart"


def describe(a: int, b: int, dtype: DType = DType.F32) -> str:
    """The two words for a reader: hexadecimal, decimal and distance."""
    first, second = (f"{hexadecimal(w, dtype)} ({value_of(w, dtype)})" for w in (a, b))
    return f"{first} and {second}, {how_far(a, b, dtype)}"


def _reads_back(text: str, word: int) -> bool:
    try:
        return struct.pack("<f", float(text)) == struct.pack("<I", word)
    except OverflowError:  # rounded up beyond the largest finite float
        return False


def _is_nan(word: int) -> bool:
    return word & ~SIGN > INFINITY


def _rank(word: int) -> int:
    """Position of a word on the line of all floats, so that neighbours differ by one."""
    return -(word & ~SIGN) - 1 if word & SIGN else word
