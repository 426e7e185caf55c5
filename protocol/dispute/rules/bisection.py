"""Pointing without the leaves; ``contracts/dispute/Bisection.sol``.

The solver reveals sub-roots, the opener picks one; the leaf at the end is opened by the solver.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from protocol.dispute.model import Model, Record
from protocol.dispute.moves import Bisect, OpenChunk, OpenTensor, OpenTerm, Pick, Reveal
from protocol.dispute.refusal import Refusal, require
from protocol.dispute.rules.checks import check_inclusion, check_length
from protocol.dispute.rules.descent import Next, after_segment, after_step
from protocol.dispute.situation import Opened
from protocol.dispute.state import ClaimFacts, DisputeState, Level
from protocol.dispute.turns import STATE_OF_LEVEL
from protocol.merkle import (
    ProofError,
    child_range,
    chunk_count,
    chunk_length,
    leaf_hash,
    recombine,
)


def bisect(model: Model, dispute_id: bytes, move: Bisect, sender: str, now: int) -> None:
    """Start at the root of the level's tree."""
    d, facts = model.enter(dispute_id, move, sender, now)
    fits = STATE_OF_LEVEL.get(move.level) is d.state
    require(fits, "WrongLevel", move.level, d.state)
    size, root = _tree(model, d, facts, move.level)
    d = replace(d, level=move.level, lo=0, size=size, subroot=root)
    _descend(model, dispute_id, d, facts, now)


def reveal(model: Model, dispute_id: bytes, move: Reveal, sender: str, now: int) -> None:
    """All children of the range."""
    d, _ = model.enter(dispute_id, move, sender, now)
    _check_children(d, move.children)
    model.opened[dispute_id] = Opened(children=move.children)
    model.turn(dispute_id, d, DisputeState.PICK, 0)


def pick(model: Model, dispute_id: bytes, move: Pick, sender: str, now: int) -> None:
    """One child of the range, strictly smaller."""
    d, facts = model.enter(dispute_id, move, sender, now)
    _check_children(d, move.children)
    try:
        lo, size = child_range(d.lo, d.size, move.child)
    except ProofError as error:
        raise Refusal(error.reason.value, error.expected, error.got) from None
    initial = d.level is Level.LOG and (lo, size) == (0, 1)
    require(not initial, "SegmentOutOfRange", 0, facts.segments)
    d = replace(d, lo=lo, size=size, subroot=move.children[move.child])
    _descend(model, dispute_id, d, facts, now)


def open_tensor(model: Model, dispute_id: bytes, move: OpenTensor, sender: str, now: int) -> None:
    """The root of the pointed node's output."""
    d, facts = model.enter(dispute_id, move, sender, now)
    trace = model.trace_root(d).root
    check_inclusion(trace, move.tensor_root, d.node, facts.node_count, move.trace_proof)
    size = chunk_count(d.shape.numel, d.shape.width)
    d = replace(d, level=Level.TENSOR, lo=0, size=size, subroot=move.tensor_root)
    model.turn(dispute_id, d, DisputeState.POINT_CHUNK, 0)


def open_chunk(model: Model, dispute_id: bytes, move: OpenChunk, sender: str, now: int) -> None:
    """The bytes of the bisected chunk."""
    d, _ = model.enter(dispute_id, move, sender, now)
    _check_leaf(d, chunk_length(d.shape.numel, d.shape.width, d.lo), move.chunk)
    model.opened[dispute_id] = Opened(chunk=move.chunk)
    model.turn(dispute_id, d, DisputeState.POINT_ELEMENT, 0)


def open_term(model: Model, dispute_id: bytes, move: OpenTerm, sender: str, now: int) -> None:
    """The words of the bisected term."""
    d, _ = model.enter(dispute_id, move, sender, now)
    _check_leaf(d, 4 * (1 + d.shape.loads), move.leaf)
    model.opened[dispute_id] = Opened(leaf=move.leaf)
    model.turn(dispute_id, d, DisputeState.POINT_KIND, 0)


def _tree(model: Model, d: Record, facts: ClaimFacts, level: Level) -> tuple[int, bytes]:
    """Size and root of a level's tree; of a tensor they are in the record since it was opened."""
    match level:
        case Level.SEGMENT:
            return facts.segment_length(d.segment), model.segment_root(d).root
        case Level.TRACE:
            return facts.node_count, model.trace_root(d).root
        case Level.POST_STATE:
            return facts.state_count, model.trace_root(d).after
        case Level.TENSOR:
            return d.size, d.subroot
        case _:
            return d.shape.terms, model.fold_root(d).root


def _descend(model: Model, dispute_id: bytes, d: Record, facts: ClaimFacts, now: int) -> None:
    """The next round, or the state after the last one."""
    state, extra = DisputeState.REVEAL, 0
    if d.size == 1:
        d, state, extra = _arrive(model, dispute_id, d, facts, now)
    model.turn(dispute_id, d, state, extra)


def _arrive(model: Model, dispute_id: bytes, d: Record, facts: ClaimFacts, now: int) -> Next:
    match d.level:
        case Level.LOG:
            return after_segment(model, dispute_id, replace(d, segment=d.lo), facts, now, now)
        case Level.SEGMENT:
            step = facts.first_step(d.segment) + d.lo
            return after_step(model, replace(d, step=step), facts, now)
        case Level.TRACE:
            return replace(d, node=d.lo), DisputeState.POINT_NODE, 0
        case Level.POST_STATE:
            return replace(d, binding=d.lo), DisputeState.ANSWER_BINDING, 0
        case Level.TENSOR:
            return d, DisputeState.NEED_CHUNK, 0
        case _:
            return replace(d, term=d.lo), DisputeState.NEED_TERM, 0


def _check_children(d: Record, children: Sequence[bytes]) -> None:
    try:
        got = recombine(d.size, children)
    except ProofError as error:
        raise Refusal(error.reason.value, error.expected, error.got) from None
    require(got == d.subroot, "WrongSubroot", d.subroot.hex(), got.hex())


def _check_leaf(d: Record, length: int, leaf: bytes) -> None:
    check_length(length, leaf)
    got = leaf_hash(leaf)
    require(got == d.subroot, "WrongSubroot", d.subroot.hex(), got.hex())
