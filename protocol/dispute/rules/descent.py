"""Which state comes next on the way down, ``contracts/dispute/DisputeBase.sol``.

A root that is stored for the path already is used at once: no move, no clock.
"""

from __future__ import annotations

from dataclasses import replace

from protocol.dispute.model import Model, Record
from protocol.dispute.state import (
    ClaimFacts,
    DisputeState,
    segment_path,
    trace_path,
)

Next = tuple[Record, DisputeState, int]
"""(record with its new members, state that it enters, free seconds of that turn)."""


def after_segment(
    model: Model, dispute_id: bytes, d: Record, facts: ClaimFacts, start: int, now: int
) -> Next:
    """The segment is known. ``start`` is when the next turn begins."""
    key = (d.claim_id, d.segment)
    if not model.can_still_win(model.drawn.get(key, bytes(32)), now) and model.claims.is_drawn(
        d.claim_id, d.segment, d.opener
    ):
        model.drawn[key] = dispute_id
    if model.segment_root(d).root != bytes(32):
        return after_segment_root(model, d, facts, start)
    path = segment_path(d.segment)
    extra = model.wait_for(d.claim_id, path, start, facts.segment_seconds)
    return d, DisputeState.NEED_SEGMENT, extra


def after_segment_root(model: Model, d: Record, facts: ClaimFacts, start: int) -> Next:
    """The segment's root is known. A segment of one step needs no pointer (X07)."""
    d = replace(d, depth=1)
    if facts.segment_length(d.segment) > 1:
        return d, DisputeState.POINT_STEP, 0
    return after_step(model, replace(d, step=facts.first_step(d.segment)), facts, start)


def after_step(model: Model, d: Record, facts: ClaimFacts, start: int) -> Next:
    """The step is known."""
    if model.trace_root(d).root != bytes(32):
        return replace(d, depth=2), DisputeState.BRANCH, 0
    extra = model.wait_for(d.claim_id, trace_path(d.step), start, facts.trace_seconds)
    return d, DisputeState.NEED_TRACE, extra


def after_element(model: Model, d: Record) -> Next:
    """Node and element are known. One fold is little work: nothing is queued."""
    if model.fold_root(d).root != bytes(32):
        return replace(d, depth=3), DisputeState.POINT_TERM, 0
    return d, DisputeState.NEED_FOLD, 0
