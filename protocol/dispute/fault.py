"""Where two runs differ first, down to one word: what a report about a false claim says."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from protocol.dispute import ulp
from protocol.dispute.challenger import first_difference, first_different_element
from protocol.dispute.execution import Execution, Withheld
from protocol.dispute.state import ARITHMETIC
from protocol.program.isa import DType


@dataclass(frozen=True, slots=True)
class Fault:
    """The first place where a run differs from one's own.

    As deep as the other run can be read: ``segment`` alone if its states are withheld, and so on.
    Either ``binding`` or ``node`` names what is wrong with the step. ``expected`` and ``got`` are
    the words that differ (accumulators if ``kind`` is 0xff, else load words), ``dtype`` tells how
    to read them.
    """

    segment: int
    step: int | None = None
    binding: int | None = None
    node: int | None = None
    element: int | None = None
    term: int | None = None
    kind: int | None = None
    expected: int | None = None
    got: int | None = None
    dtype: DType | None = None

    def describe(self) -> str:
        """One sentence for a reader, e.g. ``segment 2, step 4, node 1, element 7, term 0: ...``."""
        place = [f"segment {self.segment}"]
        for name in ("step", "binding", "node", "element", "term"):
            value = getattr(self, name)
            if value is not None:
                place.append(f"state tensor {value}" if name == "binding" else f"{name} {value}")
        return f"{', '.join(place)}: {self._what()}"

    def _what(self) -> str:
        if self.binding is not None:
            return "it is not what its binding names"
        if self.expected is None or self.got is None:
            return "the solver's values below this place are withheld"
        if self.dtype is DType.F32:
            words = ulp.describe(self.expected, self.got)
        else:
            words = f"{self.expected:#010x} and {self.got:#010x}"
        what = "the accumulator" if self.kind == ARITHMETIC else f"the word of load {self.kind}"
        return f"{what}: expected and got {words}"


def find_fault(own: Execution, other: Execution) -> Fault | None:
    """The first difference of ``other`` from ``own``; None if their logs agree.

    Args:
        own: one's own run of the task.
        other: the solver's, as far as it is served; ``Withheld`` ends the search where it is.
    """
    segment = first_difference(other.log_leaves(), own.log_leaves())
    return None if segment is None else find_fault_in_segment(own, other, segment)


def find_fault_in_segment(own: Execution, other: Execution, segment: int) -> Fault | None:
    """The first difference within a segment that starts from one and the same state."""
    try:
        t = first_difference(other.segment_leaves(segment), own.segment_leaves(segment))
    except Withheld:
        return Fault(segment)
    if t is None:
        return None
    step = own.interval * (segment - 1) + t
    try:
        node = first_difference(other.trace_leaves(step), own.trace_leaves(step))
        if node is None:
            q = first_difference(other.state_leaves(step + 1), own.state_leaves(step + 1))
            return Fault(segment, step, binding=q)
    except Withheld:
        return Fault(segment, step)
    return _in_node(own, other, Fault(segment, step, node=node))


def _in_node(own: Execution, other: Execution, place: Fault) -> Fault:
    """Element, term and word, starting from the node."""
    assert place.step is not None
    assert place.node is not None
    step, node = place.step, place.node
    descriptor = own.node(node)
    try:
        theirs = other.node_output(step, node)
        ours = own.node_output(step, node)
        element = first_different_element(theirs, ours, descriptor.dtype.width)
    except Withheld:
        return place
    if element is None:
        return place
    at = Fault(place.segment, step, node=node, element=element)
    try:
        their_leaves = other.fold_leaves(step, node, element)
    except Withheld:
        return at
    our_leaves = own.fold_leaves(step, node, element)
    term = first_difference(their_leaves, our_leaves)
    if term is None or len(their_leaves[term]) != len(our_leaves[term]):
        return at
    got, expected = _words(their_leaves[term]), _words(our_leaves[term])
    loads = (k for k in range(1, len(expected)) if got[k] != expected[k])
    word = next(loads, 0)
    dtype = descriptor.dtype
    if word > 0:
        dtype = descriptor.operands[descriptor.loads[word - 1].operand].dtype
    return Fault(
        place.segment,
        step,
        node=node,
        element=element,
        term=term,
        kind=word - 1 if word > 0 else ARITHMETIC,
        expected=expected[word],
        got=got[word],
        dtype=dtype,
    )


def _words(leaf: bytes) -> tuple[int, ...]:
    return struct.unpack(f">{len(leaf) // 4}I", leaf)
