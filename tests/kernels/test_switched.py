"""Folds that are skipped as a whole or not at all: the engine looks once, the bits are the same."""

from __future__ import annotations

import numpy as np
import pytest

from protocol.kernels import Executor
from protocol.kernels.executor import Compiled
from protocol.kernels.reference.evaluator import evaluate_node
from protocol.program.builder import FoldBuilder
from protocol.program.isa import DType
from protocol.program.node import Node, Operand, OperandKind
from protocol.program.validate import validate_node
from tests.kernels.equality.executors import executors
from tests.kernels.nodes import Case
from tests.kernels.twins import kernel_name

STEP = Operand(OperandKind.STATE, 0, DType.I32, ())
TABLE = Operand(OperandKind.DATA, 0, DType.U8, (5,))
INITS = {DType.F32: (0, 0x80000000, 0x7FC00000), DType.I32: (0, 0xFFFFFFFF), DType.U8: (0, 0x1FE)}
WORDS = (0, 1, 2, 5, -1, 2**31 - 1, -(2**31))
RUNS = executors()


def values(shape: tuple[int, ...]) -> Operand:
    return Operand(OperandKind.DATA, 1, DType.F32, shape)


def switched(
    dtype: DType, shape: tuple[int, ...], domain: tuple[int, ...] = (), init: int = 0
) -> Node:
    """It counts where a word of the table, found by the step, is even and below 4."""
    b = FoldBuilder(dtype, shape, domain, init)
    step = b.load(STEP)
    word = b.load(TABLE, [b.word_of(step).axis(5, 1)], fill=7)
    b.load(TABLE, [(b.word_of(word) // 2).axis(2, 1)], skip=True)
    rows = [b.out(i).axis(size, 1) for i, size in enumerate(shape)][-1:]
    x = b.load(values((shape or (1,))[-1:]), rows)
    if dtype is DType.F32:
        return b.finish(b.fma(x, b.i2f(word), b.acc))
    return b.finish(b.iadd(b.iadd(b.acc, word), b.bits(x)))


def case_of(node: Node, step: int, table: tuple[int, ...] = (0, 1, 2, 3, 4)) -> Case:
    numbers = np.linspace(-1, 1, node.operands[2].shape[0]).astype(np.float32)
    return Case(node, [np.array(step, np.int32), np.array(table, np.uint8), numbers])


def check(case: Case) -> None:
    expected = np.array(evaluate_node(case.node, case.elements()), np.uint32)
    for name, run in RUNS.items():
        got = np.asarray(run(case.node, case.operands)).reshape(-1)
        got = got if case.node.dtype is DType.U8 else got.view(np.uint32)
        np.testing.assert_array_equal(got, expected, err_msg=name)


@pytest.mark.parametrize("dtype", DType)
def test_switched_fold_equals_the_reference_whichever_way_it_is_switched(dtype: DType) -> None:
    for init in INITS[dtype]:
        for shape, domain in (((), ()), ((3,), ()), ((5, 7), (2,)), ((1, 613), ())):
            node = switched(dtype, shape, domain, init)
            validate_node(node)
            assert kernel_name(node) == "switched"
            for step in WORDS:
                check(case_of(node, step))


def test_large_fold_that_is_off_is_filled_by_all_threads() -> None:
    for dtype, init in ((DType.F32, 0x3F800001), (DType.U8, 0x105)):
        node = switched(dtype, (3, 65_537), init=init)
        case = case_of(node, 1)
        for threads in (1, 2, 3, 4):
            out = np.full(node.shape, 9, node.dtype.numpy)
            Executor(threads).run(node, case.operands, out)
            word = np.array(init, "<u4").tobytes()[: dtype.width]
            assert out.tobytes() == word * node.numel


def test_fold_whose_skips_depend_on_the_place_is_not_switched() -> None:
    def node(place: int, guard: bool = False) -> Node:
        b = FoldBuilder(DType.F32, (4,), (3,))
        step = b.load(STEP)
        b.load(TABLE, [b.word_of(step).axis(2, 1)], skip=True)
        if guard:
            b.guard(step, 0)
        x = b.load(values((4,)), [(b.out(0) + b.red(0) * place).axis(4, 1)], skip=place != 0)
        return b.finish(b.add(b.acc, x))

    assert kernel_name(node(0)) == "switched"
    for other in (node(1), node(0, guard=True)):
        assert kernel_name(other) != "switched"
        for step in WORDS:
            check(case_of(other, step))


def test_switched_fold_is_left_to_the_engine_by_the_compiler() -> None:
    node = switched(DType.F32, (40,))
    compiled = Executor(1, compiled=Compiled.NODES)
    assert compiled.kernel(node).name == "switched"
    for step in (0, 1):
        case = case_of(node, step)
        got = compiled.run(node, case.operands).view(np.uint32).tolist()
        assert got == evaluate_node(node, case.elements())
