"""Elementwise operators: expressions that wait for their consumer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from protocol.capture.lowering.context import Context, aten, lowers
from protocol.capture.writing.values import STORED, Full, Lowered
from protocol.program import elementary, expansions
from protocol.program.body import Body, Value
from protocol.program.isa import Type

Scalar = Callable[..., Value]
_INTEGERS = (torch.int32, torch.int64, torch.uint8, torch.bool)


def type_of(dtype: torch.dtype) -> Type:
    """Register type in which a dtype is computed."""
    return STORED[dtype].type


def cast(b: Body, value: Value, source: torch.dtype, target: torch.dtype) -> Value:
    """``value`` of dtype ``source`` as ``target``, as ``Tensor.to`` converts."""
    if target is torch.bool and source is not torch.bool:
        zero = b.f32(0.0) if value.type is Type.F else b.i32(0)
        same = b.feq(value, zero) if value.type is Type.F else b.ieq(value, zero)
        return b.not_(same)
    if type_of(target) is Type.F:
        return value if value.type is Type.F else b.i2f(value)
    if value.type is Type.F:
        value = b.f2i(value)
    if target is torch.uint8 and source is not torch.uint8 and source is not torch.bool:
        value = b.iand(value, b.i32(0xFF))
    return value


def _operands(ctx: Context, arguments: tuple[Any, ...], target: torch.dtype) -> list[Lowered]:
    """Tensor arguments cast to ``target``, Python numbers as constants of it."""
    operands: list[Lowered] = []
    for position, argument in enumerate(arguments):
        if isinstance(argument, bool | int | float):
            value = float(argument) if type_of(target) is Type.F else int(argument)
            operands.append(Full((), type_of(target), value))
        else:
            operands.append(_converted(ctx, argument, ctx.argument_dtype(position), target))
    return operands


def _converted(ctx: Context, value: Lowered, source: torch.dtype, target: torch.dtype) -> Lowered:
    if source is target or (target is torch.int32 and source is torch.int64):
        return value
    if isinstance(value, Full) and type_of(target) is Type.F:
        return Full(value.shape, Type.F, float(value.value))
    if (
        type_of(source) is type_of(target)
        and target is not torch.bool
        and target is not torch.uint8
    ):
        return value
    return ctx.lazy(
        lambda b, v: cast(b, v[0], source, target), value, shape=value.shape, dtype=STORED[target]
    )


def expression(ctx: Context, function: Scalar, operands: list[Lowered]) -> Lowered:
    """``function`` of the operands at every element of the result."""
    return ctx.lazy(lambda b, v: function(b, *v), *operands, shape=ctx.shape(), dtype=ctx.dtype())


def arithmetic(on_float: Scalar | None, on_integer: Scalar | None = None) -> Callable[..., Any]:
    """A rule that computes in the result's dtype."""

    def rule(ctx: Context, *arguments: Any) -> Lowered:
        target = ctx.torch_dtype()
        function = on_float if type_of(target) is Type.F else on_integer
        if function is None or target is torch.uint8:
            ctx.refuse(f"there is no lowering for {target}; convert the operand with .float()")
        operands = _operands(ctx, arguments, target)
        if target is torch.bool:
            chosen = function
            return expression(ctx, lambda b, *v: b.not_(b.not_(chosen(b, *v))), operands)
        return expression(ctx, function, operands)

    return rule


def _common_dtype(ctx: Context) -> torch.dtype:
    """The dtype in which the operands are compared; bools compare as integers."""
    values: list[Any] = [getattr(a, "meta", {}).get("val", a) for a in ctx.node.args]
    first, *others = values
    common: torch.dtype = torch.result_type(first, others[0]) if others else first.dtype
    return torch.int32 if common is torch.bool else common


def comparison(on_float: Scalar, on_integer: Scalar) -> Callable[..., Any]:
    """A rule that computes in the operands' common dtype and gives a bool."""

    def rule(ctx: Context, *arguments: Any) -> Lowered:
        common = _common_dtype(ctx)
        function = on_float if type_of(common) is Type.F else on_integer
        return expression(ctx, function, _operands(ctx, arguments, common))

    return rule


def _logical(function: Scalar) -> Callable[..., Any]:
    def rule(ctx: Context, *arguments: Any) -> Lowered:
        return expression(ctx, function, _operands(ctx, arguments, torch.bool))

    return rule


def _relu(b: Body, x: Value) -> Value:
    return b.select(b.flt(x, b.f32(0.0)), b.f32(0.0), x)


def _sign(b: Body, x: Value) -> Value:
    negative = b.select(b.flt(x, b.f32(0.0)), b.f32(-1.0), x)
    return b.select(b.flt(b.f32(0.0), x), b.f32(1.0), negative)


