"""Tensors that come from nothing: constants and ranges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from protocol.capture.lowering.context import Context, aten, lowers
from protocol.capture.lowering.pointwise import type_of
from protocol.capture.writing.values import Emit, Full, Lowered
from protocol.program.body import Value
from protocol.program.builder import FoldBuilder
from protocol.program.isa import DType, Type


@lowers(
    aten.full.default,
    aten.full_like.default,
    aten.scalar_tensor.default,
    aten.zeros_like.default,
    aten.ones_like.default,
    aten.zeros.default,
    aten.ones.default,
    aten.fill.Scalar,
    aten.new_zeros.default,
    aten.new_ones.default,
    aten.new_full.default,
)
def _full(ctx: Context, *_: Any, **__: Any) -> Lowered:
    name = ctx.operator
    if name in ("aten.zeros_like", "aten.zeros", "aten.new_zeros"):
        value: Any = 0
    elif name in ("aten.ones_like", "aten.ones", "aten.new_ones"):
        value = 1
    else:
        value = next(a for a in reversed(ctx.node.args) if isinstance(a, bool | int | float))
    return Full(ctx.shape(), type_of(ctx.torch_dtype()), value)


@lowers(
    aten.empty.memory_format,
    aten.empty_like.default,
    aten.empty_permuted.default,
    aten.new_empty.default,
)
def _empty(ctx: Context, *_: Any, **__: Any) -> Lowered:
    """Only its shape is used (random draws); unwritten memory has no place in a program."""
    return Full(ctx.shape(), type_of(ctx.torch_dtype()), 0)


@lowers(aten.arange.start_step, aten.arange.default, aten.arange.start)
def _arange(ctx: Context, *arguments: Any, **_: Any) -> Lowered:
    start, step = 0, 1
    if ctx.node.target is not aten.arange.default:
        start = arguments[0]
        step = arguments[2] if len(arguments) > 2 else 1
    return ctx.view(
        ctx.lazy(
            _place(start, step, ctx.dtype()), shape=ctx.shape(), dtype=ctx.dtype(), placed=True
        )
    )


def _place(start: float, step: float, dtype: DType) -> Emit:
    """Start + i * step at place i: exactly in integers, or the step in two f32 parts."""
    low, high = float(np.float32(start)), float(np.float32(step))
    rests = (start - low, step - high)

    def whole(b: FoldBuilder, _: Sequence[Value]) -> Value:
        place = b.imul(b.coordinate(0), b.i32(int(step)))
        value = b.iadd(place, b.i32(int(start)))
        return b.i2f(value) if dtype.type is Type.F else value

    def broken(b: FoldBuilder, _: Sequence[Value]) -> Value:
        place = b.i2f(b.coordinate(0))
        rest = b.fma(place, b.f32(rests[1]), b.f32(rests[0]))
        return b.fma(place, b.f32(high), b.add(b.f32(low), rest))

    return whole if start == int(start) and step == int(step) else broken
