"""Max pooling (the value, then its first index) and average pooling, forward and backward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from protocol.capture.lowering.context import Context, aten, lowers
from protocol.capture.lowering.convolution import Geometry
from protocol.capture.values import Lowered, Shape, View
from protocol.program.body import Value, f32_word
from protocol.program.builder import Affine, FoldBuilder
from protocol.program.isa import DType

_MINUS_INFINITY = f32_word(float("-inf"))


def _pair(value: Any) -> Shape:
    """Two numbers of one, two or (for a stride that was left out) none."""
    numbers = (value, value) if isinstance(value, int) else tuple(value)
    return numbers * 2 if len(numbers) == 1 else numbers


def _planes(view: View) -> View:
    """[N, C, H, W], also of an unbatched [C, H, W]."""
    return view.unsqueeze(0) if len(view.shape) == 3 else view


def _window(kernel: Any, stride: Any, padding: Any, dilation: Any = 1) -> tuple[Shape, Geometry]:
    taps = _pair(kernel)
    return taps, Geometry(_pair(stride or kernel), _pair(padding), _pair(dilation), 1)


def _at(b: FoldBuilder, geometry: Geometry) -> list[Affine]:
    """Input coordinates [n, c, h, w] of output position and tap."""
    place = geometry.source([b.out(2), b.out(3)], [b.red(0), b.red(1)])
    return [b.out(0), b.out(1), *place]


@lowers(aten.max_pool2d_with_indices.default)
def _max_pool(
    ctx: Context,
    x: Lowered,
    kernel: Any,
    stride: Any = (),
    padding: Any = 0,
    dilation: Any = 1,
    _: bool = False,
) -> tuple[View, View]:
    source = _planes(ctx.view(x))
    taps, geometry = _window(kernel, stride, padding, dilation)
    target = ctx.shape(0)
    shape = (*source.shape[:2], *target[-2:])
    b = FoldBuilder(DType.F32, shape, taps, init=_MINUS_INFINITY)
    top = b.max(b.acc, source.load(b, _at(b, geometry), fill=_MINUS_INFINITY))
    value = ctx.finish(b, top)

    b = FoldBuilder(DType.I32, shape, taps, init=0xFFFFFFFF)
    outside = _reaches_outside(geometry, taps, source.shape[2:], shape[2:])
    here = source.load(b, _at(b, geometry), skip=outside)
    best = value.load(b, [b.out(i) for i in range(4)])
    hit = b.ior(b.feq(here, best), b.iand(_nan(b, here), _nan(b, best)))
    row = _position(b, 0, geometry)
    flat = b.iadd(b.imul(row, b.i32(source.shape[3])), _position(b, 1, geometry))
    first = b.iand(hit, b.ilt(b.acc, b.i32(0)))
    index = ctx.finish(b, b.select(first, flat, b.acc))
    if len(target) == 3:
        return value.select(0, 0), index.select(0, 0)
    return value, index


def _reaches_outside(geometry: Geometry, taps: Shape, large: Shape, small: Shape) -> bool:
    """Does a window go beyond the input?"""
    last = [
        (m - 1) * s + (k - 1) * d - p
        for m, k, s, d, p in zip(
            small, taps, geometry.stride, geometry.dilation, geometry.padding, strict=True
        )
    ]
    return any(geometry.padding) or any(end >= n for end, n in zip(last, large, strict=True))


def _nan(b: FoldBuilder, x: Value) -> Value:
    return b.not_(b.feq(x, x))


def _position(b: FoldBuilder, dim: int, geometry: Geometry) -> Value:
    """Input coordinate of spatial dimension ``dim`` as a value of the body."""
    place = b.imul(b.coordinate(2 + dim), b.i32(geometry.stride[dim]))
    tap = b.imul(b.coordinate(4 + dim), b.i32(geometry.dilation[dim]))
    return b.iadd(place, b.isub(tap, b.i32(geometry.padding[dim])))


@lowers(aten.adaptive_max_pool2d.default)
def _adaptive_max_pool(ctx: Context, x: Lowered, _: Sequence[int]) -> tuple[View, View]:
    source = ctx.view(x)
    taps = _even_windows(ctx, source.shape[-2:], ctx.shape(0)[-2:])
    pooled: tuple[View, View] = _max_pool(ctx, source, taps)
    return pooled


@lowers(aten.adaptive_max_pool2d_backward.default)
def _adaptive_max_pool_backward(
    ctx: Context, gradient: Lowered, _: Lowered, indices: Lowered
) -> View:
    g, index = ctx.views(gradient, indices)
    taps = _even_windows(ctx, ctx.shape()[-2:], g.shape[-2:])
    return _max_pool_backward_of_tiles(ctx, g, index, taps)


@lowers(aten.max_pool2d_with_indices_backward.default)
def _max_pool_backward(
    ctx: Context,
    gradient: Lowered,
    _: Lowered,
    kernel: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    __: bool,
    indices: Lowered,
) -> View:
    """Each input position adds the gradients of the windows whose index names it."""
    taps, geometry = _window(kernel, stride, padding, dilation)
    if _tiles(geometry, taps, ctx.shape()[-2:], ctx.view(gradient).shape[-2:]):
        return _max_pool_backward_of_tiles(ctx, ctx.view(gradient), ctx.view(indices), taps)
    g, index = (_planes(v) for v in ctx.views(gradient, indices))
    shape = (*g.shape[:2], *ctx.shape()[-2:])
    b = FoldBuilder(DType.F32, shape, taps)
    window = geometry.target([b.out(2), b.out(3)], [b.red(0), b.red(1)])
    value = g.load(b, [b.out(0), b.out(1), *window])
    named = index.load(b, [b.out(0), b.out(1), *window], skip=True)
    own = b.iadd(b.imul(b.coordinate(2), b.i32(shape[3])), b.coordinate(3))
    result = ctx.finish(b, b.select(b.ieq(named, own), b.add(b.acc, value), b.acc))
    return result if len(ctx.shape()) == 4 else result.select(0, 0)


def _max_pool_backward_of_tiles(ctx: Context, g: View, index: View, taps: Shape) -> View:
    """One window per position: no reduction, no address to check."""
    spread = _spread(g, taps)
    rank = len(spread.shape)
    b = FoldBuilder(DType.F32, spread.shape)
    at = [b.out(i) for i in range(rank)]
    row, i, column, j = (b.coordinate(rank - 4 + d) for d in range(4))
    down = b.iadd(b.imul(row, b.i32(taps[0])), i)
    across = b.iadd(b.imul(column, b.i32(taps[1])), j)
    own = b.iadd(b.imul(down, b.i32(ctx.shape()[-1])), across)
    hit = b.ieq(_spread(index, taps).load(b, at), own)
    result = ctx.finish(b, b.select(hit, spread.load(b, at), b.f32(0.0)))
    return _whole_planes(result, ctx.shape())


@lowers(aten.avg_pool2d.default)
def _avg_pool(
    ctx: Context,
    x: Lowered,
    kernel: Any,
    stride: Any = (),
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor: int | None = None,
) -> Lowered:
    source = _planes(ctx.view(x))
    taps, geometry = _window(kernel, stride, padding)
    _need_plain_count(ctx, geometry, ceil_mode, count_include_pad, divisor)
    b = FoldBuilder(DType.F32, (*source.shape[:2], *ctx.shape()[-2:]), taps)
    total = ctx.finish(b, b.add(b.acc, source.load(b, _at(b, geometry))))
    total = total if len(ctx.shape()) == 4 else total.select(0, 0)
    count = ctx.float_full(float(divisor or taps[0] * taps[1]))
    return ctx.lazy(
        lambda b, v: b.div(v[0], v[1]), total, count, shape=total.shape, dtype=DType.F32
    )


@lowers(aten.avg_pool2d_backward.default)
def _avg_pool_backward(
    ctx: Context,
    gradient: Lowered,
    _: Lowered,
    kernel: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor: int | None,
) -> Lowered:
    g = _planes(ctx.view(gradient))
    taps, geometry = _window(kernel, stride, padding)
    _need_plain_count(ctx, geometry, ceil_mode, count_include_pad, divisor)
    if _tiles(geometry, taps, ctx.shape()[-2:], g.shape[-2:]):
        return _shared_evenly(ctx, ctx.view(gradient), taps, float(divisor or taps[0] * taps[1]))
    b = FoldBuilder(DType.F32, (*g.shape[:2], *ctx.shape()[-2:]), taps)
    window = geometry.target([b.out(2), b.out(3)], [b.red(0), b.red(1)])
    value = g.load(b, [b.out(0), b.out(1), *window], skip=True)
    share = b.div(value, b.f32(float(divisor or taps[0] * taps[1])))
    result = ctx.finish(b, b.add(b.acc, share))
    return result if len(ctx.shape()) == 4 else result.select(0, 0)


def _need_plain_count(
    ctx: Context, geometry: Geometry, ceil_mode: bool, include: bool, divisor: int | None
) -> None:
    padded = any(geometry.padding)
    if divisor is None and (ceil_mode or (padded and not include)):
        ctx.refuse(
            "windows of different counts are not lowered; use ceil_mode=False and "
            "count_include_pad=True, or pass divisor_override"
        )


@lowers(aten.upsample_nearest2d_backward.default)
def _upsample_backward(ctx: Context, gradient: Lowered, *_: Any) -> Lowered:
    """Each input position adds the gradients of its copies."""
    g = ctx.view(gradient)
    taps = _even_windows(ctx, g.shape[-2:], ctx.shape()[-2:])
    b = FoldBuilder(DType.F32, ctx.shape(), taps)
    return ctx.finish(b, b.add(b.acc, g.load(b, _at(b, Geometry(taps, (0, 0), (1, 1), 1)))))


@lowers(aten._adaptive_avg_pool2d.default)
def _adaptive_avg_pool(ctx: Context, x: Lowered, _: Sequence[int]) -> Lowered:
    source = _planes(ctx.view(x))
    taps = _even_windows(ctx, source.shape[2:], ctx.shape()[-2:])
    b = FoldBuilder(DType.F32, (*source.shape[:2], *ctx.shape()[-2:]), taps)
    total = ctx.finish(b, b.add(b.acc, source.load(b, _at(b, Geometry(taps, (0, 0), (1, 1), 1)))))
    total = total if len(ctx.shape()) == 4 else total.select(0, 0)
    count = ctx.float_full(float(taps[0] * taps[1]))
    return ctx.lazy(
        lambda b, v: b.div(v[0], v[1]), total, count, shape=total.shape, dtype=DType.F32
    )


@lowers(aten._adaptive_avg_pool2d_backward.default)
def _adaptive_avg_pool_backward(ctx: Context, gradient: Lowered, _: Lowered) -> Lowered:
    g = ctx.view(gradient)
    taps = _even_windows(ctx, ctx.shape()[-2:], g.shape[-2:])
    return _shared_evenly(ctx, g, taps, float(taps[0] * taps[1]))


def _shared_evenly(ctx: Context, g: View, taps: Shape, count: float) -> View:
    """Each window's gradient divided by ``count``, at every position of its window."""
    spread = _spread(g, taps)
    share = ctx.lazy(
        lambda b, v: b.div(v[0], v[1]),
        spread,
        ctx.float_full(count),
        shape=spread.shape,
        dtype=DType.F32,
    )
    return _whole_planes(ctx.view(share), ctx.shape())


def _spread(view: View, taps: Shape) -> View:
    """[.., oh, ow] as [.., oh, kh, ow, kw]: the value of the window at each of its positions."""
    *lead, rows, columns = view.shape
    wide = view.unsqueeze(-1).expand((*lead, rows, columns, taps[1]))
    return wide.unsqueeze(-3).expand((*lead, rows, taps[0], columns, taps[1]))


def _whole_planes(view: View, shape: Shape) -> View:
    planes = view.reshape(shape)
    assert planes is not None  # a node's own output is contiguous
    return planes


def _tiles(geometry: Geometry, taps: Shape, large: Shape, small: Shape) -> bool:
    """Do the windows lie side by side and cover the input exactly?"""
    return (
        geometry.stride == taps
        and geometry.padding == (0, 0)
        and geometry.dilation == (1, 1)
        and all(n == m * k for n, m, k in zip(large, small, taps, strict=True))
    )


def _even_windows(ctx: Context, large: Shape, small: Shape) -> Shape:
    if any(n % m for n, m in zip(large, small, strict=True)):
        ctx.refuse(
            f"windows of {large} over {small} overlap unevenly; choose an output size "
            "that divides the input size"
        )
    return tuple(n // m for n, m in zip(large, small, strict=True))