def _floor(b: Body, x: Value) -> Value:
    """Exact: beyond 2^23 every f32 is whole; the sign of a zero is kept."""
    whole = b.i2f(b.f2i(x))
    below = b.select(b.flt(x, whole), b.sub(whole, b.f32(1.0)), whole)
    kept = b.select(b.feq(below, x), x, below)
    return b.select(b.flt(b.abs(x), b.f32(8388608.0)), kept, x)


def _is_nan(b: Body, x: Value) -> Value:
    return b.not_(b.feq(x, x))


_UNARY: dict[Any, Scalar] = {
    aten.exp.default: expansions.exp,
    aten.log.default: expansions.log,
    aten.log1p.default: expansions.log1p,
    aten.expm1.default: expansions.expm1,
    aten.tanh.default: expansions.tanh,
    aten.erf.default: expansions.erf,
    aten.sin.default: expansions.sin,
    aten.cos.default: expansions.cos,
    aten.sigmoid.default: expansions.sigmoid,
    aten.rsqrt.default: expansions.rsqrt,
    aten.sqrt.default: lambda b, x: b.sqrt(x),
    aten.reciprocal.default: lambda b, x: b.div(b.f32(1.0), x),
    aten.floor.default: _floor,
    aten.ceil.default: lambda b, x: b.neg(_floor(b, b.neg(x))),
}

for _operator, _function in _UNARY.items():
    lowers(_operator, elementwise=True)(arithmetic(_function))

for _operators, _on_float, _on_integer in (
    ((aten.neg.default,), lambda b, x: b.neg(x), lambda b, x: b.isub(b.i32(0), x)),
    ((aten.abs.default,), lambda b, x: b.abs(x), lambda b, x: b.imax(x, b.isub(b.i32(0), x))),
    ((aten.sign.default,), _sign, None),
    ((aten.relu.default,), _relu, lambda b, x: b.imax(x, b.i32(0))),
    ((aten.div.Tensor, aten.div.Scalar), lambda b, x, y: b.div(x, y), None),
    ((aten.maximum.default,), lambda b, x, y: b.max(x, y), lambda b, x, y: b.imax(x, y)),
    ((aten.minimum.default,), lambda b, x, y: b.min(x, y), lambda b, x, y: b.imin(x, y)),
):
    lowers(*_operators, elementwise=True)(arithmetic(_on_float, _on_integer))

for _names, _on_float, _on_integer in (
    (("lt",), lambda b, x, y: b.flt(x, y), lambda b, x, y: b.ilt(x, y)),
    (("gt",), lambda b, x, y: b.flt(y, x), lambda b, x, y: b.ilt(y, x)),
    (("le",), lambda b, x, y: b.fle(x, y), lambda b, x, y: b.not_(b.ilt(y, x))),
    (("ge",), lambda b, x, y: b.fle(y, x), lambda b, x, y: b.not_(b.ilt(x, y))),
    (("eq",), lambda b, x, y: b.feq(x, y), lambda b, x, y: b.ieq(x, y)),
    (("ne",), lambda b, x, y: b.not_(b.feq(x, y)), lambda b, x, y: b.not_(b.ieq(x, y))),
):
    _packet = getattr(aten, _names[0])
    lowers(_packet.Scalar, _packet.Tensor, elementwise=True)(comparison(_on_float, _on_integer))

lowers(aten.isnan.default, elementwise=True)(comparison(_is_nan, lambda b, x: b.isub(x, x)))
lowers(aten.isinf.default, elementwise=True)(
    comparison(lambda b, x: b.feq(b.abs(x), b.f32(float("inf"))), lambda b, x: b.isub(x, x))
)
for _name, _function in (
    ("and", lambda b, x, y: b.iand(x, y)),
    ("or", lambda b, x, y: b.ior(x, y)),
    ("xor", lambda b, x, y: b.ixor(x, y)),
):
    lowers(getattr(aten, f"logical_{_name}").default, elementwise=True)(_logical(_function))
    _bitwise = getattr(aten, f"bitwise_{_name}")
    lowers(_bitwise.Tensor, _bitwise.Scalar, elementwise=True)(arithmetic(None, _function))
lowers(aten.logical_not.default, elementwise=True)(_logical(lambda b, x: b.not_(x)))


@lowers(aten.bitwise_not.default, elementwise=True)
def _bitwise_not(ctx: Context, x: Any) -> Lowered:
    if ctx.torch_dtype() is torch.bool:
        return expression(ctx, lambda b, v: b.not_(v), [x])
    return expression(ctx, lambda b, v: b.ixor(v, b.i32(-1)), [x])


