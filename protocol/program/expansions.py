"""exp, log, tanh, erf, sin, cos and friends as sequences of the scalar instructions.

No kernel and no contract knows these functions: a program spells them out, so each result is fixed
bit for bit by the correctly rounded operations. Cody-Waite range reduction and minimax polynomials;
their error over the f32 inputs is measured by ``scripts/ulp_sweep.py`` (docs/ulp.md).

``select(a < b, a, b)`` is used for clamps on purpose: it is one instruction pair on every machine,
while ``min`` must also order zeros and propagate NaN.
"""

from __future__ import annotations

from collections.abc import Sequence

from protocol.program.body import Body, Value

MAGIC = 12582912.0  # 1.5 * 2^23: adding it rounds to an integer that stands in the low bits
_H = float.fromhex

_LOG2_E = _H("0x1.715476p+0")
_MINUS_LN2_HIGH = _H("-0x1.62e430p-1")
_MINUS_LN2_LOW = _H("0x1.05c610p-29")
_EXP = [
    *map(_H, ("0x1.6ac144p-10", "0x1.123da6p-7", "0x1.555858p-5", "0x1.55548cp-3")),
    _H("0x1.fffffcp-2"),
    1.0,
    1.0,
]
_LOG = [
    *map(_H, ("-0x1.ff9f0cp-4", "0x1.1ff1c4p-3", "-0x1.f6b650p-4", "0x1.1e8280p-3")),
    *map(_H, ("-0x1.557e26p-3", "0x1.99d58cp-3", "-0x1.ffff94p-3", "0x1.5554fap-2", "-0x1p-1")),
]
_TANH_SMALL = [
    *map(_H, ("-0x1.750ce2p-8", "0x1.51f8cep-6", "-0x1.b835a4p-5", "0x1.1106f6p-3")),
    _H("-0x1.555532p-2"),
]
_ERF_EXPONENT = [
    *map(_H, ("-0x1.a5ed9cp-13", "0x1.958e18p-9", "-0x1.6f7328p-6", "0x1.ab6266p-4")),
    *map(_H, ("0x1.460056p-1", "0x1.20c106p+0", "0x1.139be6p-13")),
]
_ERF_SMALL = [
    *map(_H, ("-0x1.39acbap-11", "0x1.4724d4p-8", "-0x1.b68850p-6", "0x1.ce1a50p-4")),
    *map(_H, ("-0x1.8126e6p-2", "0x1.06eba6p-3")),
]
_TWO_OVER_PI = _H("0x1.45f306p-1")
_MINUS_HALF_PI = list(map(_H, ("-0x1.921fb4p+0", "-0x1.4442d0p-24", "-0x1.846988p-48")))
_SIN = list(map(_H, ("0x1.7c2c4ep-19", "-0x1.a05954p-13", "0x1.111174p-7", "-0x1.555556p-3")))
_COS = [*map(_H, ("0x1.99e80cp-16", "-0x1.6c0c28p-10", "0x1.55554ap-5")), -0.5, 1.0]
_TRIGONOMETRIC_LIMIT = 4194304.0  # 2^22: beyond it three words of pi/2 do not reduce any more


def horner(b: Body, x: Value, coefficients: Sequence[float]) -> Value:
    """The polynomial with ``coefficients``, highest power first, by fused multiply-adds."""
    p = b.f32(coefficients[0])
    for coefficient in coefficients[1:]:
        p = b.fma(p, x, b.f32(coefficient))
    return p


def exp(b: Body, x: Value) -> Value:
    """The exponential of x.

    The selection on x < -104 before the core keeps masked entries (-inf) away from subnormal
    arithmetic, which costs a microcode assist per operation.
    """
    low = b.flt(x, b.f32(-104.0))
    c = b.select(low, b.f32(0.0), x)
    c = b.select(b.flt(b.f32(89.0), c), b.f32(89.0), c)
    t, p = _exp_core(b, c)
    # Two factors 2^a * 2^b, so that neither leaves the normal range before the product does.
    word = b.bits(t)
    first = b.ishr(word, b.i32(1))
    second = b.isub(word, first)
    y = b.mul(b.mul(p, _power_of_two(b, first)), _power_of_two(b, second))
    return b.select(low, b.f32(0.0), y)


