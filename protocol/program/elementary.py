"""More functions as sequences of the scalar instructions, on top of ``expansions``.

Inverse trigonometric and hyperbolic functions, other bases, rounding, remainders and general
powers. Polynomials for atan and asin: Cephes (Moshier, atanf.c and asinf.c); erfc: the Chebyshev
fit of Numerical Recipes (erfcc) with the square in two words.
"""

from __future__ import annotations

import math

from protocol.program import expansions
from protocol.program.body import Body, Value

_WHOLE = 8388608.0  # 2^23: from here on every f32 is whole
_QUOTIENT_LIMIT = 16777216.0  # 2^24: a larger quotient has lost its last digits
_ATAN = [8.05374449538e-2, -1.38776856032e-1, 1.99777106478e-1, -3.33329491539e-1]
_ASIN = [4.2163199048e-2, 2.4181311049e-2, 4.5470025998e-2, 7.4953002686e-2, 1.6666752422e-1]
_ERFC = [0.17087277, -0.82215223, 1.48851587, -1.13520398, 0.27886807]
_ERFC += [-0.18628806, 0.09678418, 0.37409196, 1.00002368, -1.26551223]
_LOG = [
    *map(float.fromhex, ("-0x1.ff9f0cp-4", "0x1.1ff1c4p-3", "-0x1.f6b650p-4", "0x1.1e8280p-3")),
    *map(float.fromhex, ("-0x1.557e26p-3", "0x1.99d58cp-3", "-0x1.ffff94p-3", "0x1.5554fap-2")),
    -0.5,
]
_LN2_HIGH = float.fromhex("0x1.62e000p-1")  # 12 bits: times any exponent it is exact
_LN2_LOW = math.log(2) - _LN2_HIGH


def is_nan(b: Body, x: Value) -> Value:
    """1 if x is NaN."""
    return b.not_(b.feq(x, x))


def copysign(b: Body, magnitude: Value, sign: Value) -> Value:
    """``magnitude`` with the sign of ``sign`` (a NaN has the sign +)."""
    word = b.iand(b.bits(magnitude), b.i32(0x7FFFFFFF))
    return b.from_bits(b.ior(word, b.iand(b.bits(sign), b.i32(0x80000000))))


def trunc(b: Body, x: Value) -> Value:
    """The whole part of x, towards zero; the sign of a zero is kept."""
    whole = copysign(b, b.i2f(b.f2i(x)), x)
    return b.select(b.flt(b.abs(x), b.f32(_WHOLE)), whole, x)


def round_even(b: Body, x: Value) -> Value:
    """The nearest whole number, ties to even."""
    size = b.abs(x)
    whole = b.sub(b.add(size, b.f32(_WHOLE)), b.f32(_WHOLE))
    return b.select(b.flt(size, b.f32(_WHOLE)), copysign(b, whole, x), x)


def floor(b: Body, x: Value) -> Value:
    """The greatest whole number that is not above x."""
    whole = trunc(b, x)
    return b.select(b.flt(x, whole), b.sub(whole, b.f32(1.0)), whole)


def fmod(b: Body, x: Value, y: Value) -> Value:
    """The rest of x / y with the sign of x: exact for abs(x / y) < 2^24, NaN beyond and for y = 0.

    A quotient that rounds up to the next whole number leaves a remainder of the other sign; that
    is corrected by one y, which is exact too.
    """
    size, step = b.abs(x), b.abs(y)
    quotient = b.div(size, step)
    rest = b.fma(b.neg(trunc(b, quotient)), step, size)
    rest = b.select(b.flt(rest, b.f32(0.0)), b.add(rest, step), rest)
    rest = b.select(b.fle(step, rest), b.sub(rest, step), rest)
    rest = b.select(b.flt(size, step), size, rest)  # also for y = inf
    known = b.ior(b.flt(quotient, b.f32(_QUOTIENT_LIMIT)), b.flt(size, step))
    return b.select(known, copysign(b, rest, x), b.f32(math.nan))


def remainder(b: Body, x: Value, y: Value) -> Value:
    """The rest of x / y with the sign of y (limits as for ``fmod``)."""
    rest = fmod(b, x, y)
    other = b.ixor(b.flt(rest, b.f32(0.0)), b.flt(y, b.f32(0.0)))
    wrong = b.iand(other, b.not_(b.feq(rest, b.f32(0.0))))
    return b.select(wrong, b.add(rest, y), rest)


