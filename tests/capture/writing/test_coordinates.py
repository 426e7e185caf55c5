"""Nodes under other coordinates give the elements that they gave before, bit for bit."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from protocol.capture.writing.coordinates import (
    permute_outputs,
    split_axis,
    split_coordinate,
    without_ones,
)
from protocol.kernels.reference.evaluator import evaluate_node
from protocol.program.builder import FoldBuilder
from protocol.program.isa import DType
from protocol.program.node import Node, Operand, OperandKind, numel
from protocol.program.validate import validate_node
from tests.random_nodes import random_elements, random_node

SEEDS = range(200)


def outputs(node: Node, seed: int) -> list[int]:
    """The elements of a node on random operands of a seed."""
    rng = random.Random(seed)
    operands = [random_elements(rng, operand) for operand in node.operands]
    return evaluate_node(node, operands)  # type: ignore[arg-type]


def transposed(elements: Sequence[int], shape: tuple[int, ...], order: list[int]) -> list[int]:
    """Row-major elements of a tensor with its dimensions in another order."""
    moved = []
    sizes = [shape[d] for d in order]
    for flat in range(numel(shape)):
        at, rest = [0] * len(shape), flat
        for place in reversed(range(len(order))):
            rest, at[order[place]] = divmod(rest, sizes[place])
        position = 0
        for size, coordinate in zip(shape, at, strict=True):
            position = position * size + coordinate
        moved.append(elements[position])
    return moved


def test_split_coordinates_of_random_nodes_change_no_element() -> None:
    splits = 0
    for seed in SEEDS:
        node = random_node(random.Random(seed))
        for coordinate, size in enumerate(node.shape + node.domain):
            for inner in (2, 3):
                split = split_coordinate(node, coordinate, inner)
                if split is not None:
                    splits += 1
                    validate_node(split)
                    assert size % inner == 0
                    assert outputs(split, seed) == outputs(node, seed)
    assert splits > 40


def test_permuted_outputs_of_random_nodes_are_the_same_elements_elsewhere() -> None:
    moves = 0
    for seed in SEEDS:
        rng = random.Random(seed)
        node = random_node(rng)
        order = rng.sample(range(len(node.shape)), len(node.shape))
        moved = permute_outputs(node, order)
        assert moved is not None
        validate_node(moved)
        assert outputs(moved, seed) == transposed(outputs(node, seed), node.shape, order)
        moves += order != sorted(order)
    assert moves > 60


def test_dimensions_of_size_one_go_and_no_element_changes() -> None:
    gone = 0
    for seed in SEEDS:
        node = random_node(random.Random(seed))
        smaller = without_ones(node)
        validate_node(smaller)
        gone += len(smaller.shape) < len(node.shape)
        assert outputs(smaller, seed) == outputs(node, seed)
    assert gone > 40


def test_coordinate_that_the_body_reads_is_not_split() -> None:
    b = FoldBuilder(DType.I32, (4,))
    assert split_coordinate(b.finish(b.coordinate(0)), 0, 2) is None


def test_coordinate_that_a_guard_compares_is_not_split() -> None:
    b = FoldBuilder(DType.I32, (4, 6), (5,))
    index = Operand(OperandKind.STATE, 0, DType.I32, (5,))
    word = b.load(index, [b.red(0).axis(5, 1)])
    b.guard(word, 1)
    node = b.finish(b.iadd(b.acc, word))
    assert split_coordinate(node, 1, 2) is None
    split = split_coordinate(node, 0, 2)
    assert split is not None
    assert split.guards[0].coordinate == 2


@pytest.mark.parametrize("inner", [1, 5, 12])
def test_split_that_is_none_is_refused(inner: int) -> None:
    b = FoldBuilder(DType.F32, (12,))
    assert split_coordinate(b.finish(b.f32(1.0)), 0, inner) is None


def test_rank_of_eight_cannot_grow() -> None:
    b = FoldBuilder(DType.F32, (4,) * 8, (4,) * 7)
    node = b.finish(b.add(b.acc, b.f32(1.0)))
    assert split_coordinate(node, 3, 2) is None
    assert split_coordinate(node, 9, 2) is not None  # the domain still may


def test_axis_is_split_only_where_no_carry_can_cross() -> None:
    b = FoldBuilder(DType.F32, (3, 4))
    source = Operand(OperandKind.STATE, 0, DType.F32, (24,))
    whole = (b.out(0) * 4 + b.out(1)).axis(24, 1)
    crossing = (b.out(0) * 4 + b.out(1) + 1).axis(24, 1)
    node = b.finish(b.load(source, [whole]))
    pair = split_axis(node, whole, 4)
    assert pair is not None
    assert [(axis.size, axis.stride) for axis in pair] == [(6, 4), (4, 1)]
    assert split_axis(node, crossing, 4) is None
    assert split_axis(node, whole, 5) is None
