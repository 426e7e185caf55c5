"""A load of a copy as a load of what was copied.

The copy's storage is its dimensions as digits of a mixed radix. Where the axes of a load each walk
one digit (or neighbours that continue each other in the source), and no digit can overflow into the
next, the same axes with other strides read the same elements of the source. Sizes, coordinates,
fills and skips stay, so that what is out of bounds stays so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from protocol.capture.writing.coordinates import reach, split_axis
from protocol.capture.writing.values import View, contiguous_strides
from protocol.program.isa import MAX_AXES
from protocol.program.node import LOADED_WORD, Axis, Load, Node


@dataclass(frozen=True, slots=True)
class Split:
    """What a reader must do first: split ``coordinate`` with ``inner`` elements inside."""

    coordinate: int
    inner: int


@dataclass(slots=True)
class _Digit:
    """Neighbouring dimensions of a copy that one stride walks in the source."""

    size: int
    stride: int
    source_stride: int
    reached: int = 0


def read_through(node: Node, load: Load, view: View) -> Load | Split | None:
    """The load of ``view`` in place of its copy; or the split it needs; None if there is none."""
    digits = _digits(view)
    offset = view.offset
    for digit in digits:
        digit.reached = load.offset // digit.stride % digit.size
        offset += digit.reached * digit.source_stride
    axes: list[Axis] = []
    pending = list(load.axes)
    while pending:
        axis = pending.pop(0)
        if axis.size == 1 or axis.stride == 0:
            axes.append(replace(axis, stride=0))
            continue
        digit = next(d for d in digits if d.stride <= axis.stride)
        end = digit.stride * digit.size
        if axis.stride % digit.stride or digit.source_stride < 0:
            return None
        if axis.stride * (axis.size - 1) >= end:  # it goes on in the next digit
            if end % axis.stride or axis.size * axis.stride % end:
                return None
            inner = end // axis.stride
            halves = split_axis(node, axis, inner)
            if halves is None:
                return _split_for(node, axis, inner)
            pending[:0] = halves
            continue
        step = axis.stride // digit.stride
        digit.reached += step * (axis.size - 1)
        axes.append(replace(axis, stride=step * digit.source_stride))
    axes = [axis for axis in axes if axis.stride or not is_inside(node, axis)]
    if len(axes) > MAX_AXES or any(digit.reached >= digit.size for digit in digits):
        return None
    axes.sort(key=lambda axis: -axis.stride)  # their order means nothing; this is the usual one
    return replace(load, axes=tuple(axes), offset=offset)


def is_inside(node: Node, axis: Axis) -> bool:
    """Is the axis in bounds for every term, whatever the data?"""
    low, high = reach(node, axis.terms, axis.const)
    if low is None or high is None or axis.divisor != 1:
        return False
    return low >= 0 and high < axis.size


def is_farther(old: Node, new: Node) -> bool:
    """Does a load of ``new`` step farther along its innermost coordinates than in ``old``?"""
    return any(
        after > max(before, 1)
        for one, other in zip(old.loads, new.loads, strict=True)
        for before, after in zip(_steps(old, one), _steps(new, other), strict=True)
    )


def _digits(view: View) -> list[_Digit]:
    digits: list[_Digit] = []
    strides = contiguous_strides(view.shape)
    for size, stride, source in zip(view.shape, strides, view.strides, strict=True):
        if size == 1:
            continue
        if digits and digits[-1].source_stride == source * size:
            digits[-1] = _Digit(digits[-1].size * size, stride, source)
        else:
            digits.append(_Digit(size, stride, source))
    return digits


def _split_for(node: Node, axis: Axis, inner: int) -> Split | None:
    """The coordinate that walks over the end of the inner half, and where to split it."""
    sizes = node.shape + node.domain
    crossing = [t for t in axis.terms if t.coef % inner and not t.source & LOADED_WORD]
    if axis.divisor != 1 or not crossing or any(t.coef < 0 for t in crossing):
        return None
    term = max(crossing, key=lambda t: t.coef * (sizes[t.source] - 1))
    part = inner // math.gcd(inner, term.coef)
    return Split(term.source, part) if part < sizes[term.source] else None


def _steps(node: Node, load: Load) -> Sequence[int]:
    """Elements from one term to the next along the last output and the last domain coordinate."""
    rank = len(node.shape)
    coordinates = (_last(node.shape, 0), _last(node.domain, rank))
    return [
        abs(sum(axis.stride * t.coef for axis in load.axes for t in axis.terms if t.source == c))
        for c in coordinates
    ]


def _last(sizes: Sequence[int], first: int) -> int:
    """Number of the last coordinate of more than one element; -1 if there is none."""
    return max((first + i for i, size in enumerate(sizes) if size > 1), default=-1)