def log(b: Body, x: Value) -> Value:
    """The natural logarithm of x: NaN below 0, -inf at 0."""
    small = b.flt(x, b.f32(_H("0x1p-126")))
    e, f = _split_for_log(b, b.select(small, b.mul(x, b.f32(_H("0x1p23"))), x))
    y = _log_core(b, b.add(b.i2f(e), b.select(small, b.f32(-23.0), b.f32(0.0))), f)
    y = b.select(b.flt(x, b.f32(float("inf"))), y, x)  # inf and NaN stay
    y = b.select(b.flt(x, b.f32(0.0)), b.f32(float("nan")), y)
    return b.select(b.feq(x, b.f32(0.0)), b.f32(float("-inf")), y)


def log_normal(b: Body, x: Value) -> Value:
    """The same for x from 2^-126 to the largest number, in half the instructions."""
    e, f = _split_for_log(b, x)
    return _log_core(b, b.i2f(e), f)


def _split_for_log(b: Body, x: Value) -> tuple[Value, Value]:
    """Numbers e and f, with x = 2^e (1 + f) and 1 + f from 2/3 to 4/3."""
    word = b.bits(x)
    e = b.isar(b.isub(word, b.i32(0x3F2AAAAB)), b.i32(23))
    mantissa = b.from_bits(b.isub(word, b.ishl(e, b.i32(23))))
    return e, b.sub(mantissa, b.f32(1.0))


def _log_core(b: Body, n: Value, f: Value) -> Value:
    p = horner(b, f, _LOG)
    return b.fma(n, b.f32(_H("0x1.62e430p-1")), b.fma(p, b.mul(f, f), f))


def log1p(b: Body, x: Value) -> Value:
    """log(1 + x), accurate near 0: the rounding of u = 1 + x is undone by x / (u - 1) [Kahan]."""
    one = b.f32(1.0)
    u = b.add(one, x)
    corrected = b.mul(log(b, u), b.div(x, b.sub(u, one)))
    y = b.select(b.feq(u, one), x, corrected)
    return b.select(b.feq(x, b.f32(float("inf"))), x, y)


def expm1(b: Body, x: Value) -> Value:
    """exp(x) - 1, accurate near 0: the rounding of u = exp(x) is undone by x / log(u) [Kahan]."""
    one = b.f32(1.0)
    u = exp(b, x)
    less = b.sub(u, one)
    corrected = b.mul(less, b.div(x, log(b, u)))
    near = b.flt(b.abs(less), b.f32(0.5))
    y = b.select(near, corrected, less)
    return b.select(b.feq(u, one), x, y)


def tanh(b: Body, x: Value) -> Value:
    """The hyperbolic tangent of x, by 1 - 2 / (exp(2|x|) + 1) and an odd polynomial near 0."""
    a = b.abs(x)
    c = b.select(b.flt(b.f32(9.02), a), b.f32(9.02), a)
    t, p = _exp_core(b, b.add(c, c))
    e = b.mul(p, _power_of_two(b, b.bits(t)))
    big = b.sub(b.f32(1.0), b.div(b.f32(2.0), b.add(e, b.f32(1.0))))
    z = b.mul(a, a)
    small = b.fma(horner(b, z, _TANH_SMALL), b.mul(a, z), a)
    y = b.select(b.flt(a, b.f32(0.625)), small, big)
    return _with_sign_of(b, y, x)


def erf(b: Body, x: Value) -> Value:
    """The error function of x, by 1 - exp(-w(|x|)) and an odd polynomial near 0."""
    a = b.abs(x)
    c = b.select(b.flt(b.f32(3.93), a), b.f32(3.93), a)
    w = horner(b, c, _ERF_EXPONENT)
    minus_w = b.neg(w)
    t, p = _exp_core(b, minus_w)
    big = b.sub(b.f32(1.0), b.mul(p, _power_of_two(b, b.bits(t))))
    z = b.mul(a, a)
    small = b.fma(horner(b, z, _ERF_SMALL), a, a)
    y = b.select(b.flt(a, b.f32(0.921875)), small, big)
    return _with_sign_of(b, y, x)


