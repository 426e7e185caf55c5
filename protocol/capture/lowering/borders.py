"""Gradients of reflection and replication padding, one dimension after the other.

The gradient of an element is that of its own place, plus that of its mirror images (left, then
right), or for the outermost elements the sum over the border that repeats them.
"""

from __future__ import annotations

from collections.abc import Sequence

from protocol.capture.lowering.context import Context, aten, lowers
from protocol.capture.lowering.reductions import float_sum
from protocol.capture.writing.values import Lowered, View
from protocol.program.body import Value
from protocol.program.builder import FoldBuilder
from protocol.program.isa import DType


def _dimensions(ctx: Context, padding: Sequence[int]) -> list[tuple[int, int, int]]:
    """(dimension, left, right); the padding starts with the last dimension."""
    rank = len(ctx.shape())
    pairs = zip(padding[::2], padding[1::2], strict=True)
    return [(rank - 1 - i, left, right) for i, (left, right) in enumerate(pairs)]


@lowers(
    aten.reflection_pad1d_backward.default,
    aten.reflection_pad2d_backward.default,
    aten.reflection_pad3d_backward.default,
)
def _reflection(ctx: Context, gradient: Lowered, _: Lowered, padding: Sequence[int]) -> Lowered:
    view = ctx.view(gradient)
    for dim, left, right in _dimensions(ctx, padding):
        size = ctx.shape()[dim]
        mirrored = []
        if left > 0:  # element i stands at left - i too
            mirrored.append((view.slice(dim, 0, left).flip([dim]), -1))
        if right > 0:
            image = view.slice(dim, view.shape[dim] - right, view.shape[dim]).flip([dim])
            mirrored.append((image, right + 1 - size))
        view = _with_borders(ctx, view, dim, left, mirrored)
    return view


@lowers(
    aten.replication_pad1d_backward.default,
    aten.replication_pad2d_backward.default,
    aten.replication_pad3d_backward.default,
)
def _replication(ctx: Context, gradient: Lowered, _: Lowered, padding: Sequence[int]) -> Lowered:
    view = ctx.view(gradient)
    for dim, left, right in _dimensions(ctx, padding):
        size = ctx.shape()[dim]
        repeated = []
        if left > 0:
            border = view.slice(dim, 0, left)
            repeated.append((float_sum(ctx, border, [dim]).unsqueeze(dim), 0))
        if right > 0:
            border = view.slice(dim, view.shape[dim] - right, view.shape[dim])
            repeated.append((float_sum(ctx, border, [dim]).unsqueeze(dim), 1 - size))
        view = _with_borders(ctx, view, dim, left, repeated)
    return view


def _with_borders(
    ctx: Context, view: View, dim: int, left: int, borders: Sequence[tuple[View, int]]
) -> View:
    """Element i of the middle plus element i + shift of each border, which is 0 outside it."""
    shape = list(view.shape)
    shape[dim] = ctx.shape()[dim]
    b = FoldBuilder(DType.F32, shape)
    place = [b.out(i) for i in range(len(shape))]

    def moved(part: View, shift: int) -> Value:
        return part.load(b, [*place[:dim], place[dim] + shift, *place[dim + 1 :]])

    total = moved(view, left)
    for border, shift in borders:
        total = b.add(total, moved(border, shift))
    return ctx.finish(b, total)
