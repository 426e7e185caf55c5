"""The builder: typing, sharing, dropping what is dead, and its limits."""

from __future__ import annotations

import numpy as np
import pytest

from protocol.kernels.executor import Executor
from protocol.program.body import Body, BodyTypeError, f32_word
from protocol.program.builder import Affine, BodyTooLarge, FoldBuilder
from protocol.program.isa import DType, Op, Type
from protocol.program.node import Axis, Operand, OperandKind, Term
from protocol.program.validate import validate_node

X = Operand(OperandKind.DATA, 0, DType.F32, (6,))
INDEX = Operand(OperandKind.DATA, 1, DType.I32, (4,))


def test_matrix_product_has_the_canonical_body() -> None:
    left = Operand(OperandKind.NODE, 0, DType.F32, (2, 3))
    right = Operand(OperandKind.STATE, 1, DType.F32, (3, 4))
    b = FoldBuilder(DType.F32, (2, 4), (3,))
    x = b.load(left, [b.out(0).axis(2, 3), b.red(0).axis(3, 1)])
    y = b.load(right, [b.red(0).axis(3, 4), b.out(1).axis(4, 1)])
    node = b.finish(b.fma(x, y, b.acc))
    validate_node(node)
    assert [i.op for i in node.instructions] == [Op.FMA]
    assert node.instructions[0].arguments == (1, 2, 0)
    a = np.arange(6, dtype=np.float32).reshape(2, 3)
    c = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.testing.assert_array_equal(Executor(threads=1).run(node, [a, c]), a @ c)


def test_equal_loads_constants_and_instructions_are_shared() -> None:
    b = FoldBuilder(DType.F32, (6,))
    first, second = (b.load(X, [b.out(0).axis(6, 1)]) for _ in range(2))
    assert first == second
    assert b.add(first, b.f32(1.5)) == b.add(second, b.f32(1.5))
    node = b.finish(b.mul(b.add(first, b.f32(1.5)), b.f32(1.5)))
    assert (len(node.loads), len(node.constants), len(node.instructions)) == (1, 1, 2)


def test_what_the_result_does_not_need_is_dropped_and_the_rest_renumbered() -> None:
    b = FoldBuilder(DType.F32, (4,))
    b.load(Operand(OperandKind.DATA, 7, DType.F32, (4,)), [b.out(0).axis(4, 1)])
    index = b.load(INDEX, [b.out(0).axis(4, 1)])
    b.mul(b.f32(2.0), b.f32(3.0))
    value = b.load(X, [b.word_of(index).axis(6, 1)])
    node = b.finish(b.add(value, b.f32(1.0)))
    validate_node(node)
    assert node.operands == (INDEX, X)
    assert node.loads[1].axes[0].terms == (Term(0x80, 1),)
    assert len(node.instructions) == len(node.constants) == 1


def test_loads_that_only_skip_or_guard_are_kept() -> None:
    b = FoldBuilder(DType.F32, (4,), (4,))
    b.load(X, [(b.red(0) + 3).axis(6, 1)], skip=True)
    b.guard(b.load(INDEX, [b.red(0).axis(4, 1)]), 0)
    node = b.finish(b.add(b.acc, b.f32(1.0)))
    validate_node(node)
    assert len(node.loads) == 2
    assert node.guards[0].load == 1


def test_argument_of_the_wrong_type_is_refused_with_both_types() -> None:
    b = Body(Type.F)
    with pytest.raises(BodyTypeError, match=r"add takes \(F, F\), got \(F, I\)"):
        b.add(b.acc, b.i32(1))


def test_affine_arithmetic_gives_ascending_terms_without_zeros() -> None:
    b = FoldBuilder(DType.F32, (4, 5), (3,))
    place = b.red(0) * 2 + b.out(1) + b.out(0) * -1 + 7
    assert place.axis(9, 2) == Axis(9, 2, (Term(0, -1), Term(1, 1), Term(2, 2)), 7, 1)
    assert b.out(0) + b.out(0) * -1 == Affine()
    assert ((b.out(0) + 1) // 3).axis(2, 1).divisor == 3
    with pytest.raises(ValueError, match="divide last"):
        (b.out(0) // 2) + 1


def test_flat_position_counts_row_major() -> None:
    b = FoldBuilder(DType.I32, (2, 1, 3))
    node = b.finish(b.flat_position())
    assert Executor(threads=1).run(node, []).ravel().tolist() == list(range(6))


def test_body_beyond_the_limits_is_refused_with_both_numbers() -> None:
    b = FoldBuilder(DType.F32, ())
    value = b.f32(1.0)
    for _ in range(129):
        value = b.add(value, b.f32(1.0))
    with pytest.raises(BodyTooLarge, match="129 instructions, a node may have 128"):
        b.finish(value)


def test_coordinate_out_of_range_is_refused() -> None:
    b = FoldBuilder(DType.F32, (4,))
    for call in (lambda: b.out(1), lambda: b.red(0), lambda: b.coordinate(1)):
        with pytest.raises(IndexError):
            call()


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (0.1, 0x3DCCCCCD),
        (-0.0, 0x80000000),
        (1e300, 0x7F800000),
        (-1e300, 0xFF800000),
        (1e-46, 0),
        (float("nan"), 0x7FC00000),
        (1.0 + 2**-24, 0x3F800000),
    ],
)
def test_python_float_is_rounded_once(value: float, word: int) -> None:
    assert f32_word(value) == word


def test_integer_beyond_32_bits_is_refused() -> None:
    with pytest.raises(ValueError, match="4294967296"):
        Body(Type.I).i32(1 << 32)
