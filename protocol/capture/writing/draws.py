"""Numbers of a distribution out of uniform 32-bit words, in the instructions of a body.

Uniform numbers are the word's upper 24 bits over 2^24. Normal ones come from two words by Box and
Muller's cosine, or from one by the inverse of the error function: a cut-off normal is then a
shorter stretch of it. That inverse is Giles's ("Approximating the erfinv function", 2010), two
polynomials in log(1 - x^2); the first has the signs of its odd powers turned.
"""

from __future__ import annotations

import math

import numpy as np

from protocol.program import expansions
from protocol.program.body import Body, Value

UNIT = 2.0**-24
LARGEST = 1.0 - UNIT
"""The largest f32 below 1."""

_CENTRE = (2.81022636e-08, -3.43273939e-07, -3.5233877e-06, 4.39150654e-06, 0.00021858087,
           0.00125372503, -0.00417768164, -0.246640727, 1.50140941)  # fmt: skip
_TAIL = (-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773,
         -0.0076224613, 0.00943887047, 1.00167406, 2.83297682)  # fmt: skip
_MIDDLE = -2.5  # of the logarithms from -5 up, to which _CENTRE belongs


def uniform(b: Body, word: Value, low: float, high: float) -> Value:
    """From ``low`` to ``high``, in steps of a 2^24th of it."""
    unit = b.mul(b.i2f(b.ishr(word, b.i32(8))), b.f32(UNIT))
    return unit if (low, high) == (0.0, 1.0) else b.fma(unit, b.f32(high - low), b.f32(low))


def normal_of_two(b: Body, first: Value, second: Value, mean: float, std: float) -> Value:
    """sqrt(-2 log u) cos(2 pi v), u in steps of 2^-24 from half of one, so never 0."""
    u, v = (b.i2f(b.ishr(word, b.i32(8))) for word in (first, second))
    u = b.fma(u, b.f32(UNIT), b.f32(UNIT / 2))
    radius = b.sqrt(b.mul(b.f32(-2.0), expansions.log(b, u)))
    turned = expansions.cos(b, b.mul(v, b.f32(2.0 * math.pi * UNIT)))
    value = b.mul(radius, turned)
    return value if (mean, std) == (0.0, 1.0) else b.fma(value, b.f32(std), b.f32(mean))


def normal(b: Body, word: Value, mean: float, std: float) -> Value:
    """Within 5.4 deviations, as far as 2^24 values reach."""
    scaled = b.mul(erfinv(b, between(b, word)), b.f32(std * math.sqrt(2.0)))
    return scaled if mean == 0.0 else b.add(scaled, b.f32(mean))


def cut_normal(b: Body, word: Value, mean: float, std: float, low: float, high: float) -> Value:
    """A normal number on condition that it lies from ``low`` to ``high``."""
    first, last = (math.erf((end - mean) / (std * math.sqrt(2.0))) for end in (low, high))
    x = stretched(b, between(b, word), first, last)
    value = b.fma(erfinv(b, x), b.f32(std * math.sqrt(2.0)), b.f32(mean))
    least, most = (b.f32(end) for end in (low, high))
    value = b.select(b.flt(value, least), least, value)  # what rounding put outside
    return b.select(b.flt(most, value), most, value)


def between(b: Body, word: Value) -> Value:
    """An odd multiple of 2^-24 between -1 and 1, exactly: as often negative as positive."""
    odd = b.ior(b.isar(word, b.i32(7)), b.i32(1))
    return b.mul(b.i2f(odd), b.f32(UNIT))


def stretched(b: Body, x: Value, first: float, last: float) -> Value:
    """What is between -1 and 1, between ``first`` and ``last`` and still inside -1 and 1."""
    centre = np.float32((first + last) / 2)
    half = np.float32((last - first) / 2)
    while abs(float(centre)) + float(half) * LARGEST > LARGEST:  # in double: nothing is rounded
        half = np.nextafter(half, np.float32(0))
    return b.fma(x, b.f32(float(half)), b.f32(float(centre)))


def erfinv(b: Body, x: Value) -> Value:
    """The inverse of the error function, for abs(x) up to `LARGEST`."""
    log = expansions.log_normal(b, b.fma(b.neg(x), x, b.f32(1.0)))
    near = b.sub(log, b.f32(_MIDDLE))
    is_centre = b.flt(b.f32(_MIDDLE), near)
    w = b.select(is_centre, near, b.sub(b.sqrt(b.neg(log)), b.f32(3.0)))
    p: Value | None = None
    for centre, tail in zip(_CENTRE, _TAIL, strict=True):
        coefficient = b.select(is_centre, b.f32(centre), b.f32(tail))
        p = coefficient if p is None else b.fma(p, w, coefficient)
    assert p is not None
    return b.mul(p, x)
