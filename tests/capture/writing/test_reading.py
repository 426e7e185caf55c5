"""A load through a copy reads the element that the copy held, and is out of bounds where it was."""

from __future__ import annotations

import random
from dataclasses import replace

from protocol.capture.writing.coordinates import split_coordinate
from protocol.capture.writing.reading import Split, read_through
from protocol.capture.writing.values import View
from protocol.kernels.reference.evaluator import evaluate_node
from protocol.program.builder import FoldBuilder
from protocol.program.isa import DType
from protocol.program.node import Load, Node, Operand, OperandKind, numel
from protocol.program.validate import validate_node

SOURCE = Operand(OperandKind.STATE, 0, DType.I32, (360,))
WORDS = list(range(1000, 1360))


def copy_of(view: View) -> list[int]:
    """The copy's elements in row-major order."""
    b = FoldBuilder(view.dtype, view.shape)
    return evaluate_node(b.finish(view.load(b, [b.out(i) for i in range(len(b.shape))])), [WORDS])


def random_view(rng: random.Random) -> View:
    """A permuted slice of the source, some of it broadcast."""
    sizes = rng.choice([(4, 3, 5, 6), (2, 2, 90), (10, 6, 6), (5, 72), (3, 4, 3, 2, 5)])
    view = View.whole(Operand(OperandKind.STATE, 0, DType.I32, sizes))
    dim = rng.randrange(len(sizes))
    view = view.slice(dim, start := rng.randrange(sizes[dim]), rng.randint(start + 1, sizes[dim]))
    view = view.permute(rng.sample(range(len(sizes)), len(sizes)))
    if rng.random() < 0.3:
        view = view.unsqueeze(0).expand((rng.randint(1, 3), *view.shape))
    return View(SOURCE, view.shape, view.strides, view.offset)


def random_reader(rng: random.Random, copy: Operand) -> Node:
    """A sum over loads of windows of the copy: other dimensions, slices, padding, skips."""
    count = numel(copy.shape)
    divisors = [d for d in range(1, count + 1) if count % d == 0]
    outer = rng.choice(divisors)
    sizes = [outer, count // outer]
    b = FoldBuilder(DType.I32, (sizes[0],), (sizes[1],), init=7)
    at = [b.out(0) + rng.choice([0, 0, 1, -2]), b.red(0) + rng.choice([0, 0, -1])]
    skip = rng.random() < 0.3
    first = rng.choice([0, 0, rng.randrange(outer)])  # a window from this row on
    axes = [at[0].axis(outer - first, sizes[1]), at[1].axis(sizes[1], 1)]
    word = b.load(copy, axes, first * sizes[1], fill=0 if skip else 99, skip=skip)
    return b.finish(b.iadd(b.imul(b.acc, b.i32(3)), word))


def test_random_loads_through_random_copies_read_the_same() -> None:
    rewritten = split = 0
    for seed in range(400):
        rng = random.Random(seed)
        view = random_view(rng)
        copy = Operand(OperandKind.NODE, 0, DType.I32, view.shape)
        node = random_reader(rng, copy)
        expected = evaluate_node(node, [copy_of(view)])
        through = read_through(node, node.loads[0], view)
        while isinstance(through, Split):
            larger = split_coordinate(node, through.coordinate, through.inner)
            if larger is None:
                break
            split += 1
            node = larger
            through = read_through(node, node.loads[0], view)
        if isinstance(through, Load):
            rewritten += 1
            node = replace(node, loads=(through,), operands=(SOURCE,))
            validate_node(node)
            assert evaluate_node(node, [WORDS]) == expected
    assert rewritten > 120
    assert split > 40


def test_load_that_crosses_rows_of_a_permuted_copy_is_left() -> None:
    """Seven elements across rows of five: no split of the reader's coordinate fits both."""
    view = View(SOURCE, (14, 5), (1, 14))
    copy = Operand(OperandKind.NODE, 0, DType.I32, view.shape)
    b = FoldBuilder(DType.I32, (10, 7))
    word = b.load(copy, [b.out(0).axis(10, 7), b.out(1).axis(7, 1)])
    node = b.finish(word)
    assert not isinstance(read_through(node, node.loads[0], view), Load)


def test_reversed_copy_is_left_as_strides_are_not_negative() -> None:
    view = View(SOURCE, (6,), (-1,), 5)
    b = FoldBuilder(DType.I32, (6,))
    word = b.load(Operand(OperandKind.NODE, 0, DType.I32, (6,)), [b.out(0).axis(6, 1)])
    node = b.finish(word)
    assert read_through(node, node.loads[0], view) is None
