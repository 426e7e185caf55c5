"""Random draws: Philox words of (task seed, draw, step, element) instead of a hidden stream.

`draws` makes floats of the words; whole numbers are the upper word of their product with the range.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from protocol.capture.lowering.context import Context, aten, lowers
from protocol.capture.writing import draws
from protocol.capture.writing.values import Lowered, View
from protocol.program import philox
from protocol.program.body import Body, Value
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


@lowers(aten.rand.default, aten.rand_like.default)
def _rand(ctx: Context, *_: Any, **__: Any) -> Lowered:
    return _draw_uniform(ctx, 0.0, 1.0)


@lowers(aten.uniform.default)
def _uniform(ctx: Context, _: Lowered, low: float = 0.0, high: float = 1.0, **__: Any) -> Lowered:
    return _draw_uniform(ctx, low, high)


@lowers(aten.randn.default, aten.randn_like.default)
def _randn(ctx: Context, *_: Any, **__: Any) -> Lowered:
    return _draw_normal(ctx, 0.0, 1.0)


@lowers(aten.normal_functional.default)
def _normal(ctx: Context, _: Lowered, mean: float = 0.0, std: float = 1.0, **__: Any) -> Lowered:
    return _draw_normal(ctx, mean, std)


@lowers(aten.normal.float_float)
def _normal_of(ctx: Context, mean: float, std: float, *_: Any, **__: Any) -> Lowered:
    return _draw_normal(ctx, mean, std)


@lowers(aten.randint.default, aten.randint_like.default)
def _randint(ctx: Context, first: Any, *others: Any, **__: Any) -> Lowered:
    """(high, shape) or (tensor, high)."""
    return _draw_whole(ctx, 0, first if isinstance(first, int) else others[0])


@lowers(aten.randint.low, aten.randint_like.low_dtype)
def _randint_low(ctx: Context, *arguments: Any, **__: Any) -> Lowered:
    """(low, high, shape) or (tensor, low, high)."""
    low, high = [a for a in arguments if isinstance(a, int)][:2]
    return _draw_whole(ctx, low, high)


def _draw_uniform(ctx: Context, low: float, high: float) -> Lowered:
    _need_float(ctx)

    (word,) = _draw_words(ctx, 1)

    def emit(b: Body, v: Sequence[Value]) -> Value:
        return draws.uniform(b, v[0], low, high)

    return ctx.lazy(emit, word, shape=word.shape, dtype=DType.F32)


def _draw_normal(ctx: Context, mean: float, std: float) -> Lowered:
    _need_float(ctx)
    words = _draw_words(ctx, 2)

    def emit(b: Body, v: Sequence[Value]) -> Value:
        return draws.normal_of_two(b, v[0], v[1], mean, std)

    return ctx.lazy(emit, *words, shape=words[0].shape, dtype=DType.F32)


def _draw_whole(ctx: Context, low: int, high: int) -> Lowered:
    """Whole numbers from ``low`` to ``high`` - 1."""
    if not (-(1 << 31) <= low < high <= 1 << 31 and high - low < 1 << 32):
        ctx.refuse(f"the range {low}..{high} is empty or does not fit 32 bits")
    (word,) = _draw_words(ctx, 1)

    def emit(b: Body, drawn: Value) -> Value:
        value = b.iadd(b.imulhi(drawn, b.i32(high - low)), b.i32(low))
        return b.i2f(value) if ctx.dtype() is DType.F32 else value

    return ctx.lazy(lambda b, v: emit(b, v[0]), word, shape=word.shape, dtype=ctx.dtype())


def _draw_words(ctx: Context, count: int) -> list[View]:
    """``count`` tensors of uniform 32-bit words of one draw, independent of each other."""
    draw, seed = ctx.writer.next_draw(), ctx.writer.seed
    tensors = []
    for number in range(count):
        b = FoldBuilder(DType.I32, ctx.shape())
        counter = (b.flat_position(), ctx.writer.step.load(b, []), b.i32(seed >> 32), b.i32(0))
        words = philox.philox_words(b, counter, (seed & 0xFFFFFFFF, draw))
        tensors.append(ctx.finish(b, words[number], f"{ctx.operator}.word{number}"))
    return tensors


def _need_float(ctx: Context) -> None:
    if ctx.dtype() is not DType.F32:
        ctx.refuse(f"{ctx.torch_dtype()} cannot hold it; ask for torch.float32")
