"""Canonical bytes: one encoding per node, and nothing else decodes."""

from __future__ import annotations

import pytest

from protocol.program.canonical import (
    MalformedBytes,
    decode_binding,
    decode_node,
    decode_program,
    encode_binding,
    encode_node,
    encode_program,
)
from protocol.program.isa import SIGNATURES, DType, Op, Type
from protocol.program.node import Binding, OperandKind
from tests.program import examples

NODES = [
    examples.weights(),
    examples.matrix_product(),
    examples.counter(),
    examples.scatter(),
    examples.product_of_rows(),
]


@pytest.mark.parametrize("node", NODES)
def test_node_encoded_decodes_to_itself(node) -> None:
    assert decode_node(encode_node(node)) == node


def test_matrix_product_has_the_documented_bytes() -> None:
    data = encode_node(examples.matrix_product())
    assert data[:2] == bytes([0x01, 0x01])
    assert data[2:11] == bytes([2, 0, 0, 0, 4, 0, 0, 0, 5])
    assert data[-5:] == bytes([0x06, 1, 2, 0, 6])
    assert len(data) == 210


def test_binding_encoded_decodes_to_itself() -> None:
    binding = Binding(OperandKind.STATE, 7, DType.U8, (3, 1))
    assert encode_binding(binding) == bytes.fromhex("02010000000703020000000300000001")
    assert decode_binding(encode_binding(binding)) == binding


def test_program_encoded_decodes_to_itself() -> None:
    program = examples.program()
    assert decode_program(encode_program(program), len(program.nodes)) == program


@pytest.mark.parametrize("node", NODES)
def test_node_truncated_anywhere_is_refused(node) -> None:
    data = encode_node(node)
    for end in range(len(data)):
        with pytest.raises(MalformedBytes):
            decode_node(data[:end])


@pytest.mark.parametrize("node", NODES)
def test_node_with_trailing_bytes_is_refused(node) -> None:
    with pytest.raises(MalformedBytes, match="after the end"):
        decode_node(encode_node(node) + b"\0")


def test_every_byte_changed_decodes_to_another_node_or_is_refused() -> None:
    data = encode_node(examples.scatter())
    refused = 0
    for position in range(len(data)):
        for value in (0, 1, 0x7F, 0xFF):
            if data[position] == value:
                continue
            changed = data[:position] + bytes([value]) + data[position + 1 :]
            try:
                node = decode_node(changed)
            except MalformedBytes:
                refused += 1
                continue
            assert encode_node(node) == changed, "two encodings of one node"
    assert refused > 50


def test_binding_and_node_never_decode_as_each_other() -> None:
    with pytest.raises(MalformedBytes, match="binding tag"):
        decode_binding(encode_node(examples.counter()))
    with pytest.raises(MalformedBytes, match="node tag"):
        decode_node(encode_binding(Binding(OperandKind.NODE, 0, DType.F32, ())))


def test_signatures_cover_every_opcode_with_types_of_the_table() -> None:
    assert SIGNATURES[Op.FMA].arguments == (Type.F,) * 3
    assert SIGNATURES[Op.FSEL].arguments == (Type.I, Type.F, Type.F)
    assert SIGNATURES[Op.FLT].result is Type.I
    assert SIGNATURES[Op.F2I].arguments == (Type.F,)
    assert SIGNATURES[Op.I2F].result is Type.F
    assert len(SIGNATURES) == len(Op) == 36
