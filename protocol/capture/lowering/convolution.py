"""Convolutions of any spatial rank, with stride, padding, dilation and groups.

Three folds: correlation (forward), its transpose (input gradient) and the weight gradient, whose
long sum over images is split in blocks. Taps beyond the border or past the last image load 0 and
are added like others: kernels can then treat all three as matrix products.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from protocol.capture.lowering.context import Context, aten, lowers
from protocol.capture.lowering.reductions import float_sum
from protocol.capture.writing.values import Lowered, Shape, View, elements
from protocol.program.builder import Affine, FoldBuilder
from protocol.program.isa import MAX_RANK, DType

TERMS_PER_BLOCK = 4_096  # of a weight gradient's partial sum


@dataclass(frozen=True)
class Geometry:
    """How output position, tap and input position relate: in = out * stride - pad + tap * dil."""

    stride: Shape
    padding: Shape
    dilation: Shape
    groups: int

    @staticmethod
    def of(
        rank: int,
        stride: Sequence[int],
        padding: Sequence[int],
        dilation: Sequence[int],
        groups: int,
    ) -> Geometry:
        """Geometry with one number per spatial dimension."""

        def wide(numbers: Sequence[int]) -> Shape:
            return tuple(numbers) * rank if len(numbers) == 1 else tuple(numbers)

        return Geometry(wide(stride), wide(padding), wide(dilation), groups)

    def source(self, out: Sequence[Affine], tap: Sequence[Affine]) -> list[Affine]:
        """Input coordinates of an output position and a tap."""
        parts = zip(out, tap, self.stride, self.padding, self.dilation, strict=True)
        return [o * s + t * d + -p for o, t, s, p, d in parts]

    def target(self, inp: Sequence[Affine], tap: Sequence[Affine]) -> list[Affine]:
        """Output coordinates that read an input position through a tap."""
        parts = zip(inp, tap, self.stride, self.padding, self.dilation, strict=True)
        return [(i + t * -d + p) // s for i, t, s, p, d in parts]


def _grouped(view: View, groups: int, dim: int) -> View:
    """``dim`` split in (groups, channels of a group); as it is for a single group."""
    shape = view.shape
    if groups == 1:
        return view
    split = view.reshape((*shape[:dim], groups, shape[dim] // groups, *shape[dim + 1 :]))
    assert split is not None  # splitting a dimension never needs a copy
    return split


def _flat(view: View, shape: Sequence[int]) -> View:
    flat = view.reshape(shape)
    assert flat is not None  # a node's own output is contiguous
    return flat


def correlate(ctx: Context, x: View, w: View, geometry: Geometry, spatial: Shape) -> View:
    """out[n, o, p] = sum over c, k of x[n, c, p * s - pad + k * d] * w[o, c, k]."""
    xs, ws = _grouped(x, geometry.groups, 1), _grouped(w, geometry.groups, 0)
    split = _group_dims(geometry)
    per_group, *rest = ws.shape[len(split) :]
    b = FoldBuilder(DType.F32, (x.shape[0], *split, per_group, *spatial), rest)
    group = [b.out(1) for _ in split]
    channel = b.out(1 + len(split))
    out = [b.out(2 + len(split) + i) for i in range(len(spatial))]
    tap = [b.red(1 + i) for i in range(len(spatial))]
    a = xs.load(b, [b.out(0), *group, b.red(0), *geometry.source(out, tap)])
    v = ws.load(b, [*group, channel, b.red(0), *tap])
    result = ctx.finish(b, b.fma(a, v, b.acc))
    return _flat(result, (x.shape[0], w.shape[0], *spatial))


def correlate_transposed(
    ctx: Context, g: View, w: View, geometry: Geometry, spatial: Shape
) -> View:
    """out[n, c, q] = sum over o, k of g[n, o, (q + pad - k * d) / s] * w[o, c, k]."""
    if _has_phases(geometry, len(spatial)):
        return _correlate_by_phases(ctx, g, w, geometry, spatial)
    gs, ws = _grouped(g, geometry.groups, 1), _grouped(w, geometry.groups, 0)
    split = _group_dims(geometry)
    per_group, channels, *taps = ws.shape[len(split) :]
    b = FoldBuilder(DType.F32, (g.shape[0], *split, channels, *spatial), (per_group, *taps))
    group = [b.out(1) for _ in split]
    channel = b.out(1 + len(split))
    inp = [b.out(2 + len(split) + i) for i in range(len(spatial))]
    tap = [b.red(1 + i) for i in range(len(spatial))]
    a = gs.load(b, [b.out(0), *group, b.red(0), *geometry.target(inp, tap)])
    v = ws.load(b, [*group, b.red(0), channel, *tap])
    result = ctx.finish(b, b.fma(a, v, b.acc))
    return _flat(result, (g.shape[0], geometry.groups * channels, *spatial))


def _has_phases(geometry: Geometry, rank: int) -> bool:
    dimensions = 2 + len(_group_dims(geometry)) + 2 * rank
    strided = any(s != 1 for s in geometry.stride)
    return strided and all(d == 1 for d in geometry.dilation) and dimensions <= MAX_RANK


def _correlate_by_phases(
    ctx: Context, g: View, w: View, geometry: Geometry, spatial: Shape
) -> View:
    """The transpose without the taps that a stride never hits, and without a divisor.

    With q + pad = s * a + b and k = s * j + b the output position is a - j: a product of two
    matrices over (n, a) and (c, b). Its result includes the padding, which a slice leaves out.
    """
    gs, ws = _grouped(g, geometry.groups, 1), _grouped(w, geometry.groups, 0)
    split, rank = _group_dims(geometry), len(spatial)
    per_group, channels, *taps = ws.shape[len(split) :]
    sizes = zip(spatial, geometry.padding, geometry.stride, strict=True)
    wide = [-(-(size + pad) // s) for size, pad, s in sizes]
    phases = [d for pair in zip(wide, geometry.stride, strict=True) for d in pair]
    hits = [-(-k // s) for k, s in zip(taps, geometry.stride, strict=True)]
    b = FoldBuilder(DType.F32, (g.shape[0], *split, channels, *phases), (per_group, *hits))
    group = [b.out(1) for _ in split]
    first = 2 + len(split)
    place = [b.out(first + 2 * i) + b.red(1 + i) * -1 for i in range(rank)]
    tap = [b.out(first + 2 * i + 1) + b.red(1 + i) * geometry.stride[i] for i in range(rank)]
    a = gs.load(b, [b.out(0), *group, b.red(0), *place])
    v = ws.load(b, [*group, b.red(0), b.out(1 + len(split)), *tap])
    result = ctx.finish(b, b.fma(a, v, b.acc))
    whole = [n * s for n, s in zip(wide, geometry.stride, strict=True)]
    view = _flat(result, (g.shape[0], geometry.groups * channels, *whole))
    for i, size in enumerate(spatial):
        view = view.slice(2 + i, geometry.padding[i], geometry.padding[i] + size)
    return view


def weight_gradient(ctx: Context, g: View, x: View, geometry: Geometry, shape: Shape) -> View:
    """out[o, c, k] = sum over n, p of g[n, o, p] * x[n, c, p * s - pad + k * d]."""
    images, spatial, taps = g.shape[0], g.shape[2:], shape[2:]
    per_block = min(images, max(1, TERMS_PER_BLOCK // elements(spatial)))
    blocks = -(-images // per_block)
    gs, xs = _grouped(g, geometry.groups, 1), _grouped(x, geometry.groups, 1)
    split = _group_dims(geometry)
    lead = (blocks,) if blocks > 1 else ()
    channels = (shape[0] // geometry.groups, shape[1])
    b = FoldBuilder(DType.F32, (*lead, *split, *channels, *taps), (per_block, *spatial))
    image = b.out(0) * per_block + b.red(0) if lead else b.red(0)
    group = [b.out(len(lead)) for _ in split]
    at = len(lead) + len(split)
    out = [b.red(1 + i) for i in range(len(taps))]
    tap = [b.out(at + 2 + i) for i in range(len(taps))]
    a = gs.load(b, [image, *group, b.out(at), *out])
    v = xs.load(b, [image, *group, b.out(at + 1), *geometry.source(out, tap)])
    partial = _flat(ctx.finish(b, b.fma(a, v, b.acc)), (*lead, *shape))
    return float_sum(ctx, partial, [0]) if lead else partial


def _group_dims(geometry: Geometry) -> Shape:
    """The extra output dimension of a grouped convolution."""
    return () if geometry.groups == 1 else (geometry.groups,)


@lowers(aten.convolution.default)
def _convolution(
    ctx: Context,
    x: Lowered,
    weight: Lowered,
    bias: Lowered | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    _: Sequence[int],
    groups: int,
) -> Lowered:
    xv, wv = ctx.views(x, weight)
    spatial = ctx.shape()[2:]
    geometry = Geometry.of(len(spatial), stride, padding, dilation, groups)
    operation = correlate_transposed if transposed else correlate
    result = operation(ctx, xv, wv, geometry, spatial)
    if bias is None:
        return result
    channel = ctx.view(bias)
    for _unused in spatial:
        channel = channel.unsqueeze(-1)
    return ctx.lazy(
        lambda b, v: b.add(v[0], v[1]), result, channel, shape=result.shape, dtype=DType.F32
    )


@lowers(aten.convolution_backward.default)
def _convolution_backward(
    ctx: Context,
    gradient: Lowered,
    x: Lowered,
    weight: Lowered,
    _: Any,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    __: Sequence[int],
    groups: int,
    wanted: Sequence[bool],
) -> tuple[Lowered | None, ...]:
    g, xv, wv = ctx.views(gradient, x, weight)
    geometry = Geometry.of(len(xv.shape) - 2, stride, padding, dilation, groups)
    of_input = of_weight = of_bias = None
    if wanted[0]:
        operation = correlate if transposed else correlate_transposed
        of_input = operation(ctx, g, wv, geometry, xv.shape[2:])
    if wanted[1]:
        small, large = (xv, g) if transposed else (g, xv)
        of_weight = weight_gradient(ctx, small, large, geometry, wv.shape)
    if wanted[2]:
        of_bias = float_sum(ctx, g, [0, *range(2, len(g.shape))])
    return of_input, of_weight, of_bias
