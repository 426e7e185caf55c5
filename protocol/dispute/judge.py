"""The judge of one fold term, in Python integers: the twin of ``contracts/judgement/Judge.sol``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from protocol.dispute.refusal import Refusal
from protocol.dispute.state import NodeShape
from protocol.kernels.reference import float32
from protocol.program.canonical import MalformedBytes, decode_binding, decode_node
from protocol.program.isa import DType, Type
from protocol.program.node import LOADED_WORD, Axis, Binding, Node, OperandKind, numel


@dataclass(frozen=True, slots=True)
class Located:
    """Where the word of a load comes from; out of bounds only ``fill`` means something."""

    in_bounds: bool
    fill: int
    kind: OperandKind
    index: int
    dtype: DType
    numel: int
    address: int


class Judge(Protocol):
    """What the game asks of a judge. All of it refuses bytes that are not canonical."""

    def shape(self, node: bytes) -> NodeShape:
        """Facts of a node that a dispute keeps."""

    def arithmetic(
        self, node: bytes, element: int, term: int, previous: int, words: Sequence[int]
    ) -> int:
        """Accumulator after a term, given the one before it and the words of its loads."""

    def locate(
        self, node: bytes, element: int, term: int, load: int, words: Sequence[int]
    ) -> Located:
        """Where a load reads, given the words of the earlier loads."""

    def binding(self, data: bytes) -> Binding:
        """Decode a state binding."""


def coordinates(index: int, shape: tuple[int, ...]) -> list[int]:
    """Coordinates of a row-major index."""
    result = []
    for dim in reversed(shape):
        index, coordinate = divmod(index, dim)
        result.append(coordinate)
    return result[::-1]


class ReferenceJudge:
    """A judge that shares nothing with the contract but the specification."""

    def shape(self, node: bytes) -> NodeShape:
        """Facts of a node that a dispute keeps."""
        n = _decode(node)
        return NodeShape(int(n.dtype), n.dtype.width, n.numel, n.terms, len(n.loads), n.init)

    def arithmetic(
        self, node: bytes, element: int, term: int, previous: int, words: Sequence[int]
    ) -> int:
        """Accumulator after a term, given the one before it and the words of its loads."""
        n = _decode(node)
        at = coordinates(element, n.shape) + coordinates(term, n.domain)
        words = [_loaded(n, k, word) for k, word in enumerate(words)]
        if n.dtype is DType.F32:
            previous = float32.canonical(previous)
        if any(words[guard.load] != at[guard.coordinate] for guard in n.guards):
            return previous
        if any(load.skip and _address(n, k, at, words) is None for k, load in enumerate(n.loads)):
            return previous
        values = [previous, *words, *(constant.word for constant in n.constants), *at]
        for instruction in n.instructions:
            operation = float32.OPERATIONS[instruction.op.name.lower()]
            values.append(operation(*(values[index] for index in instruction.arguments)))
        return values[n.result]

    def locate(
        self, node: bytes, element: int, term: int, load: int, words: Sequence[int]
    ) -> Located:
        """Where a load reads, given the words of the earlier loads."""
        n = _decode(node)
        at = coordinates(element, n.shape) + coordinates(term, n.domain)
        address = _address(n, load, at, words)
        operand = n.operands[n.loads[load].operand]
        return Located(
            address is not None,
            n.loads[load].fill,
            operand.kind,
            operand.index,
            operand.dtype,
            numel(operand.shape),
            address or 0,
        )

    def binding(self, data: bytes) -> Binding:
        """Decode a state binding."""
        try:
            return decode_binding(data)
        except MalformedBytes as error:
            raise Refusal("MalformedBinding", str(error)) from None


def _decode(data: bytes) -> Node:
    try:
        return decode_node(data)
    except MalformedBytes as error:
        raise Refusal("MalformedNode", str(error)) from None


def _loaded(node: Node, load: int, word: int) -> int:
    operand = node.operands[node.loads[load].operand]
    return float32.canonical(word) if operand.dtype.type is Type.F else word


def _address(node: Node, load: int, at: Sequence[int], words: Sequence[int]) -> int | None:
    """Flat element that a load reads; None out of bounds."""
    address = node.loads[load].offset
    for axis in node.loads[load].axes:
        value, remainder = divmod(_value(axis, at, words), axis.divisor)
        if remainder or not 0 <= value < axis.size:
            return None
        address += axis.stride * value
    return address


def _value(axis: Axis, at: Sequence[int], words: Sequence[int]) -> int:
    total = axis.const
    for term in axis.terms:
        if term.source & LOADED_WORD:
            total += term.coef * float32.signed(words[term.source & ~LOADED_WORD])
        else:
            total += term.coef * at[term.source]
    return total
