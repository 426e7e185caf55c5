"""Each instruction, alone in a body, as the judge runs it, against the reference."""

from __future__ import annotations

import random

import pytest

from protocol.kernels.reference import float32
from protocol.program.canonical import encode_node
from protocol.program.isa import SIGNATURES, DType, Op, Type
from protocol.program.node import Constant, Instruction, Load, Node, Operand, OperandKind
from tests.contracts.revm import RevertedError, Revm
from tests.random_nodes import FLOATS, INTEGERS, random_word

CASES = 250
OPERANDS = {
    kind: Operand(OperandKind.STATE, int(kind), DType.F32 if kind is Type.F else DType.I32, ())
    for kind in Type
}


@pytest.fixture(scope="module")
def judge() -> Revm:
    return Revm("Judge")


def _one_instruction(op: Op) -> Node:
    """A body that is one instruction on the words of as many loads."""
    signature = SIGNATURES[op]
    operands = tuple(OPERANDS[kind] for kind in dict.fromkeys(signature.arguments))
    loads = tuple(Load(operands.index(OPERANDS[kind])) for kind in signature.arguments)
    indices = range(1, 1 + len(loads))
    dtype = DType.F32 if signature.result is Type.F else DType.I32
    return Node(
        dtype,
        (),
        operands=operands,
        loads=loads,
        instructions=(Instruction(op, *indices),),
        result=1 + len(loads),
    )


def _run(judge: Revm, node: Node, words: list[int], previous: int = 0) -> int:
    return int(judge.call("arithmetic", encode_node(node), 0, 0, previous, words))


@pytest.mark.parametrize("op", Op)
def test_instruction_on_special_and_random_words_equals_the_reference(judge: Revm, op: Op) -> None:
    rng = random.Random(int(op))
    node = _one_instruction(op)
    operation = float32.OPERATIONS[op.name.lower()]
    for _ in range(CASES):
        words = [random_word(rng, kind) for kind in SIGNATURES[op].arguments]
        expected = operation(*words)
        shown = ", ".join(f"{word:#010x}" for word in words)
        assert _run(judge, node, words) == expected, f"{op.name}({shown}) is {expected:#010x}"


@pytest.mark.parametrize(
    "op", [op for op in Op if SIGNATURES[op].arguments in ((Type.I, Type.I), (Type.F,), (Type.I,))]
)
def test_instruction_on_all_extreme_words_equals_the_reference(judge: Revm, op: Op) -> None:
    node = _one_instruction(op)
    operation = float32.OPERATIONS[op.name.lower()]
    choices = [FLOATS if kind is Type.F else INTEGERS for kind in SIGNATURES[op].arguments]
    for a in choices[0]:
        for b in choices[1] if len(choices) == 2 else [None]:
            words = [a] if b is None else [a, b]
            assert _run(judge, node, words) == operation(*words), (op.name, words)


def test_program_of_128_instructions_runs_each_on_the_last_result(judge: Revm) -> None:
    # Instructions begin at value 2 (accumulator, constant): each adds the one before it to itself.
    instructions = [
        Instruction(Op.IADD, 0, 1),
        *(Instruction(Op.IADD, v, v) for v in range(2, 129)),
    ]
    node = Node(
        DType.I32,
        (),
        constants=(Constant(Type.I, 3),),
        instructions=tuple(instructions),
        result=129,
    )
    assert _run(judge, node, [], previous=4) == 7 * 2**127 % 2**32 == 0
    odd = Node(DType.I32, (), constants=node.constants, instructions=node.instructions, result=32)
    assert _run(judge, odd, [], previous=4) == 7 * 2**30 % 2**32


def test_program_whose_result_is_no_instruction_gives_that_value(judge: Revm) -> None:
    operands = (OPERANDS[Type.F],)
    node = Node(DType.F32, (3,), operands=operands, loads=(Load(0),), result=1)
    assert _run(judge, node, [0x40490FDB]) == 0x40490FDB
    assert _run(judge, node, [0xFF800001]) == 0x7FC00000
    accumulator = Node(DType.F32, (3,), operands=operands, loads=(Load(0, skip=True),), result=0)
    assert _run(judge, accumulator, [0], previous=0xFFC00000) == 0x7FC00000


@pytest.mark.parametrize("opcode", [0x00, 0x11, 0x20, 0x35, 0x40, 0x80, 0xFF])
def test_program_with_an_unknown_opcode_reverts(judge: Revm, opcode: int) -> None:
    data = bytearray(encode_node(_one_instruction(Op.IADD)))
    at = len(data) - 5
    assert data[at] == Op.IADD
    data[at] = opcode
    for call in (
        lambda: judge.call("facts", bytes(data)),
        lambda: judge.call("arithmetic", bytes(data), 0, 0, 0, [1, 2]),
    ):
        with pytest.raises(RevertedError) as reverted:
            call()
        assert (reverted.value.error, reverted.value.arguments) == ("MalformedNode", (at,))


@pytest.mark.parametrize("argument", [1, 2, 3])
@pytest.mark.parametrize("index", [3, 4, 255])
def test_program_that_uses_a_value_before_it_is_defined_reverts(
    judge: Revm, argument: int, index: int
) -> None:
    data = bytearray(encode_node(_one_instruction(Op.IADD)))
    at = len(data) - 5
    data[at + argument] = index
    for call in (
        lambda: judge.call("facts", bytes(data)),
        lambda: judge.call("arithmetic", bytes(data), 0, 0, 0, [1, 2]),
    ):
        with pytest.raises(RevertedError) as reverted:
            call()
        assert (reverted.value.error, reverted.value.arguments) == ("MalformedNode", (at,))
