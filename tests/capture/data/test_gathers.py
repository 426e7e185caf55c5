"""Which examples a step's batch holds, bit for bit by the specification."""

from __future__ import annotations

import numpy as np
import pytest

from protocol.capture.data.columns import Column, Images, Windows, column_of
from protocol.capture.data.gathers import Gather, InTurn, Ordered
from protocol.capture.writing.values import View
from protocol.capture.writing.writer import Writer
from protocol.kernels.reference.evaluator import evaluate_node
from protocol.program.isa import DType
from protocol.program.node import Operand, OperandKind

STEP = View.whole(Operand(OperandKind.STATE, 0, DType.I32, ()))
NUMBERS = np.arange(1, 8, dtype=np.int32)


def gathered(gather: Gather, column: Column, step: int, order: np.ndarray | None = None) -> list:
    """The words of the node that a column's gather writes; data tensors come after the order."""
    names = list(column.arrays)

    def data(suffix: str) -> View:
        array = column.arrays[suffix]
        kinds = {"int32": DType.I32, "uint8": DType.U8, "float32": DType.F32}
        operand = Operand(
            OperandKind.DATA, 1 + names.index(suffix), kinds[array.dtype.name], array.shape
        )
        return View.whole(operand)

    column.write(gather, "inputs", data)
    (node,) = gather.writer.nodes
    tensors = [order if order is not None else np.zeros(1, np.int32), *column.arrays.values()]
    words = [_words(tensor) for tensor in tensors]
    operands = [[step] if o.kind is OperandKind.STATE else words[o.index] for o in node.operands]
    return evaluate_node(node, operands)


def _words(array: np.ndarray) -> list[int]:
    return (array if array.dtype == np.uint8 else array.view(np.uint32)).reshape(-1).tolist()


@pytest.mark.parametrize(
    ("step", "expected"), [(0, [1, 2, 3]), (1, [4, 5, 6]), (2, [7, 0, 0]), (3, [0, 0, 0])]
)
def test_examples_come_in_turn_and_zeros_after_the_last(step: int, expected: list[int]) -> None:
    gather = InTurn(Writer(0, STEP), 3)
    assert gather.batch_size == 3
    assert gathered(gather, column_of(NUMBERS, "inputs"), step) == expected


def test_padding_of_normalised_images_is_that_of_a_black_one() -> None:
    pixels = np.full((1, 1, 1, 1), 255, np.uint8)
    column = column_of(Images(pixels, (0.5,), (0.25,)), "inputs")
    words = gathered(InTurn(Writer(0, STEP), 2), column, 0)
    assert np.array(words, np.uint32).view(np.float32).tolist() == [2.0, -2.0]


def test_windows_in_turn_end_with_what_is_left_of_the_stream() -> None:
    column = column_of(Windows(NUMBERS, 3, stride=2), "inputs")
    assert column.examples == 3
    words = gathered(InTurn(Writer(0, STEP), 2), column, 1)
    assert words == [5, 6, 7, 7, 0, 0]  # the second one is no example


@pytest.mark.parametrize(("step", "expected"), [(0, [3, 1]), (1, [7, 7])])
def test_order_of_all_steps_names_the_examples(step: int, expected: list[int]) -> None:
    order = np.array([[2, 0], [6, 6]], np.int32)
    rows = View.whole(Operand(OperandKind.DATA, 0, DType.I32, order.shape))
    gather = Ordered(Writer(0, STEP), rows)
    assert gather.batch_size == 2
    assert gathered(gather, column_of(NUMBERS, "inputs"), step, order) == expected


def test_order_of_one_step_is_the_same_whatever_the_step() -> None:
    order = np.array([5, 4, 4], np.int32)
    row = View.whole(Operand(OperandKind.DATA, 0, DType.I32, order.shape))
    gather = Ordered(Writer(0, STEP), row)
    assert gather.batch_size == 3
    assert gathered(gather, column_of(NUMBERS, "inputs"), 9, order) == [6, 5, 5]
