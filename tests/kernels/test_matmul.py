"""Matrix products have the bits of the fold, around every edge of a tile, a block and a job."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from protocol.kernels import Executor, instruction_sets
from protocol.kernels.cpu import _cpu
from protocol.kernels.reference.evaluator import evaluate_node
from protocol.program.builder import FoldBuilder
from protocol.program.canonical import encode_node
from protocol.program.isa import DType
from protocol.program.node import Node
from tests.kernels import shapes
from tests.kernels.nodes import Case, random_tensor, words_of
from tests.kernels.twins import (
    assert_equal_twin,
    kernel_name,
    normal_operands,
    strange_operands,
)

TRANSPOSES = [(False, False), (True, False), (False, True), (True, True)]


# Tiles have 4, 6, 8 or 14 rows and 1 to 3 vectors of 4, 8 or 16 columns.
@pytest.mark.parametrize("rows", [2, 5, 6, 7, 13, 14, 15, 29, 57])
def test_product_of_every_tail_equals_its_twin(rows) -> None:
    for columns in (8, 9, 12, 15, 16, 17, 24, 31, 32, 33, 49, 65, 131):
        transpose = TRANSPOSES[(rows + columns) % 4]
        assert_equal_twin(shapes.product(rows, columns, 5 + columns % 13, transpose=transpose))


@pytest.mark.parametrize("transpose", TRANSPOSES)
def test_product_over_several_blocks_of_terms_equals_its_twin(transpose) -> None:
    for terms in (127, 255, 256, 257, 513, 1_031, 2_100):
        node = shapes.product(17, 35, terms, transpose=transpose)
        assert_equal_twin(node)
        assert_equal_twin(node, strange_operands(node))


@pytest.mark.parametrize("transpose", TRANSPOSES)
def test_product_over_several_jobs_equals_its_twin(transpose) -> None:
    assert_equal_twin(shapes.product(701, 37, 9, transpose=transpose))
    assert_equal_twin(shapes.product(19, 1_300, 9, transpose=transpose))


@pytest.mark.slow
@pytest.mark.parametrize("transpose", TRANSPOSES)
def test_large_product_equals_its_twin(transpose) -> None:
    node = shapes.product(523, 641, 777, transpose=transpose)
    assert_equal_twin(node)
    assert_equal_twin(node, strange_operands(node))


@pytest.mark.parametrize("init", [0x80000000, 0x3F800000, 0xFF800000, 0x7FC00000])
def test_product_starts_from_its_init(init) -> None:
    node = replace(shapes.product(15, 33, 600), init=init)
    assert_equal_twin(node, strange_operands(node))


def test_product_of_special_values_equals_reference() -> None:
    rng = random.Random(3)
    for m, n, k in [(15, 17, 4), (3, 33, 9), (14, 8, 6)]:
        node = shapes.product(m, n, k, transpose=rng.choice(TRANSPOSES))
        case = Case(node, [random_tensor(rng, operand) for operand in node.operands])
        expected = evaluate_node(node, case.elements())
        for isa in instruction_sets():
            for threads in (1, 2, 3):
                executor = Executor(threads, isa, grain=0)
                assert words_of(executor.run(node, case.operands)) == expected


def test_product_of_heads_within_a_wide_tensor_equals_its_twin() -> None:
    for batch, heads, length, width in [(1, 8, 33, 16), (3, 2, 17, 5), (2, 3, 64, 32)]:
        assert_equal_twin(shapes.heads_product(batch, heads, length, width))


def view_product(
    left: tuple[int, int], right: tuple[int, int], m: int = 31, n: int = 40, k: int = 21
) -> Node:
    """A product with the strides (row, term) and (term, column) on two flat tensors."""
    b = FoldBuilder(DType.F32, (m, n), (k,))
    row, column, term = b.out(0), b.out(1), b.red(0)
    size = [1 + left[0] * (m - 1) + left[1] * (k - 1), 1 + right[0] * (k - 1) + right[1] * (n - 1)]
    x = b.load(shapes.tensor(0, DType.F32, size[0]), [row.axis(m, left[0]), term.axis(k, left[1])])
    y = b.load(
        shapes.tensor(1, DType.F32, size[1]), [term.axis(k, right[0]), column.axis(n, right[1])]
    )
    return b.finish(b.fma(x, y, b.acc))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((2, 62), (80, 2)),  # every second element
        ((1, 3), (1, 5)),  # overlapping views
        ((7, 1), (0, 1)),  # one row of the right factor for all terms
        ((1, 0), (1, 40)),  # one column of the left factor
        ((100, 3), (3, 64)),
    ],
)
def test_product_of_strided_views_equals_its_twin(left, right) -> None:
    assert_equal_twin(view_product(left, right))


def test_product_with_rows_innermost_in_the_output_equals_its_twin() -> None:
    # The left factor moves with the last coordinate, the right one with those around it.
    b = FoldBuilder(DType.F32, (9, 5, 11, 2), (600,))
    x = b.load(
        shapes.tensor(0, DType.F32, 5 * 2 * 600),
        [b.out(1).axis(5, 1200), b.out(3).axis(2, 600), b.red(0).axis(600, 1)],
    )
    y = b.load(
        shapes.tensor(1, DType.F32, 600 * 99),
        [b.red(0).axis(600, 99), b.out(0).axis(9, 11), b.out(2).axis(11, 1)],
    )
    node = b.finish(b.fma(x, y, b.acc))
    assert_equal_twin(node)
    assert_equal_twin(node, strange_operands(node))


def test_product_too_small_for_tiles_is_left_to_the_engine() -> None:
    for m, n, k in [(1, 40, 9), (40, 1, 9), (7, 7, 9), (40, 40, 3)]:
        assert kernel_name(shapes.product(m, n, k)) != "matmul"


def test_one_kernel_runs_in_several_threads_at_once() -> None:
    node = shapes.product(61, 70, 300)
    kernel = _cpu.Kernel(encode_node(node), grain=0)
    cases = [normal_operands(node, seed) for seed in range(12)]

    def run(operands) -> bytes:
        out = np.empty(node.shape, "<f4")
        for _ in range(5):
            kernel.run(operands, out, 2)
        return out.tobytes()

    expected = [run(case) for case in cases]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(run, cases)) == expected
    assert len(set(expected)) == len(cases)
