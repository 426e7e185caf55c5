"""The codec on chain takes what Python's takes, and refuses what could not be judged."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from protocol.kernels.reference import evaluator
from protocol.program.canonical import (
    MalformedBytes,
    decode_binding,
    decode_node,
    encode_binding,
    encode_node,
)
from protocol.program.isa import DType, Op, Type
from protocol.program.node import (
    LOADED_WORD,
    Axis,
    Binding,
    Constant,
    Guard,
    Instruction,
    Load,
    Node,
    Operand,
    OperandKind,
    Term,
    numel,
)
from protocol.program.validate import InvalidProgram, validate_node
from tests.contracts.revm import RevertedError, Revm
from tests.program import examples
from tests.random_nodes import random_node

EXAMPLES = [
    examples.weights(),
    examples.matrix_product(),
    examples.counter(),
    examples.scatter(),
    examples.product_of_rows(),
]
NODES = 600
MUTATIONS = 4_000


@pytest.fixture(scope="module")
def judge() -> Revm:
    return Revm("Judge")


def _facts(node: Node) -> tuple[int, ...]:
    return (node.dtype, node.dtype.width, node.numel, node.terms, len(node.loads), node.init)


def _assert_malformed(judge: Revm, data: bytes, function: str = "facts") -> int:
    with pytest.raises(RevertedError) as reverted:
        judge.call(function, data)
    expected = "MalformedBinding" if function == "binding" else "MalformedNode"
    assert reverted.value.error == expected
    return int(reverted.value.arguments[0])


def test_facts_of_valid_nodes_equal_the_descriptor(judge: Revm) -> None:
    rng = random.Random(6)
    for node in [*EXAMPLES, *(random_node(rng) for _ in range(NODES))]:
        assert judge.call("facts", encode_node(node)) == _facts(node)


def test_facts_of_the_largest_node_equal_the_descriptor(judge: Revm) -> None:
    node = _largest()
    assert judge.call("facts", encode_node(node)) == _facts(node)


@pytest.mark.parametrize("node", EXAMPLES)
def test_node_truncated_anywhere_is_malformed(judge: Revm, node: Node) -> None:
    data = encode_node(node)
    for end in range(len(data)):
        _assert_malformed(judge, data[:end])


@pytest.mark.parametrize("node", EXAMPLES)
def test_node_with_a_trailing_byte_is_malformed_at_its_length(judge: Revm, node: Node) -> None:
    data = encode_node(node) + b"\0"
    assert _assert_malformed(judge, data) == len(data)


def test_node_with_changed_bytes_is_refused_or_decodes_and_judges_as_in_python(judge: Revm) -> None:
    rng = random.Random(7)
    taken = 0
    for _ in range(MUTATIONS):
        data = bytearray(encode_node(random_node(rng)))
        for _ in range(rng.choice([1, 1, 2])):
            data[rng.randrange(len(data))] = rng.choice([0, 1, 2, 4, 0x7F, 0x80, 0xFF])
        found = _facts_or_refusal(judge, bytes(data))
        if isinstance(found, RevertedError):
            assert found.error == "MalformedNode"
            continue
        taken += 1
        node = decode_node(bytes(data))
        assert encode_node(node) == data
        assert found == _facts(node)
        _assert_judges_as_in_python(judge, rng, node)
    # Otherwise the test says nothing about bytes that both sides take.
    assert taken > MUTATIONS // 5


def _facts_or_refusal(judge: Revm, data: bytes) -> tuple[int, ...] | RevertedError:
    try:
        return tuple(judge.call("facts", data))
    except RevertedError as refusal:
        return refusal


def _assert_judges_as_in_python(judge: Revm, rng: random.Random, node: Node) -> None:
    element, term = rng.randrange(node.numel), rng.randrange(node.terms)
    words = [rng.getrandbits(32) if rng.random() < 0.5 else rng.randrange(4) for _ in node.loads]
    data = encode_node(node)
    previous = rng.getrandbits(32)
    expected = evaluator.fold_term(node, element, term, previous, words)
    assert judge.call("arithmetic", data, element, term, previous, words) == expected
    coordinates = evaluator.unravel(element, node.shape) + evaluator.unravel(term, node.domain)
    for k, load in enumerate(node.loads):
        address = evaluator.locate(load, coordinates, words)
        found = judge.call("locate", data, element, term, k, words)
        assert (found[-1] if found[0] else None) == address


def test_node_that_cannot_be_judged_is_malformed_though_canonical(judge: Revm) -> None:
    for name, node in _UNJUDGEABLE.items():
        data = encode_node(node)
        assert decode_node(data) == node, name
        with pytest.raises(InvalidProgram):
            validate_node(node)
        _assert_malformed(judge, data)


@pytest.mark.parametrize(
    ("position", "value", "what"),
    [
        (0, 0x02, "tag"),
        (1, 0x00, "dtype"),
        (1, 0x04, "dtype"),
        (2, 0x09, "rank"),
        (11, 0x09, "domain rank"),
    ],
)
def test_node_with_a_changed_head_is_malformed(
    judge: Revm, position: int, value: int, what: str
) -> None:
    data = bytearray(encode_node(examples.matrix_product()))
    data[position] = value
    assert _assert_malformed(judge, bytes(data)) in (0, position), what
    with pytest.raises(MalformedBytes):
        decode_node(bytes(data))


def test_node_with_a_count_above_its_cap_is_malformed(judge: Revm) -> None:
    base = examples.counter()
    operand, load = base.operands[0], base.loads[0]
    axis = Axis(1, 0)
    above = {
        "operands": replace(base, operands=tuple(replace(operand, index=i) for i in range(17))),
        "loads": replace(base, loads=(load,) * 17),
        "axes": replace(base, loads=(replace(load, axes=(axis,) * 9),)),
        "terms": replace(base, loads=(Load(0, (Axis(1, 0, (Term(0),) * 17),)),), shape=(1,)),
        "guards": replace(base, guards=(Guard(0, 0),) * 5, shape=(1,)),
        "constants": replace(base, constants=(Constant(Type.I, 0),) * 65),
        "instructions": replace(base, instructions=(Instruction(Op.IADD),) * 129),
    }
    for name, node in above.items():
        _assert_malformed(judge, encode_node(node))
        with pytest.raises(MalformedBytes):
            decode_node(encode_node(node))
        assert name


def test_node_above_the_cap_of_bytes_is_malformed_at_its_length(judge: Revm) -> None:
    axes = (Axis(1, 0, (Term(0),) * 16),) * 3
    node = Node(
        DType.I32,
        (1,),
        operands=(Operand(OperandKind.STATE, 0, DType.I32, ()),),
        loads=(Load(0, axes),) * 16,
        result=1,
    )
    data = encode_node(node)
    assert len(data) > 4096
    assert _assert_malformed(judge, data) == len(data)
    with pytest.raises(MalformedBytes, match="the cap is 4096"):
        decode_node(data)


@pytest.mark.parametrize(
    "binding",
    [
        Binding(OperandKind.STATE, 7, DType.U8, (3, 1)),
        Binding(OperandKind.NODE, 2**32 - 1, DType.F32, ()),
        Binding(OperandKind.NODE, 0, DType.I32, (2**31 - 1,)),
        Binding(OperandKind.STATE, 65_535, DType.F32, (2,) * 8),
    ],
)
def test_binding_decodes_to_what_was_encoded(judge: Revm, binding: Binding) -> None:
    data = encode_binding(binding)
    expected = (binding.kind, binding.index, binding.dtype, numel(binding.shape))
    assert judge.call("binding", data) == expected
    for end in range(len(data)):
        _assert_malformed(judge, data[:end], "binding")
    _assert_malformed(judge, data + b"\0", "binding")


def test_binding_with_any_changed_byte_is_refused_or_decodes_as_in_python(judge: Revm) -> None:
    data = encode_binding(Binding(OperandKind.STATE, 7, DType.U8, (3, 1)))
    for position in range(len(data)):
        for value in (0, 1, 2, 3, 4, 9, 0x7F, 0x80, 0xFF):
            changed = data[:position] + bytes([value]) + data[position + 1 :]
            try:
                expected = decode_binding(changed)
            except MalformedBytes:
                _assert_malformed(judge, changed, "binding")
                continue
            if numel(expected.shape) >= 2**31:
                _assert_malformed(judge, changed, "binding")
                continue
            fields = (expected.kind, expected.index, expected.dtype, numel(expected.shape))
            assert judge.call("binding", changed) == fields


def test_node_and_binding_are_never_taken_for_each_other(judge: Revm) -> None:
    _assert_malformed(judge, encode_binding(Binding(OperandKind.NODE, 0, DType.F32, ())))
    _assert_malformed(judge, encode_node(examples.counter()), "binding")


def _largest() -> Node:
    """Every count at its cap that 4,096 bytes allow."""
    operands = tuple(Operand(OperandKind.DATA, i, DType.I32, (1,) * 8) for i in range(16))
    axes = (Axis(1, 0, tuple(Term(LOADED_WORD | j) for j in range(3))),) * 2
    loads = tuple(Load(slot, axes if slot > 2 else ()) for slot in range(16))
    first = 1 + 16 + 64 + 16
    return Node(
        DType.I32,
        (1,) * 8,
        (1,) * 8,
        operands=operands,
        loads=loads,
        guards=tuple(Guard(k, k) for k in range(4)),
        constants=tuple(Constant(Type.I, word) for word in range(64)),
        instructions=tuple(Instruction(Op.ISEL, i, i, i) for i in range(first - 1, first + 127)),
        result=first + 127,
    )


def _edited(edit: Callable[[Load], Load]) -> Node:
    base = examples.scatter()
    return replace(base, loads=(*base.loads[:-1], edit(base.loads[-1])))


_PRODUCT = examples.matrix_product()
_UNJUDGEABLE = {
    "elements above 2^31 - 1": replace(_PRODUCT, shape=(65_536, 32_768)),
    "terms above 2^31 - 1": replace(_PRODUCT, domain=(2**16, 2**16)),
    "operand above 2^31 - 1": replace(
        _PRODUCT,
        operands=(replace(_PRODUCT.operands[0], shape=(2**30, 2)), *_PRODUCT.operands[1:]),
    ),
    "slot without an operand": _edited(lambda load: replace(load, operand=2)),
    "address behind the operand": _edited(lambda load: replace(load, offset=2**40)),
    "offset one too far": _edited(lambda load: replace(load, offset=load.offset + 2**20)),
    "axis of size 0": _edited(lambda load: replace(load, axes=(Axis(0, 0),))),
    "axis of size 2^31": _edited(lambda load: replace(load, axes=(Axis(2**31, 0),))),
    "divisor 0": _edited(lambda load: replace(load, axes=(Axis(1, 0, divisor=0),))),
    "divisor 2^31": _edited(lambda load: replace(load, axes=(Axis(1, 0, divisor=2**31),))),
    "coordinate that is not there": _edited(
        lambda load: replace(load, axes=(Axis(1, 0, (Term(15),)),))
    ),
    "a load's own word": _edited(
        lambda load: replace(load, axes=(Axis(1, 0, (Term(LOADED_WORD | 15),)),))
    ),
    "guard on no load": replace(examples.scatter(), guards=(Guard(15, 0),)),
    "guard on no coordinate": replace(examples.scatter(), guards=(Guard(0, 15),)),
    "result that is not there": replace(_PRODUCT, result=7),
    "argument that is not there": replace(_PRODUCT, instructions=(Instruction(Op.FMA, 1, 2, 6),)),
}