def floor_divide(b: Body, x: Value, y: Value) -> Value:
    """The floor of the exact quotient for abs(x / y) < 2^24; beyond, the quotient as rounded."""
    quotient = b.div(x, y)
    whole = floor(b, quotient)
    rest = b.fma(b.neg(whole), y, x)  # the quotient may have rounded up to ``whole``
    past = b.iand(b.ixor(b.flt(rest, b.f32(0.0)), b.flt(y, b.f32(0.0))), b.not_(_is_zero(b, rest)))
    lower = b.select(past, b.sub(whole, b.f32(1.0)), whole)
    return b.select(b.flt(b.abs(quotient), b.f32(_QUOTIENT_LIMIT)), lower, quotient)


def integer_floor_divide(b: Body, x: Value, y: Value) -> Value:
    """The floor of x / y; 0 for y = 0."""
    quotient, rest = b.idiv(x, y), b.irem(x, y)
    return b.isub(quotient, _below(b, rest, y))


def integer_remainder(b: Body, x: Value, y: Value) -> Value:
    """The rest of x / y with the sign of y; 0 for y = 0."""
    rest = b.irem(x, y)
    return b.iadd(rest, b.imul(_below(b, rest, y), y))


def tan(b: Body, x: Value) -> Value:
    """The tangent of x; NaN for abs(x) >= 2^22."""
    return b.div(expansions.sin(b, x), expansions.cos(b, x))


def atan(b: Body, x: Value) -> Value:
    """The arc tangent of x."""
    return copysign(b, _atan_of_positive(b, b.abs(x), b.f32(1.0)), x)


def atan2(b: Body, y: Value, x: Value) -> Value:
    """The angle of the point (x, y) in -pi..pi, with signed zeros as C has them."""
    turned = _atan_of_positive(b, b.abs(y), b.abs(x))
    negative = b.ishr(b.bits(x), b.i32(31))
    angle = b.select(negative, b.sub(b.f32(math.pi), turned), turned)
    angle = copysign(b, angle, y)
    return b.select(b.ior(is_nan(b, x), is_nan(b, y)), b.f32(math.nan), angle)


def asin(b: Body, x: Value) -> Value:
    """The arc sine of x; NaN outside -1..1."""
    size = b.abs(x)
    outer = b.flt(b.f32(0.5), size)
    turned = b.fma(b.f32(-2.0), _asin_core(b, _half_chord(b, size)), b.f32(math.pi / 2))
    y = b.select(outer, turned, _asin_core(b, size))
    return copysign(b, b.select(is_nan(b, x), x, y), x)


def acos(b: Body, x: Value) -> Value:
    """The arc cosine of x; NaN outside -1..1."""
    size = b.abs(x)
    outer = b.mul(b.f32(2.0), _asin_core(b, _half_chord(b, size)))
    outer = b.select(b.flt(x, b.f32(0.0)), b.sub(b.f32(math.pi), outer), outer)
    inner = b.sub(b.f32(math.pi / 2), copysign(b, _asin_core(b, size), x))
    return b.select(b.flt(b.f32(0.5), size), outer, inner)


def sinh(b: Body, x: Value) -> Value:
    """The hyperbolic sine of x; the half of exp stays finite where exp(abs(x)) does not."""
    size = b.abs(x)
    less = expansions.expm1(b, size)
    near = b.mul(b.f32(0.5), b.add(less, b.div(less, b.add(less, b.f32(1.0)))))
    return copysign(b, b.select(b.flt(b.f32(80.0), size), _half_exp(b, size), near), x)


def cosh(b: Body, x: Value) -> Value:
    """The hyperbolic cosine of x."""
    size = b.abs(x)
    half = _half_exp(b, size)
    return b.add(half, b.div(b.f32(0.25), half))


def asinh(b: Body, x: Value) -> Value:
    """The inverse hyperbolic sine of x."""
    size = b.abs(x)
    square = b.mul(size, size)
    root = b.sqrt(b.add(square, b.f32(1.0)))
    near = b.add(size, b.div(square, b.add(root, b.f32(1.0))))
    return copysign(b, _log1p_or_double(b, near, size), x)


def acosh(b: Body, x: Value) -> Value:
    """The inverse hyperbolic cosine of x; NaN below 1."""
    over = b.sub(x, b.f32(1.0))
    near = b.add(over, b.sqrt(b.mul(over, b.add(x, b.f32(1.0)))))
    return b.select(b.flt(x, b.f32(1.0)), b.f32(math.nan), _log1p_or_double(b, near, x))


def atanh(b: Body, x: Value) -> Value:
    """The inverse hyperbolic tangent of x; NaN outside -1..1."""
    size = b.abs(x)
    ratio = b.div(b.add(size, size), b.sub(b.f32(1.0), size))
    y = b.mul(b.f32(0.5), expansions.log1p(b, ratio))
    y = b.select(b.flt(b.f32(1.0), size), b.f32(math.nan), y)
    return b.select(is_nan(b, y), y, copysign(b, y, x))


