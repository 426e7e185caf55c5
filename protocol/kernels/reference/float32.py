"""Scalar arithmetic on 32-bit words, slow and obvious: the judge of every other implementation.

A word is a Python int in ``[0, 2**32)``. Nothing here touches a hardware float: every finite
binary32 number is an integer multiple of 2**-149, so a sum or a product of floats is an exact
Python integer, and there is one rounding function.

Rules, from IEEE 754-2019 with the choices that it leaves open:

* round to nearest, ties to even; subnormals are honoured;
* a NaN result is always the word ``0x7fc00000`` (``CANONICAL_NAN``), also out of ``neg`` and
  ``abs``;
* ``min`` and ``max`` are the standard's ``minimum`` and ``maximum``: NaN if either is NaN,
  -0 below +0;
* integer operations are total: two's complement, wrapping, ``x / 0 == 0``, ``x rem 0 == 0``,
  ``INT_MIN / -1 == INT_MIN``, ``INT_MIN rem -1 == 0``, shift counts taken modulo 32.

Functions never raise for a word in range; a word out of range is the caller's mistake and is not
checked (`word` wraps).
"""

from __future__ import annotations

from collections.abc import Callable
from math import isqrt
from typing import Final

MASK: Final = 0xFFFFFFFF
SIGN: Final = 0x80000000
INFINITY: Final = 0x7F800000
CANONICAL_NAN: Final = 0x7FC00000
ONE: Final = 0x3F800000

UNIT_EXPONENT: Final = 149
"""Finite floats are integers in units of 2**-149, the smallest subnormal."""

_INT_MIN: Final = -(2**31)
_INT_MAX: Final = 2**31 - 1


# ---------------------------------------------------------------------------------------------
# Words as numbers
# ---------------------------------------------------------------------------------------------


def word(value: int) -> int:
    """The word congruent to an integer modulo 2**32."""
    return value & MASK


def signed(x: int) -> int:
    """A word read as two's complement, in ``[-2**31, 2**31)``."""
    return x - 2**32 if x & SIGN else x


def is_nan(x: int) -> bool:
    """Whether the word is any NaN."""
    return x & ~SIGN > INFINITY


def is_inf(x: int) -> bool:
    """Whether the word is plus or minus infinity."""
    return x & ~SIGN == INFINITY


def is_zero(x: int) -> bool:
    """Whether the word is plus or minus zero."""
    return x & ~SIGN == 0


def is_negative(x: int) -> bool:
    """Whether the sign bit is set (also true of -0 and of a negative NaN)."""
    return x & SIGN != 0


def units(x: int) -> int:
    """A finite float as a signed number of units of 2**-149."""
    exponent = x >> 23 & 0xFF
    fraction = x & 0x7FFFFF
    magnitude = fraction if exponent == 0 else (fraction | 0x800000) << (exponent - 1)
    return -magnitude if is_negative(x) else magnitude


def _signed_word(negative: bool, magnitude: int) -> int:
    return magnitude | (SIGN if negative else 0)