@lowers(aten.mul.Tensor, aten.mul.Scalar, elementwise=True)
def _mul(ctx: Context, x: Any, y: Any) -> Lowered:
    if y == 1 and not isinstance(x, int | float) and ctx.argument_dtype(0) is ctx.torch_dtype():
        same: Lowered = x  # times one is exact
        return same
    rule = arithmetic(lambda b, u, v: b.mul(u, v), lambda b, u, v: b.imul(u, v))
    product: Lowered = rule(ctx, x, y)
    return product


def _sum_rule(negate: bool, swap: bool) -> Callable[..., Any]:
    def rule(ctx: Context, x: Any, y: Any, alpha: float = 1, **extra: Any) -> Lowered:
        factor = extra.get("alpha", alpha)

        def on_float(b: Body, u: Value, v: Value) -> Value:
            scaled = (
                (u if swap else v) if factor == 1 else b.mul(u if swap else v, b.f32(float(factor)))
            )
            first = v if swap else u
            return b.sub(first, scaled) if negate else b.add(first, scaled)

        def on_integer(b: Body, u: Value, v: Value) -> Value:
            scaled = (
                (u if swap else v) if factor == 1 else b.imul(u if swap else v, b.i32(int(factor)))
            )
            first = v if swap else u
            return b.isub(first, scaled) if negate else b.iadd(first, scaled)

        result: Lowered = arithmetic(on_float, on_integer)(ctx, x, y)
        return result

    return rule


lowers(aten.add.Tensor, aten.add.Scalar, elementwise=True)(_sum_rule(negate=False, swap=False))
lowers(aten.sub.Tensor, aten.sub.Scalar, elementwise=True)(_sum_rule(negate=True, swap=False))
lowers(aten.rsub.Tensor, aten.rsub.Scalar, elementwise=True)(_sum_rule(negate=True, swap=True))


@lowers(aten.pow.Tensor_Scalar, elementwise=True)
def _pow(ctx: Context, x: Any, exponent: Any) -> Lowered:
    """Products and roots where they do; else exp of the logarithm in two words."""

    def raised(b: Body, v: Value) -> Value:
        try:
            return expansions.power(b, v, float(exponent))
        except ValueError:
            return elementary.power(b, v, b.f32(float(exponent)))

    result: Lowered = arithmetic(raised)(ctx, x)
    return result


@lowers(aten.where.self, elementwise=True)
def _where(ctx: Context, condition: Any, x: Any, y: Any) -> Lowered:
    target = ctx.torch_dtype()
    chosen = [
        _converted(ctx, value, ctx.argument_dtype(position), target)
        for position, value in ((1, x), (2, y))
    ]
    return expression(ctx, lambda b, c, u, v: b.select(c, u, v), [condition, *chosen])


@lowers(aten.clamp.default, aten.clamp_min.default, aten.clamp_max.default, elementwise=True)
def _clamp(ctx: Context, x: Any, *bounds: Any, **named: Any) -> Lowered:
    low, high = named.get("min"), named.get("max")
    if ctx.node.target is aten.clamp_max.default:
        high = bounds[0]
    elif bounds:
        low = bounds[0]
        high = bounds[1] if len(bounds) > 1 else high

    def on_float(b: Body, v: Value) -> Value:
        v = v if low is None else b.select(b.flt(v, b.f32(low)), b.f32(low), v)
        return v if high is None else b.select(b.flt(b.f32(high), v), b.f32(high), v)

    def on_integer(b: Body, v: Value) -> Value:
        v = v if low is None else b.imax(v, b.i32(int(low)))
        return v if high is None else b.imin(v, b.i32(int(high)))

    result: Lowered = arithmetic(on_float, on_integer)(ctx, x)
    return result


@lowers(aten._to_copy.default, elementwise=True)
def _to_copy(ctx: Context, x: Lowered, **_: Any) -> Lowered:
    return _converted(ctx, x, ctx.argument_dtype(0), ctx.torch_dtype())


@lowers(aten.copy_.default, aten.copy.default, elementwise=True)
def _copy(ctx: Context, _: Lowered, source: Lowered, *__: Any) -> Lowered:
    written: Any = ctx.node.args[0]
    if ctx.node.target is aten.copy_.default and written.op != "placeholder":
        ctx.refuse("it writes into a part of a tensor in place; use torch.where or torch.cat")
    value = _converted(ctx, source, ctx.argument_dtype(1), ctx.torch_dtype())
    if value.shape == ctx.shape():
        return value
    return expression(ctx, lambda _, v: v, [value])
