"""The judge of one fold term, on canonical bytes: the twin of ``contracts/judgement/Judge.sol``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from protocol.dispute.refusal import Refusal
from protocol.dispute.state import NodeShape
from protocol.kernels.reference import evaluator
from protocol.program.canonical import MalformedBytes, decode_binding, decode_node
from protocol.program.isa import DType
from protocol.program.node import Binding, Node, OperandKind, numel


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
        return evaluator.fold_term(_decode(node), element, term, previous, words)

    def locate(
        self, node: bytes, element: int, term: int, load: int, words: Sequence[int]
    ) -> Located:
        """Where a load reads, given the words of the earlier loads."""
        n = _decode(node)
        at = evaluator.unravel(element, n.shape) + evaluator.unravel(term, n.domain)
        address = evaluator.locate(n.loads[load], at, words)
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
