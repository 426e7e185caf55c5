"""Operators that only move elements: load views where possible, else one copy node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from protocol.capture.lowering.context import Context, aten, lowers
from protocol.capture.writing.values import Full, Lowered, View, elements, reshaped
from protocol.program.builder import BodyTooLarge, FoldBuilder
from protocol.program.isa import MAX_LOADS, DType


def _of_view(operation: Callable[..., View]) -> Callable[..., Any]:
    """A rule that applies ``operation`` to a view; a constant only changes its shape."""

    def rule(ctx: Context, x: Lowered, *arguments: Any, **named: Any) -> Lowered:
        if isinstance(x, Full):
            return replace(x, shape=ctx.shape())
        return operation(ctx.view(x), *arguments, **named)

    return rule


@lowers(
    aten.alias.default,
    aten.detach.default,
    aten.clone.default,
    aten.lift_fresh_copy.default,
    aten.contiguous.default,
    elementwise=True,
)
def _same(_: Context, x: Lowered, **__: Any) -> Lowered:
    return x


lowers(aten.permute.default)(_of_view(lambda v, order: v.permute(order)))
lowers(aten.unsqueeze.default)(_of_view(lambda v, dim: v.unsqueeze(dim)))
lowers(aten.squeeze.dims)(_of_view(lambda v, dims: v.squeeze(dims)))
lowers(aten.squeeze.dim)(_of_view(lambda v, dim: v.squeeze([dim])))
lowers(aten.squeeze.default)(_of_view(lambda v: v.squeeze(range(len(v.shape)))))
lowers(aten.select.int)(_of_view(lambda v, dim, index: v.select(dim, index)))
lowers(aten.flip.default)(_of_view(lambda v, dims: v.flip(dims)))


@lowers(aten.t.default)
def _t(ctx: Context, x: Lowered) -> Lowered:
    view = ctx.view(x)
    return view.permute(range(len(view.shape))[::-1])


@lowers(aten.transpose.int)
def _transpose(ctx: Context, x: Lowered, first: int, second: int) -> Lowered:
    view = ctx.view(x)
    order = list(range(len(view.shape)))
    order[first], order[second] = order[second], order[first]
    return view.permute(order)


@lowers(aten.expand.default)
def _expand(ctx: Context, x: Lowered, *_: Any, **__: Any) -> Lowered:
    if isinstance(x, Full):
        return replace(x, shape=ctx.shape())
    return ctx.view(x).expand(ctx.shape())


@lowers(aten.view.default, aten._unsafe_view.default, aten.reshape.default)
def _reshape(ctx: Context, x: Lowered, _: Sequence[int]) -> Lowered:
    pending = reshaped(x, ctx.shape())
    if pending is not None:
        return pending
    view = ctx.view(x)
    moved = view.reshape(ctx.shape())
    return ctx.writer.copy(view, ctx.shape(), ctx.origin) if moved is None else moved


@lowers(aten.slice.Tensor)
def _slice(
    ctx: Context,
    x: Lowered,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Lowered:
    if isinstance(x, Full):
        return replace(x, shape=ctx.shape())
    view = ctx.view(x)
    first, last, _ = slice(start, end, step).indices(view.shape[dim])
    return view.slice(dim, first, last, step)


@lowers(aten.as_strided.default)
def _as_strided(
    ctx: Context,
    x: Lowered,
    size: Sequence[int],
    stride: Sequence[int],
    offset: int | None = None,
) -> Lowered:
    """A window on the row-major elements of ``x``, which PyTorch must store that way too."""
    base: Any = ctx.node.args[0]
    fake = base.meta["val"]
    if not fake.is_contiguous() or fake.untyped_storage().nbytes() != fake.nbytes:
        ctx.refuse("its operand is itself a strided window; call .contiguous() on it")
    view = ctx.view(x)
    flat = view.reshape((elements(view.shape),))
    if flat is None or flat.strides not in ((1,), (0,)):
        flat = ctx.writer.copy(view, view.shape, ctx.origin)
    return View(flat.operand, tuple(size), tuple(stride), flat.offset + (offset or 0))


@lowers(aten.split_with_sizes.default)
def _split_with_sizes(ctx: Context, x: Lowered, sizes: Sequence[int], dim: int = 0) -> Any:
    view, start, parts = ctx.view(x), 0, []
    for size in sizes:
        parts.append(view.slice(dim, start, start + size))
        start += size
    return tuple(parts)


@lowers(aten.split.Tensor)
def _split(ctx: Context, x: Lowered, size: int, dim: int = 0) -> Any:
    view = ctx.view(x)
    length = view.shape[dim]
    return tuple(
        view.slice(dim, start, min(start + size, length)) for start in range(0, length, size)
    )


@lowers(aten.unbind.int)
def _unbind(ctx: Context, x: Lowered, dim: int = 0) -> Any:
    view = ctx.view(x)
    return tuple(view.select(dim, index) for index in range(view.shape[dim]))


@lowers(aten.cat.default)
def _cat(ctx: Context, parts: Sequence[Lowered], dim: int = 0) -> Lowered:
    """The raw words of loads that are 0 outside their part, or-ed: exact for every word."""
    views = [ctx.view(part) for part in parts if elements(part.shape)]
    dim %= len(ctx.shape())
    return _join_tree(ctx, views, dim)


def _join_tree(ctx: Context, views: list[View], dim: int) -> View:
    """One node, or halves and their union where one would be too large to judge."""
    if len(views) == 1:
        return views[0]
    if len(views) <= MAX_LOADS:
        try:
            return _join(ctx, views, dim)
        except BodyTooLarge:
            pass
    middle = len(views) // 2
    halves = [_join_tree(ctx, part, dim) for part in (views[:middle], views[middle:])]
    return _join(ctx, halves, dim)


def _join(ctx: Context, views: list[View], dim: int) -> View:
    shape = list(views[0].shape)
    shape[dim] = sum(view.shape[dim] for view in views)
    b = FoldBuilder(views[0].dtype, shape)
    start, word = 0, None
    for view in views:
        at = [b.out(i) for i in range(len(shape))]
        at[dim] = at[dim] + -start
        loaded = view.load(b, at)
        loaded = b.bits(loaded) if view.dtype is DType.F32 else loaded
        word = loaded if word is None else b.ior(word, loaded)
        start += view.shape[dim]
    assert word is not None
    return ctx.finish(b, b.from_bits(word) if b.dtype is DType.F32 else word)


@lowers(aten.constant_pad_nd.default)
def _pad(ctx: Context, x: Lowered, pad: Sequence[int], value: float = 0.0) -> Lowered:
    view = ctx.view(x)
    b = FoldBuilder(view.dtype, ctx.shape())
    at = [b.out(i) for i in range(len(b.shape))]
    for pair in range(len(pad) // 2):
        dim = len(at) - 1 - pair
        at[dim] = at[dim] + -pad[2 * pair]
    fill = b.f32(float(value)) if view.dtype is DType.F32 else b.i32(int(value))
    return ctx.finish(b, view.load(b, at, fill=b.constants[fill.number].word))


@lowers(aten.slice_scatter.default)
def _slice_scatter(
    ctx: Context,
    x: Lowered,
    source: Lowered,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Lowered:
    dim %= len(ctx.shape())
    first, last, _ = slice(start, end, step).indices(ctx.shape()[dim])
    return _scatter_slice(ctx, x, ctx.view(source), dim, first, last, step)


@lowers(aten.select_scatter.default)
def _select_scatter(ctx: Context, x: Lowered, source: Lowered, dim: int, index: int) -> Lowered:
    dim %= len(ctx.shape())
    index %= ctx.shape()[dim]
    return _scatter_slice(ctx, x, ctx.view(source).unsqueeze(dim), dim, index, index + 1, 1)


def _scatter_slice(
    ctx: Context, x: Lowered, source: View, dim: int, first: int, last: int, step: int
) -> View:
    b = FoldBuilder(ctx.dtype(), ctx.shape())
    at = [b.out(i) for i in range(len(b.shape))]
    at[dim] = (at[dim] + -first) // step
    inner = source.load(b, at)
    outer = ctx.writer.emit(b, x if isinstance(x, Full) else ctx.view(x))
    place = b.isub(b.coordinate(dim), b.i32(first))
    hit = b.iult(place, b.i32(last - first))  # unsigned: also false before the first
    if step != 1:
        hit = b.iand(hit, b.not_(b.irem(place, b.i32(step))))
    return ctx.finish(b, b.select(hit, inner, outer))