def exp2(b: Body, x: Value) -> Value:
    """Two to the power x; exact for whole x."""
    c = b.select(b.flt(x, b.f32(-160.0)), b.f32(-160.0), x)
    c = b.select(b.flt(b.f32(130.0), c), b.f32(130.0), c)
    whole = round_even(b, c)
    p = expansions.exp(b, b.mul(b.sub(c, whole), b.f32(math.log(2))))
    n = b.f2i(whole)
    first = b.isar(n, b.i32(1))
    scaled = b.mul(b.mul(p, _power_of_two(b, first)), _power_of_two(b, b.isub(n, first)))
    return b.select(is_nan(b, x), x, scaled)


def log2(b: Body, x: Value) -> Value:
    """The logarithm of x to the base 2; exact for powers of two."""
    return _logarithm(b, x, 1.0, 0.0, 1 / math.log(2))


def log10(b: Body, x: Value) -> Value:
    """The logarithm of x to the base 10."""
    high = float.fromhex("0x1.344000p-2")
    return _logarithm(b, x, high, math.log10(2) - high, 1 / math.log(10))


def erfc(b: Body, x: Value) -> Value:
    """1 - erf(x) with a small relative error for large x too."""
    size = b.abs(x)
    t = b.div(b.f32(1.0), b.fma(size, b.f32(0.5), b.f32(1.0)))
    square = b.mul(size, size)
    lost = b.fma(size, size, b.neg(square))
    series = expansions.horner(b, t, _ERFC)
    tail = b.mul(expansions.exp(b, b.neg(square)), expansions.exp(b, b.sub(series, lost)))
    y = b.mul(t, tail)
    y = b.select(b.flt(b.f32(11.0), size), b.f32(0.0), y)
    far = b.select(b.flt(x, b.f32(0.0)), b.sub(b.f32(2.0), y), y)
    near = b.sub(b.f32(1.0), expansions.erf(b, x))
    return b.select(b.flt(size, b.f32(0.5)), near, b.select(is_nan(b, x), x, far))


def hypot(b: Body, x: Value, y: Value) -> Value:
    """sqrt(x^2 + y^2) without overflow on the way."""
    u, v = b.abs(x), b.abs(y)
    large, small = b.max(u, v), b.min(u, v)
    ratio = b.div(small, large)
    y = b.mul(large, b.sqrt(b.fma(ratio, ratio, b.f32(1.0))))
    y = b.select(b.feq(small, b.f32(0.0)), large, y)
    infinite = b.ior(b.feq(u, b.f32(math.inf)), b.feq(v, b.f32(math.inf)))
    return b.select(infinite, b.f32(math.inf), y)


def power(b: Body, x: Value, y: Value) -> Value:
    """The power x^y, with C's special cases.

    exp(y * log(abs(x))) with the logarithm in two words: the error is a few ulp where
    abs(y * log x) < 10 and grows to about 16 ulp near overflow.
    """
    size = b.abs(x)
    high, low = _log_in_two_words(b, size)
    product = b.mul(y, high)
    lost = b.fma(y, low, b.fma(y, high, b.neg(product)))
    lost = b.select(b.flt(b.abs(lost), b.f32(1.0)), lost, b.f32(0.0))  # infinite products
    grown = expansions.exp(b, product)
    value = b.select(b.flt(grown, b.f32(math.inf)), b.fma(grown, lost, grown), grown)
    whole = b.feq(trunc(b, y), y)
    odd = b.iand(b.flt(b.abs(y), b.f32(_QUOTIENT_LIMIT)), b.iand(b.f2i(y), b.i32(1)))
    odd = b.iand(odd, whole)
    sign = b.ishl(b.iand(b.ishr(b.bits(x), b.i32(31)), odd), b.i32(31))
    value = b.from_bits(b.ior(b.bits(value), sign))
    real = b.ior(whole, b.ior(b.fle(b.f32(0.0), x), b.feq(size, b.f32(math.inf))))
    value = b.select(b.ior(real, is_nan(b, x)), value, b.f32(math.nan))
    minus_one = b.iand(b.feq(x, b.f32(-1.0)), b.feq(b.abs(y), b.f32(math.inf)))
    one = b.ior(b.feq(y, b.f32(0.0)), b.ior(b.feq(x, b.f32(1.0)), minus_one))
    return b.select(one, b.f32(1.0), value)


def _is_zero(b: Body, x: Value) -> Value:
    return b.feq(x, b.f32(0.0))


def _below(b: Body, rest: Value, y: Value) -> Value:
    """1 where a remainder that has the sign of x must go to that of y."""
    other = b.ishr(b.ixor(rest, y), b.i32(31))
    return b.iand(other, b.not_(b.ieq(rest, b.i32(0))))


