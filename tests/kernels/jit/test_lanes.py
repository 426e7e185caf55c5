"""Every opcode on pairs of special words, in vectors and in scalars, equals the reference."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from protocol.kernels.jit.compile import compile_region
from protocol.kernels.reference import float32
from protocol.kernels.region import single
from protocol.program.builder import FoldBuilder
from protocol.program.isa import SIGNATURES, DType, Op, Type
from protocol.program.node import Node
from tests.kernels.jit.calling import COMPILED, call
from tests.kernels.nodes import FLOAT_WORDS, INTEGER_WORDS, words_of
from tests.kernels.shapes import tensor

DTYPES = {Type.F: DType.F32, Type.I: DType.I32}
WORDS = {Type.F: FLOAT_WORDS, Type.I: (*INTEGER_WORDS, 0x7FC00001, 0xFFC00000)}


def cases_of(op: Op) -> list[tuple[int, ...]]:
    """All combinations of special words, thinned for three operands."""
    kinds = SIGNATURES[op].arguments
    whole = list(itertools.product(*(WORDS[kind] for kind in kinds)))
    return whole[:: 7 if len(kinds) == 3 else 1]


def elementwise(op: Op, count: int) -> Node:
    """The opcode on tensors of ``count`` elements."""
    signature = SIGNATURES[op]
    b = FoldBuilder(DTYPES[signature.result], (count,))
    words = [
        b.load(tensor(i, DTYPES[kind], count), [b.out(0).axis(count, 1)])
        for i, kind in enumerate(signature.arguments)
    ]
    return b.finish(b.emit(op, *words))


def uniform(op: Op) -> Node:
    """The opcode on single elements, which no vector is needed for."""
    signature = SIGNATURES[op]
    b = FoldBuilder(DTYPES[signature.result], ())
    words = [b.load(tensor(i, DTYPES[kind], 1), []) for i, kind in enumerate(signature.arguments)]
    return b.finish(b.emit(op, *words))


@pytest.mark.parametrize("isa", COMPILED)
@pytest.mark.parametrize("op", list(Op), ids=lambda op: op.name.lower())
def test_opcode_on_special_words_equals_the_reference(isa: str, op: Op) -> None:
    cases = cases_of(op)
    want = [float32.OPERATIONS[op.name.lower()](*case) for case in cases]
    kinds = SIGNATURES[op].arguments
    columns = [
        np.array(column, np.uint32).view(DTYPES[kind].numpy)
        for kind, column in zip(kinds, zip(*cases, strict=True), strict=True)
    ]
    result = DTYPES[SIGNATURES[op].result].numpy
    out = np.zeros(len(cases), result)
    node = elementwise(op, len(cases))
    call(compile_region(single(node), isa), [*columns, out], 0, len(cases))
    assert words_of(out) == want
    code = compile_region(single(uniform(op)), isa)
    for i in range(0, len(cases), 5):
        one = np.zeros((), result)
        call(code, [*(column[i : i + 1].copy() for column in columns), one], 0, 1)
        assert words_of(one) == [want[i]], cases[i]


@pytest.mark.parametrize("isa", COMPILED)
@pytest.mark.parametrize("op", [Op.IDIV, Op.IREM])
@pytest.mark.parametrize("divisor", [0, 1, -1, 3, -7, -(1 << 31), (1 << 31) - 1])
def test_division_by_a_constant_equals_the_reference(isa: str, op: Op, divisor: int) -> None:
    words = [*INTEGER_WORDS, 100, 0xFFFFFF00, 6, 7, 8, 0x80000001]
    b = FoldBuilder(DType.I32, (len(words),))
    word = b.load(tensor(0, DType.I32, len(words)), [b.out(0).axis(len(words), 1)])
    node = b.finish(b.emit(op, word, b.i32(divisor)))
    out = np.zeros(len(words), np.int32)
    x = np.array(words, np.uint32).view(np.int32)
    call(compile_region(single(node), isa), [x, out], 0, len(words))
    operation = float32.OPERATIONS[op.name.lower()]
    assert words_of(out) == [operation(w, float32.word(divisor)) for w in words]
