"""Clipping of gradients by value and by their global norm, as ``torch.nn.utils`` does.

The norm is one number over all parameters: each gradient's squares are summed as every float sum
is, then the gradients' sums 16 at a time, in the order of the parameters, until one is left.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from protocol.capture.errors import CaptureError, Origin
from protocol.capture.updates.base import PlaceContext, scaled, sum_of_squares
from protocol.capture.writing.values import Lowered, View
from protocol.capture.writing.writer import Writer
from protocol.program.body import Value
from protocol.program.builder import FoldBuilder
from protocol.program.isa import DType

FAN_IN = 16
EPSILON = 1e-6  # what torch.nn.utils.clip_grad_norm_ adds to the norm


@dataclass(frozen=True)
class Clipping:
    """At most one of a greatest global norm and a greatest absolute value."""

    norm: float | None = None
    value: float | None = None

    def __post_init__(self) -> None:
        if self.norm is not None and self.value is not None:
            raise CaptureError(
                f"clip_norm={self.norm} and clip_value={self.value} are both given, and the result "
                "depends on which comes first; give one of them (docs/CAPTURE.md, Updates)"
            )
        for name, limit in (("clip_norm", self.norm), ("clip_value", self.value)):
            is_number = isinstance(limit, int | float)  # in people's own files anything may stand
            if limit is not None and not (is_number and math.isfinite(limit) and limit > 0.0):
                raise CaptureError(
                    f"{name}={limit!r} is no limit: it must be a finite number above 0; leave it "
                    "None for no clipping (docs/CAPTURE.md, Updates)"
                )

    def write(
        self, writer: Writer, gradients: Mapping[str, Lowered], factor: float = 1.0
    ) -> dict[str, Lowered]:
        """The gradients times ``factor``, clipped, as expressions that their readers compute.

        Nothing if they stay as they are. ``factor`` is one over the number of gradients in a sum.
        """
        if factor == 1.0 and self.norm is None and self.value is None:
            return {}
        gradients = {name: writer.view(gradient) for name, gradient in gradients.items()}
        ctx = PlaceContext(writer, Origin("gradients", "opt"), "clip")
        if self.norm is not None and gradients:
            scale = _scale(ctx, list(gradients.values()), self.norm, factor)
            return {name: scaled(ctx, g, scale) for name, g in gradients.items()}
        return {name: _limited(ctx, g, self.value, factor) for name, g in gradients.items()}


def _limited(ctx: PlaceContext, gradient: Lowered, limit: float | None, factor: float) -> Lowered:
    def emit(b: FoldBuilder, v: Sequence[Value]) -> Value:
        value = v[0] if factor == 1.0 else b.mul(v[0], b.f32(factor))
        if limit is None:
            return value
        return b.min(b.max(value, b.f32(-limit)), b.f32(limit))

    return ctx.lazy(emit, gradient, shape=gradient.shape, dtype=DType.F32)


def _scale(ctx: PlaceContext, gradients: list[Lowered], limit: float, factor: float) -> View:
    """The scale ``factor * min(1, limit / (factor * sqrt(sum) + 1e-6))``; NaN stays NaN."""
    sums = [sum_of_squares(ctx, gradient) for gradient in gradients]
    while len(sums) > 1:
        sums = [_added(ctx, sums[i : i + FAN_IN]) for i in range(0, len(sums), FAN_IN)]
    b = FoldBuilder(DType.F32, ())
    norm = b.sqrt(sums[0].load(b, []))
    norm = norm if factor == 1.0 else b.mul(norm, b.f32(factor))
    coefficient = b.div(b.f32(limit), b.add(norm, b.f32(EPSILON)))
    coefficient = b.min(coefficient, b.f32(1.0))
    coefficient = coefficient if factor == 1.0 else b.mul(coefficient, b.f32(factor))
    return ctx.finish(b, coefficient, "clip.scale")


def _added(ctx: PlaceContext, sums: list[View]) -> View:
    if len(sums) == 1:
        return sums[0]
    b = FoldBuilder(DType.F32, ())
    total = sums[0].load(b, [])
    for one in sums[1:]:
        total = b.add(total, one.load(b, []))
    return ctx.finish(b, total, "clip.sum")
