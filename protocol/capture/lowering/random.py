"""Random draws: Philox words of (task seed, draw, step, element) instead of a hidden stream."""

from __future__ import annotations

from typing import Any

from protocol.capture.lowering.context import Context, aten, lowers
from protocol.capture.values import Lowered, View
from protocol.program import philox
from protocol.program.builder import FoldBuilder
from protocol.program.isa import DType


def draw_mask(ctx: Context, probability: float) -> View:
    """A u8 tensor that is 1 with ``probability``, new at every step."""
    b = FoldBuilder(DType.U8, ctx.shape())
    step = ctx.writer.step.load(b, [])
    word = philox.uniform_word(b, ctx.writer.seed, ctx.writer.next_draw(), step, b.flat_position())
    return ctx.finish(b, philox.keep(b, word, probability))


@lowers(aten.bernoulli.p)
def _bernoulli(ctx: Context, _: Lowered, probability: float = 0.5, **__: Any) -> Lowered:
    if not 0.0 <= probability <= 1.0:
        ctx.refuse(f"probability {probability} is outside 0..1")
    mask = draw_mask(ctx, probability)
    if ctx.dtype() is not DType.F32:
        return mask
    return ctx.lazy(lambda b, v: b.i2f(v[0]), mask, shape=mask.shape, dtype=DType.F32)