def sin(b: Body, x: Value) -> Value:
    """The sine of x; NaN for abs(x) >= 2^22, infinities and NaN."""
    y = _trigonometric(b, x, quarter_turns=0)
    y = b.select(b.feq(x, b.f32(0.0)), x, y)  # keeps -0
    return _within_limit(b, x, y)


def cos(b: Body, x: Value) -> Value:
    """The cosine of x; NaN for abs(x) >= 2^22, infinities and NaN."""
    return _within_limit(b, x, _trigonometric(b, x, quarter_turns=1))


def sigmoid(b: Body, x: Value) -> Value:
    """1 / (1 + exp(-x))."""
    return b.div(b.f32(1.0), b.add(b.f32(1.0), exp(b, b.neg(x))))


def rsqrt(b: Body, x: Value) -> Value:
    """1 / sqrt(x), each correctly rounded."""
    return b.div(b.f32(1.0), b.sqrt(x))


def power(b: Body, x: Value, exponent: float) -> Value:
    """The constant powers that need no exp and log: whole -8..8, and the halves; else ValueError.

    x^n by squaring from the lowest bit; x^(-n) = 1 / x^n; x^(n + 1/2) = x^n * sqrt(x).
    """
    if exponent < 0:
        return b.div(b.f32(1.0), power(b, x, -exponent))
    whole, half = int(exponent), exponent - int(exponent)
    if half not in (0.0, 0.5) or whole > 8:
        raise ValueError(
            f"x ** {exponent} is not lowered: exp(y log x) would lose abs(y log x) ulp; "
            "use a multiple of 0.5 between -8 and 8, or write exp and log yourself"
        )
    factors = []
    square = x
    while whole:
        if whole & 1:
            factors.append(square)
        whole >>= 1
        if whole:
            square = b.mul(square, square)
    if half:
        factors.append(b.sqrt(x))
    if not factors:
        return b.f32(1.0)
    result = factors[0]
    for factor in factors[1:]:
        result = b.mul(result, factor)
    return result


def _exp_core(b: Body, c: Value) -> tuple[Value, Value]:
    """(t, p) with exp(c) = p * 2^n, where n stands in the low bits of t."""
    t = b.fma(c, b.f32(_LOG2_E), b.f32(MAGIC))
    n = b.sub(t, b.f32(MAGIC))
    r = b.fma(n, b.f32(_MINUS_LN2_HIGH), c)
    r = b.fma(n, b.f32(_MINUS_LN2_LOW), r)
    return t, horner(b, r, _EXP)


def _power_of_two(b: Body, exponent: Value) -> Value:
    """2^exponent for an exponent in the normal range; only its low nine bits count."""
    word = b.iadd(b.ishl(exponent, b.i32(23)), b.i32(0x3F800000))
    return b.from_bits(word)


def _with_sign_of(b: Body, magnitude: Value, x: Value) -> Value:
    sign = b.iand(b.bits(x), b.i32(0x80000000))
    return b.from_bits(b.ior(b.bits(magnitude), sign))


def _trigonometric(b: Body, x: Value, quarter_turns: int) -> Value:
    t = b.fma(x, b.f32(_TWO_OVER_PI), b.f32(MAGIC))
    n = b.sub(t, b.f32(MAGIC))
    r = x
    for word in _MINUS_HALF_PI:
        r = b.fma(n, b.f32(word), r)
    quadrant = b.bits(t)
    if quarter_turns:
        quadrant = b.iadd(quadrant, b.i32(quarter_turns))
    z = b.mul(r, r)
    s = b.fma(horner(b, z, _SIN), b.mul(r, z), r)
    c = horner(b, z, _COS)
    y = b.select(b.iand(quadrant, b.i32(1)), c, s)
    sign = b.ishl(b.iand(quadrant, b.i32(2)), b.i32(30))
    return b.from_bits(b.ixor(b.bits(y), sign))


def _within_limit(b: Body, x: Value, y: Value) -> Value:
    inside = b.flt(b.abs(x), b.f32(_TRIGONOMETRIC_LIMIT))
    return b.select(inside, y, b.f32(float("nan")))
