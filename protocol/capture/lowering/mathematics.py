"""Further elementwise functions: inverse and hyperbolic ones, rounding, remainders, bounds."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from protocol.capture.lowering.context import Context, aten, lowers
from protocol.capture.lowering.pointwise import arithmetic, comparison, expression
from protocol.capture.writing.values import Lowered
from protocol.program import elementary
from protocol.program.body import Body, Value
from protocol.program.isa import DType, Type

Scalar = Callable[..., Value]


def _same(_: Body, x: Value) -> Value:
    return x


_UNARY: dict[Any, Scalar] = {
    aten.tan.default: elementary.tan,
    aten.asin.default: elementary.asin,
    aten.acos.default: elementary.acos,
    aten.atan.default: elementary.atan,
    aten.sinh.default: elementary.sinh,
    aten.cosh.default: elementary.cosh,
    aten.asinh.default: elementary.asinh,
    aten.acosh.default: elementary.acosh,
    aten.atanh.default: elementary.atanh,
    aten.exp2.default: elementary.exp2,
    aten.log2.default: elementary.log2,
    aten.log10.default: elementary.log10,
    aten.erfc.default: elementary.erfc,
}
for _operator, _function in _UNARY.items():
    lowers(_operator, elementwise=True)(arithmetic(_function))

# A whole number stays as it is.
for _operators, _function in (
    ((aten.trunc.default, aten.fix.default), elementary.trunc),
    ((aten.round.default,), elementary.round_even),
):
    lowers(*_operators, elementwise=True)(arithmetic(_function, _same))

_BINARY: tuple[tuple[tuple[Any, ...], Scalar, Scalar | None], ...] = (
    ((aten.atan2.default,), elementary.atan2, None),
    ((aten.hypot.default,), elementary.hypot, None),
    ((aten.copysign.Tensor, aten.copysign.Scalar), elementary.copysign, None),
    (
        (aten.remainder.Tensor, aten.remainder.Scalar),
        elementary.remainder,
        elementary.integer_remainder,
    ),
    (
        (aten.fmod.Tensor, aten.fmod.Scalar),
        elementary.fmod,
        lambda b, x, y: b.irem(x, y),
    ),
    (
        (aten.floor_divide.default,),
        elementary.floor_divide,
        elementary.integer_floor_divide,
    ),
    ((aten.pow.Tensor_Tensor, aten.pow.Scalar), elementary.power, None),
    ((aten.remainder.Scalar_Tensor,), elementary.remainder, elementary.integer_remainder),
)
for _all, _on_float, _on_integer in _BINARY:
    lowers(*_all, elementwise=True)(arithmetic(_on_float, _on_integer))

lowers(aten.signbit.default, elementwise=True)(
    comparison(
        lambda b, x: b.ishr(b.bits(x), b.i32(31)),
        lambda b, x: b.ishr(x, b.i32(31)),
    )
)


def _known(choose: Scalar) -> Scalar:
    """``choose`` between two numbers, of which a NaN counts as missing."""

    def chosen(b: Body, x: Value, y: Value) -> Value:
        either = b.select(elementary.is_nan(b, y), x, choose(b, x, y))
        return b.select(elementary.is_nan(b, x), y, either)

    return chosen


lowers(aten.fmax.default, elementwise=True)(
    arithmetic(_known(lambda b, x, y: b.max(x, y)), lambda b, x, y: b.imax(x, y))
)
lowers(aten.fmin.default, elementwise=True)(
    arithmetic(_known(lambda b, x, y: b.min(x, y)), lambda b, x, y: b.imin(x, y))
)


@lowers(aten.div.Tensor_mode, aten.div.Scalar_mode, elementwise=True)
def _div(ctx: Context, x: Any, y: Any, *, rounding_mode: str | None = None) -> Lowered:
    rules: dict[str | None, tuple[Scalar, Scalar | None]] = {
        None: (lambda b, u, v: b.div(u, v), None),
        "floor": (elementary.floor_divide, elementary.integer_floor_divide),
        "trunc": (
            lambda b, u, v: elementary.trunc(b, b.div(u, v)),
            lambda b, u, v: b.idiv(u, v),
        ),
    }
    result: Lowered = arithmetic(*rules[rounding_mode])(ctx, x, y)
    return result


@lowers(aten.round.decimals, elementwise=True)
def _round(ctx: Context, x: Any, *, decimals: int = 0) -> Lowered:
    """Scaled by a power of ten, rounded, scaled back."""
    scale = float(10 ** abs(decimals))

    def rounded(b: Body, v: Value) -> Value:
        if decimals < 0:
            return b.mul(elementary.round_even(b, b.div(v, b.f32(scale))), b.f32(scale))
        return b.div(elementary.round_even(b, b.mul(v, b.f32(scale))), b.f32(scale))

    result: Lowered = arithmetic(rounded if decimals else elementary.round_even, _same)(ctx, x)
    return result


@lowers(aten.clamp.Tensor, aten.clamp_min.Tensor, aten.clamp_max.Tensor, elementwise=True)
def _clamp(ctx: Context, x: Any, *bounds: Any, **named: Any) -> Lowered:
    """The upper bound wins over the lower one; a NaN in any of the three gives NaN."""
    low, high = named.get("min"), named.get("max")
    if ctx.node.target is aten.clamp_max.Tensor:
        high = bounds[0]
    elif bounds:
        low = bounds[0]
        high = bounds[1] if len(bounds) > 1 else high
    parts = [part for part in (x, low, high) if part is not None]

    def emit(b: Body, v: Value, *limits: Value) -> Value:
        remaining = list(limits)
        real = v.type is Type.F
        if low is not None:
            lower = remaining.pop(0)
            v = b.max(v, lower) if real else b.imax(v, lower)
        if high is not None:
            upper = remaining.pop(0)
            v = b.min(v, upper) if real else b.imin(v, upper)
        return v

    if any(part.meta["val"].dtype is not ctx.torch_dtype() for part in ctx.node.all_input_nodes):
        ctx.refuse("bounds of another dtype are not lowered; convert them first")
    return expression(ctx, emit, parts)


@lowers(aten.hardshrink_backward.default, aten.softshrink_backward.default, elementwise=True)
def _shrink_backward(ctx: Context, gradient: Any, x: Any, size: float) -> Lowered:
    """The gradient passes where x lies beyond plus or minus ``size``."""

    def emit(b: Body, g: Value, v: Value) -> Value:
        return b.select(b.fle(b.abs(v), b.f32(float(size))), b.f32(0.0), g)

    return expression(ctx, emit, [gradient, x])


@lowers(aten.angle.default, elementwise=True)
def _angle(ctx: Context, x: Any) -> Lowered:
    """Pi for negative numbers, NaN for NaN, else 0."""
    if ctx.dtype() is not DType.F32 or ctx.argument_dtype(0) is not ctx.torch_dtype():
        ctx.refuse("only float32 is lowered; convert with .float()")

    def emit(b: Body, v: Value) -> Value:
        turned = b.select(b.flt(v, b.f32(0.0)), b.f32(math.pi), b.f32(0.0))
        return b.select(elementary.is_nan(b, v), v, turned)

    return expression(ctx, emit, [x])
