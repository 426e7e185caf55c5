"""A record whose missing values are those of a machine that ends where the record does."""

from __future__ import annotations

from protocol.dispute.execution import Execution, Withheld
from protocol.program.node import Node


class StandIn:
    """An `Execution`: what ``record`` holds, and for the rest what ``own`` computes.

    Below a root of the record that is not ``own``'s nothing is stood in for: it would be a guess.
    """

    def __init__(self, record: Execution, own: Execution) -> None:
        self._record = record
        self._own = own

    @property
    def steps(self) -> int:
        """Number of steps T."""
        return self._record.steps

    @property
    def interval(self) -> int:
        """Steps per checkpoint C."""
        return self._record.interval

    def log_leaves(self) -> list[bytes]:
        """State roots of the record's log."""
        return self._record.log_leaves()

    def segment_leaves(self, segment: int) -> list[bytes]:
        """State roots after each step of a segment."""
        try:
            return self._record.segment_leaves(segment)
        except Withheld:
            return self._own.segment_leaves(segment)

    def state_leaves(self, step: int) -> list[bytes]:
        """Tensor roots of a state."""
        try:
            return self._record.state_leaves(step)
        except Withheld:
            return self._own.state_leaves(step)

    def trace_leaves(self, step: int) -> list[bytes]:
        """Tensor roots of the node outputs of a step."""
        try:
            return self._record.trace_leaves(step)
        except Withheld:
            return self._own.trace_leaves(step)

    def node_output(self, step: int, node: int) -> bytes:
        """Stored bytes of a node's output."""
        try:
            return self._record.node_output(step, node)
        except Withheld:
            self._require(self.trace_leaves(step)[node], self._own.trace_leaves(step)[node])
            return self._own.node_output(step, node)

    def state_tensor(self, step: int, index: int) -> bytes:
        """Stored bytes of a state tensor."""
        try:
            return self._record.state_tensor(step, index)
        except Withheld:
            self._require(self.state_leaves(step)[index], self._own.state_leaves(step)[index])
            return self._own.state_tensor(step, index)

    def fold_leaves(self, step: int, node: int, element: int) -> list[bytes]:
        """Leaves of one element's fold."""
        try:
            return self._record.fold_leaves(step, node, element)
        except Withheld:
            self._require(self.trace_leaves(step)[node], self._own.trace_leaves(step)[node])
            return self._own.fold_leaves(step, node, element)

    def data_tensor(self, index: int) -> bytes:
        """Stored bytes of a data tensor."""
        return self._own.data_tensor(index)

    def data_leaves(self) -> list[bytes]:
        """Tensor roots of the data tensors."""
        return self._own.data_leaves()

    def program_leaves(self) -> list[bytes]:
        """Canonical bytes of every node, then of every state binding."""
        return self._own.program_leaves()

    def node(self, index: int) -> Node:
        """Descriptor of a node."""
        return self._own.node(index)

    @staticmethod
    def _require(recorded: bytes, computed: bytes) -> None:
        if recorded != computed:
            raise Withheld
