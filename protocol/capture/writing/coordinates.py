"""Nodes under other coordinates: the same elements and terms in the same order, counted otherwise.

A dimension of 2,048 = 16 x 128 may be two, output dimensions may stand in another order (the
output is then stored in that order), dimensions of size 1 may go. The order of a fold's terms
never changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from protocol.program.isa import MAX_AXES, MAX_RANK
from protocol.program.node import LOADED_WORD, Axis, Guard, Load, Node, Term

Image = tuple[tuple[int, int], ...]  # an old coordinate as a sum of (new coordinate, coefficient)


def split_coordinate(node: Node, coordinate: int, inner: int) -> Node | None:
    """``coordinate`` = ``inner`` * outer one + inner one; None where a node cannot be so."""
    rank = len(node.shape)
    sizes = [*node.shape, *node.domain]
    size = sizes[coordinate]
    in_domain = coordinate >= rank
    grown = len(node.domain) if in_domain else rank
    if size % inner or not 1 < inner < size or grown == MAX_RANK:
        return None
    images: list[Image] = [((i + (i > coordinate), 1),) for i in range(len(sizes))]
    images[coordinate] = ((coordinate, inner), (coordinate + 1, 1))
    sizes[coordinate : coordinate + 1] = [size // inner, inner]
    rank += not in_domain
    split = _recounted(node, sizes[:rank], sizes[rank:], images)
    if split is None:
        return None
    loads = tuple(_with_split_axes(split, load, coordinate, inner) for load in split.loads)
    return replace(split, loads=loads)


def permute_outputs(node: Node, order: Sequence[int]) -> Node | None:
    """Output coordinate ``order[i]`` becomes coordinate i; None where a node cannot be so."""
    rank = len(node.shape)
    images: list[Image] = [((list(order).index(i), 1),) for i in range(rank)]
    images += [((rank + i, 1),) for i in range(len(node.domain))]
    return _recounted(node, [node.shape[i] for i in order], node.domain, images)


def without_ones(node: Node) -> Node:
    """The node without the dimensions of size 1 that its body does not read."""
    sizes = (*node.shape, *node.domain)
    read = _coordinates_read(node) | {guard.coordinate for guard in node.guards}
    kept = [i for i, size in enumerate(sizes) if size != 1 or i in read]
    images: list[Image] = [((kept.index(i), 1),) if i in kept else () for i in range(len(sizes))]
    rank = len(node.shape)
    shape = [sizes[i] for i in kept if i < rank]
    smaller = _recounted(node, shape, [sizes[i] for i in kept if i >= rank], images)
    assert smaller is not None
    return smaller


def split_axis(node: Node, axis: Axis, inner: int) -> tuple[Axis, Axis] | None:
    """``axis`` as an outer and an inner one of ``inner`` elements, with the same bounds.

    None unless its coordinate is ``inner`` * (outer) + (inner one in 0..inner - 1) for every term.
    """
    if axis.divisor != 1 or axis.size % inner:
        return None
    whole, rest = divmod(axis.const, inner)
    outer_terms = tuple(Term(t.source, t.coef // inner) for t in axis.terms if t.coef % inner == 0)
    inner_terms = tuple(t for t in axis.terms if t.coef % inner)
    low, high = reach(node, inner_terms, rest)
    if low is None or high is None or low < 0 or high >= inner:
        return None
    return (
        Axis(axis.size // inner, axis.stride * inner, outer_terms, whole),
        Axis(inner, axis.stride, inner_terms, rest),
    )


def reach(node: Node, terms: Sequence[Term], const: int) -> tuple[int | None, int | None]:
    """Least and greatest value of an affine coordinate; None if a loaded word is in it."""
    sizes = node.shape + node.domain
    low = high = const
    for term in terms:
        if term.source & LOADED_WORD:
            return None, None
        far = term.coef * (sizes[term.source] - 1)
        low, high = low + min(0, far), high + max(0, far)
    return low, high


def _coordinates_read(node: Node) -> set[int]:
    """Coordinates that the body reads as values."""
    first, last = node.first_coordinate, node.first_instruction
    values = {v for instruction in node.instructions for v in instruction.arguments}
    return {v - first for v in values | {node.result} if first <= v < last}


def _recounted(
    node: Node, shape: Sequence[int], domain: Sequence[int], images: Sequence[Image]
) -> Node | None:
    """The node over new coordinates; None if its body or a guard reads one that is now two."""
    read = _coordinates_read(node) | {guard.coordinate for guard in node.guards}
    if any(len(images[i]) != 1 or images[i][0][1] != 1 for i in read):
        return None
    first, instructions = node.first_coordinate, node.first_instruction
    shift = len(shape) + len(domain) - len(images)

    def value(index: int) -> int:
        if index < first:
            return index
        return index + shift if index >= instructions else first + images[index - first][0][0]

    steps = []
    for step in node.instructions:
        arguments = [*map(value, step.arguments), 0, 0][:3]
        steps.append(replace(step, a=arguments[0], b=arguments[1], c=arguments[2]))
    return replace(
        node,
        shape=tuple(shape),
        domain=tuple(domain),
        loads=tuple(
            replace(load, axes=tuple(_recounted_axis(axis, images) for axis in load.axes))
            for load in node.loads
        ),
        guards=tuple(Guard(g.load, images[g.coordinate][0][0]) for g in node.guards),
        instructions=tuple(steps),
        result=value(node.result),
    )


def _recounted_axis(axis: Axis, images: Sequence[Image]) -> Axis:
    coefs: dict[int, int] = {}
    for term in axis.terms:
        if term.source & LOADED_WORD:
            coefs[term.source] = term.coef
        else:
            for source, coef in images[term.source]:
                coefs[source] = coefs.get(source, 0) + coef * term.coef
    terms = tuple(Term(source, coef) for source, coef in sorted(coefs.items()) if coef)
    return replace(axis, terms=terms)


def _with_split_axes(node: Node, load: Load, coordinate: int, inner: int) -> Load:
    """Axes at just the split coordinate become two, one for each half."""
    halves = (Term(coordinate, inner), Term(coordinate + 1, 1))
    axes: list[Axis] = []
    for axis in load.axes:
        pair = split_axis(node, axis, inner) if axis.terms == halves else None
        axes.extend(pair or [axis])
    return replace(load, axes=tuple(axes)) if len(axes) <= MAX_AXES else load
