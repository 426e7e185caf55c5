"""The reference fold against NumPy, for one operator of each kind that a fold can be."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from protocol.kernels.reference.evaluator import (
    evaluate_node,
    fold_term,
    fold_terms,
    load_words,
    unravel,
)
from protocol.program.builder import FoldBuilder
from protocol.program.isa import DType, Op, Type
from protocol.program.node import Axis, Load, Node, Operand, OperandKind, Term
from protocol.program.validate import validate_node
from tests.program import examples

RNG = np.random.default_rng(8)
F32, I32, U8 = DType.F32, DType.I32, DType.U8
MINUS_INFINITY = 0xFF800000


def _operand(dtype: DType, *shape: int, index: int = 0) -> Operand:
    return Operand(OperandKind.STATE, index, dtype, shape)


def _elements(array: NDArray[np.generic]) -> list[int]:
    flat = array.reshape(-1)
    words: list[int] = flat.tolist() if flat.dtype == np.uint8 else flat.view(np.uint32).tolist()
    return words


def _assert_equals(node: Node, operands: list[NDArray[np.generic]], expected: NDArray) -> None:
    validate_node(node)
    assert evaluate_node(node, [_elements(operand) for operand in operands]) == _elements(expected)


def _small_floats(*shape: int) -> NDArray[np.float32]:
    """Integers as floats: every sum and product of a few is exact, in any order."""
    return RNG.integers(-8, 9, shape).astype(np.float32)


def test_matrix_product_equals_numpy() -> None:
    a, b = _small_floats(4, 7), _small_floats(7, 5)
    _assert_equals(examples.matrix_product(4, 7, 5), [a, b], a @ b)


def test_sum_of_rounded_terms_keeps_the_order_of_the_domain() -> None:
    x = np.array([2.0**24, 1.0, 1.0, -(2.0**24)], np.float32)
    b = FoldBuilder(F32, (), (4,))
    node = b.finish(b.add(b.acc, b.load(_operand(F32, 4), [b.red(0).axis(4, 1)])))
    # In order 2^24 + 1 rounds back to 2^24 twice; a pairwise sum would give 2.
    _assert_equals(node, [x], np.array(0.0, np.float32))


def test_convolution_with_padding_by_fill_equals_numpy() -> None:
    x, w = _small_floats(6), _small_floats(3)
    b = FoldBuilder(F32, (6,), (3,))
    image = b.load(_operand(F32, 6), [(b.out(0) + b.red(0) + -1).axis(6, 1)])
    taps = b.load(_operand(F32, 3, index=1), [b.red(0).axis(3, 1)])
    _assert_equals(b.finish(b.fma(image, taps, b.acc)), [x, w], np.correlate(x, w, "same"))


def test_transposed_convolution_by_exact_divisor_and_skip_equals_numpy() -> None:
    x, w = _small_floats(4), _small_floats(3)
    b = FoldBuilder(F32, (9,), (3,))
    position = (b.out(0) + b.red(0) * -1) // 2
    image = b.load(_operand(F32, 4), [position.axis(4, 1)], skip=True)
    taps = b.load(_operand(F32, 3, index=1), [b.red(0).axis(3, 1)])
    expected = np.zeros(9, np.float32)
    for i in range(4):
        expected[2 * i : 2 * i + 3] += x[i] * w
    _assert_equals(b.finish(b.fma(image, taps, b.acc)), [x, w], expected)


def test_max_pool_of_negative_input_by_fill_equals_numpy() -> None:
    x = -np.abs(_small_floats(7)) - 1
    b = FoldBuilder(F32, (4,), (3,), init=MINUS_INFINITY)
    window = (b.out(0) * 2 + b.red(0) + -1).axis(7, 1)
    node = b.finish(b.max(b.acc, b.load(_operand(F32, 7), [window], fill=MINUS_INFINITY)))
    padded = np.concatenate([[-np.inf], x, [-np.inf]]).astype(np.float32)
    expected = np.array([padded[2 * i : 2 * i + 3].max() for i in range(4)], np.float32)
    _assert_equals(node, [x], expected)


def test_embedding_gradient_by_guard_equals_numpy() -> None:
    tokens = np.array([2, 0, 2, -1, 4], np.int32)
    gradient = _small_floats(5, 3)
    b = FoldBuilder(F32, (5, 3), (5,))
    token = b.load(_operand(I32, 5), [b.red(0).axis(5, 1)])
    b.guard(token, 0)
    g = b.load(_operand(F32, 5, 3, index=1), [b.red(0).axis(5, 3), b.out(1).axis(3, 1)])
    expected = np.zeros((5, 3), np.float32)
    for n, t in enumerate(tokens):
        if t >= 0:
            expected[t] += gradient[n]
    _assert_equals(b.finish(b.add(b.acc, g)), [tokens, gradient], expected)


def test_gather_by_an_indirect_coordinate_equals_numpy() -> None:
    table = _small_floats(6, 2)
    index = np.array([5, 0, 6, -1, 3], np.int32)
    b = FoldBuilder(F32, (5, 2))
    row = b.load(_operand(I32, 5), [b.out(0).axis(5, 1)])
    axes = [b.word_of(row).axis(6, 2), b.out(1).axis(2, 1)]
    node = b.finish(b.load(_operand(F32, 6, 2, index=1), axes, fill=0x40E00000))
    expected = np.stack([table[i] if 0 <= i < 6 else np.full(2, 7, np.float32) for i in index])
    _assert_equals(node, [index, table], expected)


def test_comparison_stored_as_u8_keeps_the_low_byte() -> None:
    x = np.array([255, 256, 257, -1], np.int32)
    b = FoldBuilder(U8, (4,))
    _assert_equals(
        b.finish(b.load(_operand(I32, 4), [b.out(0).axis(4, 1)])), [x], x.astype(np.uint8)
    )


def test_u8_load_is_zero_extended() -> None:
    x = np.array([0, 1, 128, 255], np.uint8)
    b = FoldBuilder(I32, (4,))
    _assert_equals(
        b.finish(b.load(_operand(U8, 4), [b.out(0).axis(4, 1)])), [x], x.astype(np.int32)
    )


def test_load_of_a_foreign_nan_gives_the_canonical_one_only_for_f32() -> None:
    for dtype, expected in ((F32, 0x7FC00000), (I32, 0xFFC00001)):
        node = Node(dtype, (), operands=(_operand(dtype),), loads=(Load(0),), result=1)
        assert evaluate_node(node, [[0xFFC00001]]) == [expected]


def test_fold_leaves_chain_term_by_term_to_the_stored_element() -> None:
    node = examples.matrix_product(4, 7, 5)
    operands = [_elements(_small_floats(4, 7)), _elements(_small_floats(7, 5))]
    leaves = fold_terms(node, operands, 13)
    assert len(leaves) == node.terms
    accumulator = node.init
    for term, (after, words) in enumerate(leaves):
        assert words == load_words(node, operands, 13, term)
        accumulator = fold_term(node, 13, term, accumulator, words)
        assert accumulator == after
    assert evaluate_node(node, operands)[13] == accumulator


def test_skipped_term_still_defines_all_its_words() -> None:
    b = FoldBuilder(I32, (2,), (3,))
    position = (b.red(0) + b.out(0) * -1).axis(3, 1)
    x = b.load(_operand(I32, 3), [position], fill=99, skip=True)
    node = b.finish(b.iadd(b.acc, x))
    leaves = fold_terms(node, [[10, 20, 30]], 1)
    assert leaves == [(0, [99]), (10, [10]), (30, [20])]


def test_coordinates_are_row_major() -> None:
    assert [unravel(i, (2, 3)) for i in range(6)] == [
        [0, 0],
        [0, 1],
        [0, 2],
        [1, 0],
        [1, 1],
        [1, 2],
    ]
    assert unravel(0, ()) == []


@pytest.mark.parametrize("index", [-(2**31), 2**31 - 1, -1, 6])
def test_indirect_coordinate_of_any_word_is_out_of_bounds_or_in(index: int) -> None:
    axes = (Axis(6, 1, (Term(0x80, 1),)),)
    node = Node(
        I32,
        (),
        operands=(_operand(I32), _operand(I32, 6, index=1)),
        loads=(Load(0), Load(1, axes, fill=77)),
        result=2,
    )
    assert evaluate_node(node, [[index & 0xFFFFFFFF], list(range(6))]) == [77]


def test_body_of_every_type_conversion_keeps_words_as_they_are() -> None:
    b = FoldBuilder(I32, ())
    x = b.load(_operand(I32))
    node = b.finish(b.emit(Op.F2B, b.emit(Op.B2F, x)))
    assert node.value_types()[-1] is Type.I
    assert evaluate_node(node, [[0xFF800000]]) == [0xFF800000]
    assert evaluate_node(node, [[0xFF800001]]) == [0x7FC00000]
