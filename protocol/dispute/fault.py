"""Where two runs differ first, down to one word: what a report about a false claim says."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

from protocol.dispute import ulp
from protocol.dispute.challenger import first_difference, first_different_element
from protocol.dispute.execution import Execution, Withheld
from protocol.dispute.state import ARITHMETIC
from protocol.program.canonical import decode_binding
from protocol.program.isa import DType


@dataclass(frozen=True, slots=True)
class Fault:
    """The first place where a run differs from one's own.

    As deep as both runs can be read: ``segment`` alone if the other's states are withheld, and so
    on. Either ``binding`` or ``node`` names what is wrong with the step. ``expected`` and ``got``
    are the words that differ, ``dtype`` tells how to read them: the accumulators of ``term`` if
    ``kind`` is 0xff, the words of a load if it is another number, and the stored elements if it is
    None.
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
        words = "the values below this place are withheld"
        if self.expected is not None and self.got is not None and self.dtype is not None:
            words = f"expected and got {ulp.describe(self.expected, self.got, self.dtype)}"
        if self.binding is not None:
            return f"it is not what its binding names; {words}"
        if self.expected is None:
            return words
        what = "the stored element" if self.kind is None else f"the word of load {self.kind}"
        return f"{'the accumulator' if self.kind == ARITHMETIC else what}: {words}"


def find_fault(own: Execution, other: Execution) -> Fault | None:
    """The first difference of ``other`` from ``own``; None if their logs agree.

    Args:
        own: one's own run of the task, or what is known of it.
        other: the solver's, as far as it is served; ``Withheld`` of either ends the search.
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
    return find_fault_in_step(own, other, segment, step) or Fault(segment, step)


def find_fault_in_step(own: Execution, other: Execution, segment: int, step: int) -> Fault | None:
    """The first difference within a step that starts from one and the same state."""
    place = Fault(segment, step)
    try:
        trace = own.trace_leaves(step)
        node = first_difference(other.trace_leaves(step), trace)
        if node is not None:
            return _in_node(own, other, replace(place, node=node))
        q = first_difference(other.state_leaves(step + 1), own.state_leaves(step + 1))
    except Withheld:
        return place
    return None if q is None else _in_state_tensor(own, other, step, q, len(trace), place)


def at_element(place: Fault, theirs: bytes, ours: bytes, dtype: DType) -> Fault:
    """The first stored element that differs; ``place`` itself if one tensor begins the other."""
    element = first_different_element(theirs, ours, dtype.width)
    if element is None:
        return place
    stored = slice(element * dtype.width, (element + 1) * dtype.width)
    return replace(
        place,
        element=element,
        expected=int.from_bytes(ours[stored], "little"),
        got=int.from_bytes(theirs[stored], "little"),
        dtype=dtype,
    )


def _in_state_tensor(
    own: Execution, other: Execution, step: int, index: int, nodes: int, place: Fault
) -> Fault:
    """Element and words of a state tensor that differs after equal traces."""
    place = replace(place, binding=index)
    dtype = decode_binding(own.program_leaves()[nodes + index]).dtype
    try:
        theirs, ours = (run.state_tensor(step + 1, index) for run in (other, own))
    except Withheld:
        return place
    return at_element(place, theirs, ours, dtype)


def _in_node(own: Execution, other: Execution, place: Fault) -> Fault:
    """Element, term and word, starting from the node."""
    assert place.step is not None
    assert place.node is not None
    step, node = place.step, place.node
    descriptor = own.node(node)
    try:
        theirs, ours = (run.node_output(step, node) for run in (other, own))
    except Withheld:
        return place
    at = at_element(place, theirs, ours, descriptor.dtype)
    if at.element is None:
        return place
    try:
        their_leaves = other.fold_leaves(step, node, at.element)
        our_leaves = own.fold_leaves(step, node, at.element)
    except Withheld:
        return at
    term = first_difference(their_leaves, our_leaves)
    if term is None or len(their_leaves[term]) != len(our_leaves[term]):
        return at
    got, expected = _words(their_leaves[term]), _words(our_leaves[term])
    loads = (k for k in range(1, len(expected)) if got[k] != expected[k])
    word = next(loads, 0)
    dtype = descriptor.dtype
    if word > 0:
        dtype = descriptor.operands[descriptor.loads[word - 1].operand].dtype
    return replace(
        at,
        term=term,
        kind=word - 1 if word > 0 else ARITHMETIC,
        expected=expected[word],
        got=got[word],
        dtype=dtype,
    )


def _words(leaf: bytes) -> tuple[int, ...]:
    return struct.unpack(f">{len(leaf) // 4}I", leaf)