def _atan_of_positive(b: Body, y: Value, x: Value) -> Value:
    """The angle of a point in the first quadrant."""
    large, small = b.max(x, y), b.min(x, y)
    t = b.div(small, large)
    t = b.select(b.feq(small, large), b.f32(1.0), t)  # both infinite
    t = b.select(b.feq(small, b.f32(0.0)), b.f32(0.0), t)  # both zero
    wide = b.flt(b.f32(math.tan(math.pi / 8)), t)
    moved = b.div(b.sub(t, b.f32(1.0)), b.add(t, b.f32(1.0)))
    v = b.select(wide, moved, t)
    z = b.mul(v, v)
    angle = b.fma(b.mul(expansions.horner(b, z, _ATAN), z), v, v)
    angle = b.select(wide, b.add(angle, b.f32(math.pi / 4)), angle)
    return b.select(b.flt(x, y), b.sub(b.f32(math.pi / 2), angle), angle)


def _asin_core(b: Body, x: Value) -> Value:
    z = b.mul(x, x)
    return b.fma(b.mul(expansions.horner(b, z, _ASIN), z), x, x)


def _half_chord(b: Body, size: Value) -> Value:
    return b.sqrt(b.mul(b.f32(0.5), b.sub(b.f32(1.0), size)))


def _half_exp(b: Body, size: Value) -> Value:
    """exp(size) / 2 that is finite up to the largest f32."""
    root = expansions.exp(b, b.mul(b.f32(0.5), size))
    far = b.mul(b.mul(b.f32(0.5), root), root)
    near = b.mul(b.f32(0.5), expansions.exp(b, size))
    return b.select(b.flt(b.f32(80.0), size), far, near)


def _log1p_or_double(b: Body, near: Value, size: Value) -> Value:
    """log(1 + near), or log(2 * size) where near would overflow."""
    large = b.flt(b.f32(1e9), size)
    return b.select(
        large,
        b.add(expansions.log(b, size), b.f32(math.log(2))),
        expansions.log1p(b, b.select(large, b.f32(0.0), near)),
    )


def _power_of_two(b: Body, exponent: Value) -> Value:
    return b.from_bits(b.iadd(b.ishl(exponent, b.i32(23)), b.i32(0x3F800000)))


def _split(b: Body, x: Value) -> tuple[Value, Value]:
    """(n, m) with x = m * 2^n and m in 2/3..4/3, for a positive finite x."""
    small = b.flt(x, b.f32(float.fromhex("0x1p-126")))
    v = b.select(small, b.mul(x, b.f32(_WHOLE)), x)
    word = b.bits(v)
    e = b.isar(b.isub(word, b.i32(0x3F2AAAAB)), b.i32(23))
    mantissa = b.from_bits(b.isub(word, b.ishl(e, b.i32(23))))
    return b.add(b.i2f(e), b.select(small, b.f32(-23.0), b.f32(0.0))), mantissa


def _logarithm(b: Body, x: Value, high: float, low: float, scale: float) -> Value:
    """The logarithm to a base in which 2 has the logarithm high + low and e has scale."""
    n, mantissa = _split(b, x)
    f = b.sub(mantissa, b.f32(1.0))
    z = b.mul(f, f)
    series = b.fma(expansions.horner(b, f, _LOG), z, f)
    part = b.mul(series, b.f32(scale))
    y = b.add(b.mul(n, b.f32(high)), b.fma(n, b.f32(low), part) if low else part)
    y = b.select(b.flt(x, b.f32(math.inf)), y, x)
    y = b.select(b.flt(x, b.f32(0.0)), b.f32(math.nan), y)
    return b.select(_is_zero(b, x), b.f32(-math.inf), y)


def _log_in_two_words(b: Body, x: Value) -> tuple[Value, Value]:
    """log(x) of x >= 0 as high + low, with about 30 good bits."""
    n, mantissa = _split(b, x)
    f = b.sub(mantissa, b.f32(1.0))
    curve = b.mul(expansions.horner(b, f, _LOG), b.mul(f, f))
    whole = b.mul(n, b.f32(_LN2_HIGH))
    first = b.add(whole, f)
    lost = b.select(
        _is_zero(b, n), b.f32(0.0), b.add(b.sub(whole, first), f)
    )  # abs(whole) > abs(f) unless n = 0
    rest = b.add(b.fma(n, b.f32(_LN2_LOW), lost), curve)
    high = b.add(first, rest)
    low = b.add(b.sub(first, high), rest)
    special = b.ior(_is_zero(b, x), b.not_(b.flt(x, b.f32(math.inf))))
    value = b.select(_is_zero(b, x), b.f32(-math.inf), x)
    return b.select(special, value, high), b.select(special, b.f32(0.0), low)
