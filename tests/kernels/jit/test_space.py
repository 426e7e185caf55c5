"""Spaces refine shapes, join what nothing tells apart, and keep every address."""

from __future__ import annotations

import itertools
import random

import pytest

from protocol.kernels.jit.group import make_groups
from protocol.kernels.jit.ranges import parts
from protocol.kernels.jit.space import Access, Coordinates, Linear, join, regroup, split, suffixes
from protocol.kernels.reference.evaluator import locate, unravel
from protocol.kernels.region import single
from protocol.program.builder import FoldBuilder
from protocol.program.isa import DType
from protocol.program.node import Node
from tests.kernels.jit.regions import adamw, layer_norm_backward, own, pointwise, softmax
from tests.kernels.nodes import random_case
from tests.kernels.shapes import tensor


@pytest.mark.parametrize(
    ("shapes", "cuts", "dims"),
    [
        ([(2, 3)], [], (2, 3)),
        ([(6,), (2, 3)], [], (2, 3)),
        ([(2048, 1024), (8, 256, 1024)], [1024], (8, 256, 1024)),
        ([(4, 6)], [3], (4, 2, 3)),
        ([(4, 6)], [4], None),
        ([(4, 6), (6, 4)], [], None),
        ([()], [1], ()),
    ],
)
def test_split_refines_all_shapes_or_none(
    shapes: list[tuple[int, ...]], cuts: list[int], dims: tuple[int, ...] | None
) -> None:
    assert split(shapes, cuts) == dims


def test_coordinates_of_a_finer_space_are_those_of_the_node() -> None:
    node = pointwise((4, 6), own, tensor(0, DType.F32, 4, 6))
    dims = (2, 2, 3, 2)
    space = Coordinates(node, dims)
    for flat in range(24):
        variables = unravel(flat, dims)
        found = [sum(c * v for c, v in zip(f.coefs, variables, strict=True)) for f in space.of]
        assert found == unravel(flat, (4, 6))


def test_addresses_of_random_loads_are_those_of_the_reference() -> None:
    for seed in range(60):
        node = random_case(seed).node
        space = Coordinates(node, node.shape)
        words = [random.Random(seed).getrandbits(3) for _ in node.loads]
        extents = node.shape + node.domain
        for load in node.loads:
            access = space.access(node, load)
            for point in itertools.islice(itertools.product(*map(range, extents)), 40):
                want = locate(load, point, words)
                assert _address(access, point, words) == want


def _address(access: Access, point: tuple[int, ...], words: list[int]) -> int | None:
    def value(function: Linear) -> int:
        return function.const + sum(c * x for c, x in zip(function.coefs, point, strict=True))

    address = value(access.address)
    for check in access.checks:
        total = value(check.value) + sum(c * words[k] for k, c in check.words)
        coordinate, rest = divmod(total, check.divisor)
        if rest or not 0 <= coordinate < check.size:
            return None
        address += check.stride * coordinate
    return address


def test_join_keeps_apart_what_a_function_tells_apart() -> None:
    flat = Linear(0, (12, 4, 1))
    assert join((2, 3, 4), [flat], 0) == [[0, 1, 2]]
    assert join((2, 3, 4), [flat, Linear(0, (0, 4, 1))], 0) == [[0], [1, 2]]
    assert join((2, 3, 4), [flat, Linear(5, (3, 1, 0))], 0) == [[0, 1], [2]]
    assert join((2, 1, 4), [Linear(0, (4, 99, 1))], 0) == [[0, 2]]
    assert regroup(flat, [[0], [1, 2]]).coefs == (12, 1)
    assert suffixes((2, 3, 4)) == [12, 4, 1]


def test_groups_of_a_flat_update_are_one_loop() -> None:
    (group,) = make_groups(adamw(100))
    assert group.dims == (100,)
    assert len(group.pieces) == 3
    assert group.folds == 0


def test_groups_of_softmax_are_one_per_space() -> None:
    groups = make_groups(softmax(20, 64))
    assert [[piece.member for piece in group.pieces] for group in groups] == [
        [0], [1], [2], [3], [4],
    ]  # fmt: skip


def test_groups_of_two_row_sums_share_their_loops() -> None:
    groups = make_groups(layer_norm_backward(20, 64))
    assert [[piece.member for piece in group.pieces] for group in groups] == [
        [0], [1, 3], [2, 4], [5],
    ]  # fmt: skip
    assert [group.folds for group in groups] == [0, 2, 2, 0]


def concatenation(*widths: int) -> Node:
    """Columns of several matrices side by side."""
    b = FoldBuilder(DType.F32, (3, sum(widths)))
    total = b.i32(0)
    for i, width in enumerate(widths):
        column = b.out(1) + -sum(widths[:i])
        axes = [b.out(0).axis(3, width), column.axis(width, 1)]
        total = b.ior(total, b.bits(b.load(tensor(i, DType.F32, 3, width), axes)))
    return b.finish(b.from_bits(total))


def test_parts_of_a_concatenation_have_one_load_each() -> None:
    (group,) = make_groups(single(concatenation(20, 30, 16)))
    cut = parts(group, 16)
    assert [(low, high) for low, high, _ in cut] == [(0, 20), (20, 50), (50, 66)]
    for i, (_, _, part) in enumerate(cut):
        accesses = part.pieces[0].accesses
        assert [access.absent for access in accesses] == [k != i for k in range(3)]
        assert all(not access.checks for access in accesses)


def test_parts_shorter_than_a_vector_are_not_cut() -> None:
    (group,) = make_groups(single(concatenation(20, 3, 16)))
    assert [(low, high) for low, high, _ in parts(group, 16)] == [(0, 39)]
