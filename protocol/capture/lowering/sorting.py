"""Sorting by rank: sort, topk, kthvalue, median.

An element's rank is the number of those that come before it: the smaller ones (the larger ones in
descending order) and, of equal ones, those with a lower index. So sorting is stable. NaN is the
largest number, -0 equals +0. A rank costs n comparisons for each of the n elements; a topk of few
out of many walks k times along the row instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from protocol.capture.lowering.context import Context, aten, lowers
from protocol.capture.writing.values import Lowered, View, elements
from protocol.program.body import Value
from protocol.program.builder import FoldBuilder
from protocol.program.isa import CANONICAL_NAN, DType

LONGEST_SORT = 16_384  # elements of a sorted row: their ranks take its square


def _keys(ctx: Context, view: View) -> View:
    """Integers in the order of the numbers."""
    if view.dtype is not DType.F32:
        return view

    def emit(b: FoldBuilder, v: Sequence[Value]) -> Value:
        word = b.bits(b.add(v[0], b.f32(0.0)))  # -0 becomes +0
        return b.ixor(word, b.ishr(b.isar(word, b.i32(31)), b.i32(1)))

    return ctx.view(ctx.lazy(emit, view, shape=view.shape, dtype=DType.I32))


def _ranks(ctx: Context, keys: View, dim: int, descending: bool) -> View:
    length = keys.shape[dim]
    if length > LONGEST_SORT:
        ctx.refuse(
            f"sorting {length:,} elements takes their square in comparisons, at most "
            f"{LONGEST_SORT:,} are lowered; use amax, argmax or a topk of few"
        )
    b = FoldBuilder(DType.I32, keys.shape, (length,))
    at = [b.out(i) for i in range(len(keys.shape))]
    own = keys.load(b, at)
    at[dim] = b.red(0)
    other = keys.load(b, at)
    smaller = b.ilt(own, other) if descending else b.ilt(other, own)
    earlier = b.ilt(b.coordinate(len(keys.shape)), b.coordinate(dim))
    before = b.ior(smaller, b.iand(b.ieq(own, other), earlier))
    return ctx.finish(b, b.iadd(b.acc, before))


def _of_rank(ctx: Context, ranks: View, view: View, dim: int, count: int) -> tuple[View, View]:
    """The elements of rank 0..count-1 along ``dim``, and their indices."""
    found: list[View] = []
    shape = list(view.shape)
    shape[dim] = count
    for dtype in (view.dtype, DType.I32):
        b = FoldBuilder(dtype, shape, (view.shape[dim],))
        at = [b.out(i) for i in range(len(shape))]
        at[dim] = b.red(0)
        b.guard(ranks.load(b, at), dim)
        index = b.coordinate(len(shape))
        value = view.load(b, at) if not found else index
        found.append(ctx.finish(b, value))
    return found[0], found[1]


def _sorted(
    ctx: Context, x: Lowered, dim: int, descending: bool, count: int | None = None
) -> tuple[View, View]:
    view = _line(ctx.view(x))
    dim %= len(view.shape)
    ranks = _ranks(ctx, _keys(ctx, view), dim, descending)
    return _of_rank(ctx, ranks, view, dim, view.shape[dim] if count is None else count)


def _line(view: View) -> View:
    """A single number as a row of one."""
    return view if view.shape else view.unsqueeze(0)


def _number(ctx: Context, pair: tuple[View, View]) -> tuple[View, View]:
    """Back to a single number where the operator was given one."""
    if ctx.shape(0):
        return pair
    return pair[0].select(0, 0), pair[1].select(0, 0)


@lowers(aten.sort.default)
def _sort(ctx: Context, x: Lowered, dim: int = -1, descending: bool = False) -> Any:
    return _number(ctx, _sorted(ctx, x, dim, descending))


@lowers(aten.sort.stable)
def _stable_sort(
    ctx: Context, x: Lowered, *, stable: bool = True, dim: int = -1, descending: bool = False
) -> Any:
    del stable  # it always is
    return _number(ctx, _sorted(ctx, x, dim, descending))


@lowers(aten.topk.default)
def _topk(
    ctx: Context, x: Lowered, k: int, dim: int = -1, largest: bool = True, _: bool = True
) -> Any:
    """The k first in order, sorted; of equal ones those with the lower index."""
    view = _line(ctx.view(x))
    dim %= len(view.shape)
    length = view.shape[dim]
    if k <= 64 and 2 * k < length:
        return _number(ctx, _first_ones(ctx, view, k, dim, largest))
    return _number(ctx, _sorted(ctx, view, dim, largest, k))


def _first_ones(ctx: Context, view: View, k: int, dim: int, largest: bool) -> tuple[View, View]:
    """One walk for each: the index of the best that comes after the last one found."""
    keys = _keys(ctx, view)
    shape = [*view.shape[:dim], *view.shape[dim + 1 :]]
    last: View | None = None
    indices: list[View] = []
    for _ in range(k):
        last = _next_one(ctx, keys, last, shape, dim, largest)
        indices.append(last.unsqueeze(dim))
    place = _stacked(ctx, indices, dim)
    b = FoldBuilder(view.dtype, place.shape)
    at = [b.out(i) for i in range(len(place.shape))]
    named = place.load(b, at)
    at[dim] = b.word_of(named)
    return ctx.finish(b, view.load(b, at)), place


def _next_one(
    ctx: Context, keys: View, last: View | None, shape: list[int], dim: int, largest: bool
) -> View:
    """The first index of the best key that comes after the last one found."""
    best = _best_key(ctx, keys, last, shape, dim, largest)
    b = FoldBuilder(DType.I32, shape, (keys.shape[dim],), init=0xFFFFFFFF)
    at = [b.out(i) for i in range(len(shape))]
    key = keys.load(b, [*at[:dim], b.red(0), *at[dim:]])
    hit = b.ieq(key, best.load(b, at))
    position = b.coordinate(len(shape))
    if last is not None:
        hit = b.iand(hit, _after(b, keys, last, key, position, dim, largest))
    first = b.iand(hit, b.ilt(b.acc, b.i32(0)))
    return ctx.finish(b, b.select(first, position, b.acc))


def _best_key(
    ctx: Context, keys: View, last: View | None, shape: list[int], dim: int, largest: bool
) -> View:
    b = FoldBuilder(DType.I32, shape, (keys.shape[dim],), 0x80000000 if largest else 0x7FFFFFFF)
    at = [b.out(i) for i in range(len(shape))]
    key = keys.load(b, [*at[:dim], b.red(0), *at[dim:]])
    best = b.imax(b.acc, key) if largest else b.imin(b.acc, key)
    if last is not None:
        position = b.coordinate(len(shape))
        best = b.select(_after(b, keys, last, key, position, dim, largest), best, b.acc)
    return ctx.finish(b, best)


def _after(
    b: FoldBuilder,
    keys: View,
    last: View,
    key: Value,
    position: Value,
    dim: int,
    largest: bool,
) -> Value:
    """Does an element come after the last one found?"""
    at = [b.out(i) for i in range(len(last.shape))]
    index = last.load(b, at)
    bound = keys.load(b, [*at[:dim], b.word_of(index), *at[dim:]])
    beyond = b.ilt(key, bound) if largest else b.ilt(bound, key)
    return b.ior(beyond, b.iand(b.ieq(key, bound), b.ilt(index, position)))


def _stacked(ctx: Context, parts: list[View], dim: int) -> View:
    """The parts one after the other along ``dim``."""
    while len(parts) > 1:
        groups = [parts[i : i + 8] for i in range(0, len(parts), 8)]
        parts = [_joined(ctx, group, dim) for group in groups]
    return parts[0]


def _joined(ctx: Context, parts: list[View], dim: int) -> View:
    shape = list(parts[0].shape)
    shape[dim] = sum(part.shape[dim] for part in parts)
    b = FoldBuilder(DType.I32, shape)
    start, word = 0, b.i32(0)
    for part in parts:
        at = [b.out(i) for i in range(len(shape))]
        at[dim] = at[dim] + -start
        word = b.ior(word, part.load(b, at))
        start += part.shape[dim]
    return ctx.finish(b, word)


@lowers(aten.kthvalue.default)
def _kthvalue(ctx: Context, x: Lowered, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    return _at_rank(ctx, x, k - 1, dim, keepdim)


@lowers(aten.median.dim)
def _median_of_rows(ctx: Context, x: Lowered, dim: int, keepdim: bool = False) -> Any:
    """The lower one of two; the first NaN if there is one."""
    length = x.shape[dim] if x.shape else 1
    return _at_rank(ctx, x, (length - 1) // 2, dim, keepdim, True)


@lowers(aten.median.default)
def _median(ctx: Context, x: Lowered) -> Any:
    view = ctx.view(x)
    count = (elements(view.shape),)
    flat = view.reshape(count) or ctx.writer.copy(view, count, ctx.origin)
    return _at_rank(ctx, flat, (count[0] - 1) // 2, 0, False, True)[0]


def _at_rank(
    ctx: Context,
    x: Lowered,
    rank: int,
    dim: int,
    keepdim: bool,
    nan_first: bool = False,
) -> tuple[View, View]:
    view = _line(ctx.view(x))
    single = not x.shape
    dim %= len(view.shape)
    keys = _keys(ctx, view)
    ranks = _ranks(ctx, keys, dim, False)
    pair = _of_rank(ctx, ranks, view, dim, rank + 1)
    value, index = (v.select(dim, rank) for v in pair)
    if nan_first and view.dtype is DType.F32:
        value, index = _or_nan(ctx, view, keys, index, dim)
    if keepdim and not single:
        return value.unsqueeze(dim), index.unsqueeze(dim)
    return value, index


def _or_nan(ctx: Context, view: View, keys: View, index: View, dim: int) -> tuple[View, View]:
    """The element at ``index``, or the first NaN of its row."""
    shape = list(index.shape)
    first = _next_one(ctx, keys, None, shape, dim, True)
    b = FoldBuilder(DType.I32, shape)
    at = [b.out(i) for i in range(len(shape))]
    place = first.load(b, at)
    top = keys.load(b, [*at[:dim], b.word_of(place), *at[dim:]])
    chosen = b.select(b.ieq(top, b.i32(CANONICAL_NAN)), place, index.load(b, at))
    where = ctx.finish(b, chosen)
    b = FoldBuilder(DType.F32, shape)
    named = where.load(b, at)
    return ctx.finish(b, view.load(b, [*at[:dim], b.word_of(named), *at[dim:]])), where
