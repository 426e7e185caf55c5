"""Canonical bytes of nodes and bindings, and the program root.

Big-endian, no padding, one encoding per value; ``contracts/libraries/NodeCodec.sol`` decodes the
same bytes. The layout is the table in ``docs/PROTOCOL.md`` section 3.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from protocol.program.isa import (
    MAX_AXES,
    MAX_CONSTANTS,
    MAX_GUARDS,
    MAX_INSTRUCTIONS,
    MAX_LOADS,
    MAX_NODE_BYTES,
    MAX_OPERANDS,
    MAX_RANK,
    MAX_TERMS_PER_AXIS,
    DType,
    Op,
    Type,
)
from protocol.program.node import (
    Axis,
    Binding,
    Constant,
    Guard,
    Instruction,
    Load,
    Node,
    Operand,
    OperandKind,
    Program,
    Term,
)

NODE_TAG = 0x01
BINDING_TAG = 0x02


class MalformedBytes(ValueError):
    """The bytes are not the canonical encoding of a node or binding."""


def encode_node(node: Node) -> bytes:
    """Canonical bytes of a node. ValueError if a field does not fit its width."""
    try:
        out = bytearray([NODE_TAG, node.dtype])
        _put_shape(out, node.shape)
        _put_shape(out, node.domain)
        out += struct.pack(">I", node.init)
        out.append(len(node.operands))
        for operand in node.operands:
            out += struct.pack(">BIB", operand.kind, operand.index, operand.dtype)
            _put_shape(out, operand.shape)
        out.append(len(node.loads))
        for load in node.loads:
            _put_load(out, load)
        out.append(len(node.guards))
        for guard in node.guards:
            out += struct.pack(">BB", guard.load, guard.coordinate)
        out.append(len(node.constants))
        for constant in node.constants:
            out += struct.pack(">BI", constant.type, constant.word)
        out.append(len(node.instructions))
        for i in node.instructions:
            out += struct.pack(">BBBB", i.op, i.a, i.b, i.c)
        out.append(node.result)
    except struct.error as error:
        raise ValueError(f"node does not fit the canonical encoding: {error}") from error
    return bytes(out)


def encode_binding(binding: Binding) -> bytes:
    """Canonical bytes of a state binding."""
    out = bytearray(struct.pack(">BBIB", BINDING_TAG, binding.kind, binding.index, binding.dtype))
    _put_shape(out, binding.shape)
    return bytes(out)


def encode_program(program: Program) -> list[bytes]:
    """Leaves of the program tree: the nodes, then the bindings."""
    return [*map(encode_node, program.nodes), *map(encode_binding, program.bindings)]


def decode_node(data: bytes) -> Node:
    """The node that ``data`` encodes; MalformedBytes unless it is exactly a canonical encoding."""
    if len(data) > MAX_NODE_BYTES:
        raise MalformedBytes(f"node has {len(data)} bytes, the cap is {MAX_NODE_BYTES}")
    reader = _Reader(data)
    reader.expect(NODE_TAG, "node tag")
    dtype = reader.dtype()
    shape = reader.shape()
    domain = reader.shape()
    (init,) = reader.unpack(">I")
    operands = tuple(reader.operand() for _ in range(reader.count(MAX_OPERANDS, "operands")))
    loads = tuple(reader.load() for _ in range(reader.count(MAX_LOADS, "loads")))
    guards = tuple(Guard(*reader.unpack(">BB")) for _ in range(reader.count(MAX_GUARDS, "guards")))
    constants = tuple(reader.constant() for _ in range(reader.count(MAX_CONSTANTS, "constants")))
    count = reader.count(MAX_INSTRUCTIONS, "instructions")
    instructions = tuple(reader.instruction() for _ in range(count))
    (result,) = reader.unpack(">B")
    reader.end()
    return Node(
        dtype, shape, domain, init, operands, loads, guards, constants, instructions, result
    )


def decode_binding(data: bytes) -> Binding:
    """The binding that ``data`` encodes; MalformedBytes unless it is exactly canonical."""
    reader = _Reader(data)
    reader.expect(BINDING_TAG, "binding tag")
    kind, index = reader.unpack(">BI")
    if kind not in (OperandKind.NODE, OperandKind.STATE):
        raise MalformedBytes(f"binding source kind {kind}, expected 0 (node) or 1 (state)")
    dtype = reader.dtype()
    shape = reader.shape()
    reader.end()
    return Binding(OperandKind(kind), index, dtype, shape)


def decode_program(leaves: Sequence[bytes], node_count: int) -> Program:
    """The program whose tree leaves are ``leaves``: ``node_count`` nodes, the rest bindings."""
    return Program(
        tuple(decode_node(leaf) for leaf in leaves[:node_count]),
        tuple(decode_binding(leaf) for leaf in leaves[node_count:]),
    )


def _put_shape(out: bytearray, shape: tuple[int, ...]) -> None:
    out.append(len(shape))
    out += struct.pack(f">{len(shape)}I", *shape)


def _put_load(out: bytearray, load: Load) -> None:
    out += struct.pack(
        ">BBIQB", load.operand, int(load.skip), load.fill, load.offset, len(load.axes)
    )
    for axis in load.axes:
        out += struct.pack(
            ">IQIqB", axis.size, axis.stride, axis.divisor, axis.const, len(axis.terms)
        )
        for term in axis.terms:
            out += struct.pack(">Bi", term.source, term.coef)


class _Reader:
    """Cursor over canonical bytes; every read checks that the bytes are there."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def unpack(self, layout: str) -> tuple[int, ...]:
        size = struct.calcsize(layout)
        if self._at + size > len(self._data):
            raise MalformedBytes(
                f"bytes end at {len(self._data)}, expected {size} more at {self._at}"
            )
        values = struct.unpack_from(layout, self._data, self._at)
        self._at += size
        return values

    def expect(self, byte: int, what: str) -> None:
        (got,) = self.unpack(">B")
        if got != byte:
            raise MalformedBytes(f"{what} is {got:#04x}, expected {byte:#04x}")

    def count(self, most: int, what: str) -> int:
        (count,) = self.unpack(">B")
        if count > most:
            raise MalformedBytes(f"{count} {what}, the most is {most}")
        return count

    def dtype(self) -> DType:
        (value,) = self.unpack(">B")
        try:
            return DType(value)
        except ValueError:
            raise MalformedBytes(f"dtype byte {value}, expected 1, 2 or 3") from None

    def shape(self) -> tuple[int, ...]:
        rank = self.count(MAX_RANK, "dimensions")
        shape = self.unpack(f">{rank}I")
        if any(not 1 <= dim < 1 << 31 for dim in shape):
            raise MalformedBytes(f"shape {shape}: each dimension must lie in 1..2^31-1")
        return shape

    def operand(self) -> Operand:
        kind, index = self.unpack(">BI")
        if kind not in (0, 1, 2):
            raise MalformedBytes(f"operand kind {kind}, expected 0 (node), 1 (state) or 2 (data)")
        return Operand(OperandKind(kind), index, self.dtype(), self.shape())

    def load(self) -> Load:
        operand, flags, fill, offset, _ = self.unpack(">BBIQB")
        self._at -= 1
        if flags > 1:
            raise MalformedBytes(f"load flags {flags:#04x}, expected 0 or 1")
        axes = tuple(self.axis() for _ in range(self.count(MAX_AXES, "axes")))
        return Load(operand, axes, offset, fill, bool(flags))

    def axis(self) -> Axis:
        size, stride, divisor, const = self.unpack(">IQIq")
        count = self.count(MAX_TERMS_PER_AXIS, "terms on an axis")
        terms = tuple(Term(*self.unpack(">Bi")) for _ in range(count))
        return Axis(size, stride, terms, const, divisor)

    def constant(self) -> Constant:
        kind, word = self.unpack(">BI")
        if kind not in (0, 1):
            raise MalformedBytes(f"constant type {kind}, expected 0 (i32) or 1 (f32)")
        return Constant(Type(kind), word)

    def instruction(self) -> Instruction:
        op, a, b, c = self.unpack(">BBBB")
        try:
            return Instruction(Op(op), a, b, c)
        except ValueError:
            raise MalformedBytes(f"unknown opcode {op:#04x}") from None

    def end(self) -> None:
        if self._at != len(self._data):
            raise MalformedBytes(f"{len(self._data) - self._at} bytes after the end")