def round_ratio(negative: bool, numerator: int, denominator: int) -> int:
    """The float nearest to ``numerator / denominator`` units of 2**-149, ties to even.

    Args:
        negative: the sign of the result, also when it rounds to zero.
        numerator: non-negative.
        denominator: positive.
    """
    whole_bits = (numerator // denominator).bit_length()
    dropped = whole_bits - 24 if whole_bits > 24 else 0
    mantissa, rest = divmod(numerator, denominator << dropped)
    half = denominator << dropped
    if 2 * rest > half or (2 * rest == half and mantissa & 1):
        mantissa += 1
    # The hidden bit and a carry out of the mantissa both add one to the exponent field.
    magnitude = (dropped << 23) + mantissa
    return _signed_word(negative, INFINITY if magnitude > INFINITY else magnitude)


# ---------------------------------------------------------------------------------------------
# Floats: arithmetic
# ---------------------------------------------------------------------------------------------


def _exact_sum(a_units: int, b_units: int, denominator: int, zero: int) -> int:
    """Round ``(a + b) / denominator`` units; ``zero`` is the word of an exact zero."""
    total = a_units + b_units
    if total == 0:
        return zero
    return round_ratio(total < 0, -total if total < 0 else total, denominator)


def _zero_of_sum(a_negative: bool, b_negative: bool) -> int:
    """An exact zero sum is -0 only when both terms are negative (zeros)."""
    return _signed_word(a_negative and b_negative, 0)


def add(a: int, b: int) -> int:
    """A + b."""
    if is_nan(a) or is_nan(b):
        return CANONICAL_NAN
    if is_inf(a):
        return CANONICAL_NAN if is_inf(b) and a != b else a
    if is_inf(b):
        return b
    return _exact_sum(units(a), units(b), 1, _zero_of_sum(is_negative(a), is_negative(b)))


def sub(a: int, b: int) -> int:
    """A - b."""
    return add(a, b ^ SIGN)


def mul(a: int, b: int) -> int:
    """A * b."""
    if is_nan(a) or is_nan(b):
        return CANONICAL_NAN
    negative = is_negative(a) != is_negative(b)
    if is_inf(a) or is_inf(b):
        return CANONICAL_NAN if is_zero(a) or is_zero(b) else _signed_word(negative, INFINITY)
    product = units(a) * units(b)
    return round_ratio(negative, -product if product < 0 else product, 1 << UNIT_EXPONENT)


def fma(a: int, b: int, c: int) -> int:
    """A * b + c, rounded once."""
    if is_nan(a) or is_nan(b) or is_nan(c):
        return CANONICAL_NAN
    product_negative = is_negative(a) != is_negative(b)
    if is_inf(a) or is_inf(b):
        product = _signed_word(product_negative, INFINITY)
        invalid = is_zero(a) or is_zero(b) or (is_inf(c) and c != product)
        return CANONICAL_NAN if invalid else product
    if is_inf(c):
        return c
    return _exact_sum(
        units(a) * units(b),
        units(c) << UNIT_EXPONENT,
        1 << UNIT_EXPONENT,
        _zero_of_sum(product_negative, is_negative(c)),
    )


def div(a: int, b: int) -> int:
    """A / b; a finite nonzero number over zero is infinite, 0/0 and inf/inf are NaN."""
    if is_nan(a) or is_nan(b):
        return CANONICAL_NAN
    negative = is_negative(a) != is_negative(b)
    if is_inf(a):
        return CANONICAL_NAN if is_inf(b) else _signed_word(negative, INFINITY)
    if is_inf(b):
        return _signed_word(negative, 0)
    if is_zero(b):
        return CANONICAL_NAN if is_zero(a) else _signed_word(negative, INFINITY)
    return round_ratio(negative, units(a & ~SIGN) << UNIT_EXPONENT, units(b & ~SIGN))


def sqrt(a: int) -> int:
    """The square root; -0 gives -0, another negative number NaN."""
    if is_nan(a) or is_zero(a):
        return canonical(a)
    if is_negative(a):
        return CANONICAL_NAN
    if is_inf(a):
        return a
    # sqrt(n * 2**-149) = sqrt(n * 2**149) units: an integer part of 75 bits or more, so one
    # further bit that says "inexact" decides every rounding.
    square = units(a) << UNIT_EXPONENT
    root = isqrt(square)
    return round_ratio(False, 2 * root + (root * root != square), 2)


# ---------------------------------------------------------------------------------------------
# Floats: sign, order, conversion
# ---------------------------------------------------------------------------------------------


def canonical(a: int) -> int:
    """The same float with every NaN made ``0x7fc00000``."""
    return CANONICAL_NAN if is_nan(a) else a


def neg(a: int) -> int:
    """-a: flips the sign bit; NaN stays canonical."""
    return canonical(a ^ SIGN)


def abs(a: int) -> int:  # noqa: A001 - the instruction's name
    """The magnitude: clears the sign bit."""
    return canonical(a & ~SIGN)


def _order(a: int) -> int:
    """An integer that orders the non-NaN words: -inf < ... < -0 < +0 < ... < inf."""
    return -1 - (a & ~SIGN) if is_negative(a) else a


def min(a: int, b: int) -> int:  # noqa: A001 - the instruction's name
    """The smaller; NaN if either is NaN; -0 < +0."""
    if is_nan(a) or is_nan(b):
        return CANONICAL_NAN
    return a if _order(a) < _order(b) else b


def max(a: int, b: int) -> int:  # noqa: A001 - the instruction's name
    """The larger; NaN if either is NaN; -0 < +0."""
    if is_nan(a) or is_nan(b):
        return CANONICAL_NAN
    return a if _order(a) > _order(b) else b


def _comparable(a: int) -> int:
    """As `_order`, with both zeros equal."""
    return 0 if is_zero(a) else _order(a)


def flt(a: int, b: int) -> int:
    """1 if a < b, else 0; 0 with NaN; -0 == +0."""
    return int(not is_nan(a) and not is_nan(b) and _comparable(a) < _comparable(b))


def fle(a: int, b: int) -> int:
    """1 if a <= b, else 0; 0 with NaN; -0 == +0."""
    return int(not is_nan(a) and not is_nan(b) and _comparable(a) <= _comparable(b))


def feq(a: int, b: int) -> int:
    """1 if a == b, else 0; 0 with NaN; -0 == +0."""
    return int(not is_nan(a) and not is_nan(b) and _comparable(a) == _comparable(b))


def f2i(a: int) -> int:
    """Float to i32: truncates towards zero, saturates, NaN gives 0."""
    if is_nan(a):
        return 0
    if is_inf(a):
        return word(_INT_MIN if is_negative(a) else _INT_MAX)
    magnitude = units(a & ~SIGN) >> UNIT_EXPONENT
    value = -magnitude if is_negative(a) else magnitude
    if value < _INT_MIN:
        value = _INT_MIN
    if value > _INT_MAX:
        value = _INT_MAX
    return word(value)


def i2f(a: int) -> int:
    """i32 to the nearest float, ties to even."""
    value = signed(a)
    magnitude = -value if value < 0 else value
    return round_ratio(value < 0, magnitude << UNIT_EXPONENT, 1)


def f2b(a: int) -> int:
    """The bits of a float as an i32: f32 words are always canonical, so the identity."""
    return a


def b2f(a: int) -> int:
    """An i32's bits as a float, a NaN made canonical."""
    return canonical(a)


# ---------------------------------------------------------------------------------------------
# Integers
# ---------------------------------------------------------------------------------------------


def iadd(a: int, b: int) -> int:
    """A + b, wrapping."""
    return word(a + b)


def isub(a: int, b: int) -> int:
    """A - b, wrapping."""
    return word(a - b)


def imul(a: int, b: int) -> int:
    """The low 32 bits of a * b."""
    return word(a * b)


def imulhi(a: int, b: int) -> int:
    """The high 32 bits of the unsigned product."""
    return a * b >> 32


def _divide_truncating(a: int, b: int) -> tuple[int, int]:
    """C's quotient and remainder of signed integers, b nonzero."""
    quotient = (-a if a < 0 else a) // (-b if b < 0 else b)
    if (a < 0) != (b < 0):
        quotient = -quotient
    return quotient, a - quotient * b


def idiv(a: int, b: int) -> int:
    """Truncating signed quotient; 0 when b is 0; INT_MIN / -1 wraps to INT_MIN."""
    return 0 if b == 0 else word(_divide_truncating(signed(a), signed(b))[0])


def irem(a: int, b: int) -> int:
    """Remainder of the truncating division, with a's sign; 0 when b is 0."""
    return 0 if b == 0 else word(_divide_truncating(signed(a), signed(b))[1])


def iand(a: int, b: int) -> int:
    """Bitwise and."""
    return a & b


def ior(a: int, b: int) -> int:
    """Bitwise or."""
    return a | b


def ixor(a: int, b: int) -> int:
    """Bitwise exclusive or."""
    return a ^ b


def ishl(a: int, b: int) -> int:
    """A shifted left by b mod 32."""
    return word(a << (b & 31))


def ishr(a: int, b: int) -> int:
    """A shifted right by b mod 32, zeros coming in."""
    return a >> (b & 31)


def isar(a: int, b: int) -> int:
    """A shifted right by b mod 32, the sign coming in."""
    return word(signed(a) >> (b & 31))


def ilt(a: int, b: int) -> int:
    """1 if a < b as signed integers, else 0."""
    return int(signed(a) < signed(b))


def iult(a: int, b: int) -> int:
    """1 if a < b as unsigned integers, else 0."""
    return int(a < b)


def ieq(a: int, b: int) -> int:
    """1 if the words are equal, else 0."""
    return int(a == b)


def imin(a: int, b: int) -> int:
    """The smaller of two signed integers."""
    return a if signed(a) < signed(b) else b


def imax(a: int, b: int) -> int:
    """The larger of two signed integers."""
    return a if signed(a) > signed(b) else b


def sel(c: int, x: int, y: int) -> int:
    """X if c is not the word 0, else y."""
    return x if c != 0 else y


_NAMED: Final[tuple[Callable[..., int], ...]] = (
    *(add, sub, mul, div, sqrt, fma, neg, abs, min, max, flt, fle, feq),
    *(iadd, isub, imul, imulhi, idiv, irem, iand, ior, ixor, ishl, ishr, isar),
    *(ilt, iult, ieq, imin, imax, f2i, i2f, f2b, b2f),
)
OPERATIONS: Final = {f.__name__: f for f in _NAMED} | {"fsel": sel, "isel": sel}
"""Every instruction of a scalar program by its name (the lower-case name of its ``Op``)."""
