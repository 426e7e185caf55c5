"""A NaN's bits are left alone only where nothing can see them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from protocol.kernels.jit.nan import hidden_bits
from protocol.program import expansions
from protocol.program.body import Value
from protocol.program.builder import FoldBuilder
from protocol.program.isa import DType, Op
from tests.kernels.shapes import tensor

Function = Callable[[FoldBuilder, Value], Value]


def shown_and_hidden(function: Function, dtype: DType = DType.F32) -> tuple[int, int]:
    """How many `f2b` of the body must be canonical, and how many need not be."""
    b = FoldBuilder(dtype, (5,))
    node = b.finish(function(b, b.load(tensor(0, DType.F32, 5), [b.out(0).axis(5, 1)])))
    total = [i for i, step in enumerate(node.instructions) if step.op is Op.F2B]
    hidden = hidden_bits(node, range(len(node.instructions)))
    assert hidden <= set(total)
    return len(total) - len(hidden), len(hidden)


@pytest.mark.parametrize("function", [expansions.exp, expansions.tanh, expansions.erf])
def test_hidden_bits_of_expansions_are_all(function: Function) -> None:
    shown, hidden = shown_and_hidden(function)
    assert shown == 0
    assert hidden > 0


@pytest.mark.parametrize(
    "function",
    [
        lambda b, x: b.bits(x),
        lambda b, x: b.iand(b.bits(x), b.i32(1)),
        lambda b, x: b.ior(b.bits(x), b.i32(1)),  # a NaN, but a word that is looked at
    ],
)
def test_hidden_bits_of_a_word_that_is_stored_are_none(function: Function) -> None:
    assert shown_and_hidden(function, DType.I32)[1] == 0


@pytest.mark.parametrize(
    "function",
    [
        lambda b, x: b.from_bits(b.iand(b.bits(x), b.i32(0x7F800000))),  # infinity, not NaN
        lambda b, x: b.from_bits(b.ixor(b.bits(x), b.i32(0x7FC00000))),
        lambda b, x: b.i2f(b.bits(x)),
        lambda b, x: b.select(b.iand(b.bits(x), b.i32(2)), b.f32(1.0), x),
        lambda b, x: b.select(b.flt(x, b.f32(1.0)), x, b.i2f(b.bits(x))),  # false takes the word
        lambda b, x: b.select(b.bits(x), x, b.add(b.i2f(b.bits(x)), b.f32(1.0))),
    ],
)
def test_hidden_bits_of_a_word_that_decides_the_result_are_none(function: Function) -> None:
    assert shown_and_hidden(function)[1] == 0


def test_hidden_bits_next_to_the_value_itself_are_hidden() -> None:
    def product(b: FoldBuilder, x: Value) -> Value:
        return b.mul(x, b.i2f(b.bits(x)))

    assert shown_and_hidden(product) == (0, 1)
