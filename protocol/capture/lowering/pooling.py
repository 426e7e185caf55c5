"""Max pooling (the value, then its first index) and average pooling, forward and backward.

Windows of one size, of two or three dimensions; ``windows.py`` has those that differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from protocol.capture.lowering.context import Context, aten, lowers
from protocol.capture.lowering.convolution import Geometry
from protocol.capture.writing.values import Lowered, Shape, View, elements
from protocol.program.body import Value, f32_word
from protocol.program.builder import Affine, FoldBuilder
from protocol.program.isa import DType

_MINUS_INFINITY = f32_word(float("-inf"))


def spatial_rank(ctx: Context) -> int:
    """Dimensions of a window."""
    return 3 if "3d" in ctx.operator else 2


def _wide(value: Any, rank: int) -> Shape:
    """A number for each dimension, of one or of all."""
    numbers = (value,) if isinstance(value, int) else tuple(value)
    return numbers * rank if len(numbers) == 1 else numbers


def planes(view: View, rank: int) -> View:
    """[N, C, *spatial], also of an unbatched [C, *spatial]."""
    return view.unsqueeze(0) if len(view.shape) == rank + 1 else view


def like_result(ctx: Context, view: View, output: int | None = None) -> View:
    """Without the batch that ``planes`` put before an unbatched tensor."""
    return view if len(ctx.shape(output)) == len(view.shape) else view.select(0, 0)


def _window(
    ctx: Context, kernel: Any, stride: Any, padding: Any, dilation: Any = 1
) -> tuple[Shape, Geometry]:
    rank = spatial_rank(ctx)
    taps = _wide(kernel, rank)
    steps = _wide(stride, rank) if stride else taps
    return taps, Geometry(steps, _wide(padding, rank), _wide(dilation, rank), 1)


def _at(b: FoldBuilder, geometry: Geometry) -> list[Affine]:
    """Input coordinates [n, c, *spatial] of output position and tap."""
    ranks = range(len(geometry.stride))
    place = geometry.source([b.out(2 + d) for d in ranks], [b.red(d) for d in ranks])
    return [b.out(0), b.out(1), *place]


def _windows_of(b: FoldBuilder, geometry: Geometry) -> list[Affine]:
    """Output coordinates [n, c, *spatial] that read an input position through a tap."""
    ranks = range(len(geometry.stride))
    place = geometry.target([b.out(2 + d) for d in ranks], [b.red(d) for d in ranks])
    return [b.out(0), b.out(1), *place]


@lowers(aten.max_pool2d_with_indices.default, aten.max_pool3d_with_indices.default)
def _max_pool(
    ctx: Context,
    x: Lowered,
    kernel: Any,
    stride: Any = (),
    padding: Any = 0,
    dilation: Any = 1,
    _: bool = False,
) -> tuple[View, View]:
    taps, geometry = _window(ctx, kernel, stride, padding, dilation)
    return max_of_windows(ctx, ctx.view(x), taps, geometry)


def max_of_windows(ctx: Context, x: View, taps: Shape, geometry: Geometry) -> tuple[View, View]:
    """Two nodes: the largest element, then the first position that holds it (or a NaN)."""
    rank = spatial_rank(ctx)
    source = planes(x, rank)
    shape = (*source.shape[:2], *ctx.shape(0)[-rank:])
    b = FoldBuilder(DType.F32, shape, taps, init=_MINUS_INFINITY)
    top = b.max(b.acc, source.load(b, _at(b, geometry), fill=_MINUS_INFINITY))
    value = ctx.finish(b, top)

    b = FoldBuilder(DType.I32, shape, taps, init=0xFFFFFFFF)
    outside = _reaches_outside(geometry, taps, source.shape[2:], shape[2:])
    here = source.load(b, _at(b, geometry), skip=outside)
    best = value.load(b, [b.out(i) for i in range(len(shape))])
    hit = b.ior(b.feq(here, best), b.iand(_nan(b, here), _nan(b, best)))
    flat = _position(b, 0, geometry)
    for dim in range(1, rank):
        size = b.i32(source.shape[2 + dim])
        flat = b.iadd(b.imul(flat, size), _position(b, dim, geometry))
    first = b.iand(hit, b.ilt(b.acc, b.i32(0)))
    index = ctx.finish(b, b.select(first, flat, b.acc))
    return like_result(ctx, value, 0), like_result(ctx, index, 0)


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
    first = len(b.shape)
    tap = b.imul(b.coordinate(first + dim), b.i32(geometry.dilation[dim]))
    return b.iadd(place, b.isub(tap, b.i32(geometry.padding[dim])))


@lowers(
    aten.max_pool2d_with_indices_backward.default,
    aten.max_pool3d_with_indices_backward.default,
)
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
    taps, geometry = _window(ctx, kernel, stride, padding, dilation)
    rank = spatial_rank(ctx)
    small = ctx.view(gradient).shape[-rank:]
    if rank == 2 and _tiles(geometry, taps, ctx.shape()[-2:], small):
        return max_backward_of_tiles(ctx, ctx.view(gradient), ctx.view(indices), taps)
    g, index = (planes(v, rank) for v in ctx.views(gradient, indices))
    shape = (*g.shape[:2], *ctx.shape()[-rank:])
    b = FoldBuilder(DType.F32, shape, taps)
    value = g.load(b, _windows_of(b, geometry))
    named = index.load(b, _windows_of(b, geometry), skip=True)
    own = own_position(b, shape)
    result = ctx.finish(b, b.select(b.ieq(named, own), b.add(b.acc, value), b.acc))
    return like_result(ctx, result)


def own_position(b: FoldBuilder, shape: Shape) -> Value:
    """Row-major position of the output element within its plane."""
    flat = b.coordinate(2)
    for dim in range(3, len(shape)):
        flat = b.iadd(b.imul(flat, b.i32(shape[dim])), b.coordinate(dim))
    return flat


def max_backward_of_tiles(ctx: Context, g: View, index: View, taps: Shape) -> View:
    """Gradient of windows side by side: no reduction, no address to check."""
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


@lowers(aten.avg_pool2d.default, aten.avg_pool3d.default)
def _avg_pool(
    ctx: Context,
    x: Lowered,
    kernel: Any,
    stride: Any = (),
    padding: Any = 0,
    ceil_mode: bool = False,
    include: bool = True,
    divisor: int | None = None,
) -> Lowered:
    rank = spatial_rank(ctx)
    source = planes(ctx.view(x), rank)
    taps, geometry = _window(ctx, kernel, stride, padding)
    b = FoldBuilder(DType.F32, (*source.shape[:2], *ctx.shape()[-rank:]), taps)
    total = ctx.finish(b, b.add(b.acc, source.load(b, _at(b, geometry))))
    total = like_result(ctx, total)
    if divisor is None and not _counts_are_even(geometry, ceil_mode, include):
        return _divided_by_counts(ctx, total, taps, geometry, source.shape[2:], include)
    count = ctx.float_full(float(divisor or elements(taps)))
    return ctx.lazy(
        lambda b, v: b.div(v[0], v[1]), total, count, shape=total.shape, dtype=DType.F32
    )


@lowers(aten.avg_pool2d_backward.default, aten.avg_pool3d_backward.default)
def _avg_pool_backward(
    ctx: Context,
    gradient: Lowered,
    _: Lowered,
    kernel: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    include: bool,
    divisor: int | None,
) -> Lowered:
    rank = spatial_rank(ctx)
    view = ctx.view(gradient)
    taps, geometry = _window(ctx, kernel, stride, padding)
    uneven = divisor is None and not _counts_are_even(geometry, ceil_mode, include)
    count = float(divisor or elements(taps))
    large = ctx.shape()[-rank:]
    if uneven:
        view = ctx.view(_divided_by_counts(ctx, view, taps, geometry, large, include))
    elif rank == 2 and _tiles(geometry, taps, large, view.shape[-2:]):
        return shared_evenly(ctx, view, taps, count)
    g = planes(view, rank)
    b = FoldBuilder(DType.F32, (*g.shape[:2], *large), taps)
    value = g.load(b, _windows_of(b, geometry), skip=True)
    share = value if uneven else b.div(value, b.f32(count))
    return like_result(ctx, ctx.finish(b, b.add(b.acc, share)))


def _counts_are_even(geometry: Geometry, ceil_mode: bool, include: bool) -> bool:
    """Does every window have as many elements as it has taps?"""
    return not ceil_mode and (include or not any(geometry.padding))


def _divided_by_counts(
    ctx: Context, view: View, taps: Shape, geometry: Geometry, large: Shape, include: bool
) -> Lowered:
    """``view`` of windows over the number of elements of each, border included or not."""

    def emit(b: FoldBuilder, v: Sequence[Value]) -> Value:
        count = b.i32(1)
        for dim, (size, tap) in enumerate(zip(large, taps, strict=True)):
            place = b.coordinate(len(view.shape) - len(taps) + dim)
            step, border = geometry.stride[dim], geometry.padding[dim]
            start = b.isub(b.imul(place, b.i32(step)), b.i32(border))
            end = b.imin(b.iadd(start, b.i32(tap)), b.i32(size + border))
            if not include:
                start, end = b.imax(start, b.i32(0)), b.imin(end, b.i32(size))
            count = b.imul(count, b.isub(end, start))
        return b.div(v[0], b.i2f(count))

    return ctx.lazy(emit, view, shape=view.shape, dtype=DType.F32, placed=True)


def shared_evenly(ctx: Context, g: View, taps: Shape, count: float) -> View:
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
