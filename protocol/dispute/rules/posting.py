"""New roots, linked to the level above and stored once; ``contracts/dispute/Posting.sol``."""

from __future__ import annotations

from dataclasses import replace

from protocol.dispute.model import Model, Record
from protocol.dispute.moves import PostFold, PostSegment, PostTrace, UseRoot
from protocol.dispute.refusal import require
from protocol.dispute.rules.checks import (
    check_inclusion,
    check_length,
    chunk_of,
    element_of,
    term_words,
)
from protocol.dispute.rules.descent import after_segment_root
from protocol.dispute.state import (
    ZERO_ROOT,
    ClaimFacts,
    DisputeState,
    StoredRoot,
    fold_path,
    segment_path,
    trace_path,
)
from protocol.kernels.reference import float32
from protocol.merkle import chunk_count, chunk_length
from protocol.program.isa import DType


def post_segment(model: Model, dispute_id: bytes, move: PostSegment, sender: str, now: int) -> None:
    """Both ends of the segment are leaves of the log; its last leaf is the later one."""
    d, facts = model.enter(dispute_id, move, sender, now)
    path = segment_path(d.segment)
    _authenticate(model, d, facts, path, move.segment_root, move.signature, sender)
    leaves = facts.segments + 1
    check_inclusion(facts.log_root, move.before, d.segment - 1, leaves, move.proof_before)
    check_inclusion(facts.log_root, move.after, d.segment, leaves, move.proof_after)
    length = facts.segment_length(d.segment)
    check_inclusion(move.segment_root, move.after, length - 1, length, move.proof_end)
    model.roots[d.claim_id, path] = StoredRoot(move.segment_root, move.before, move.after)
    d, state, extra = after_segment_root(model, d, facts, now)
    model.turn(dispute_id, d, state, extra)


def post_trace(model: Model, dispute_id: bytes, move: PostTrace, sender: str, now: int) -> None:
    """The states before and after the step are the segment's leaves."""
    d, facts = model.enter(dispute_id, move, sender, now)
    path = trace_path(d.step)
    _authenticate(model, d, facts, path, move.trace_root, move.signature, sender)
    segment = model.segment_root(d)
    t = d.step - facts.first_step(d.segment)
    length = facts.segment_length(d.segment)
    if t > 0:
        check_inclusion(segment.root, move.pre, t - 1, length, move.proof_pre)
    else:
        equal = move.pre == segment.before
        require(equal, "WrongPreState", segment.before.hex(), move.pre.hex())
        require(not move.proof_pre, "WrongLength", 0, len(move.proof_pre))
    check_inclusion(segment.root, move.post, t, length, move.proof_post)
    model.roots[d.claim_id, path] = StoredRoot(move.trace_root, move.pre, move.post)
    model.turn(dispute_id, replace(d, depth=2), DisputeState.BRANCH, 0)


def post_fold(model: Model, dispute_id: bytes, move: PostFold, sender: str, now: int) -> None:
    """The fold's last accumulator stores to the element that the trace commits to."""
    d, facts = model.enter(dispute_id, move, sender, now)
    shape = d.shape
    at = chunk_of(d.element, shape.width)
    check_length(chunk_length(shape.numel, shape.width, at), move.chunk)
    check_length(4 * (1 + shape.loads), move.last_leaf)
    accumulator, _ = term_words(move.last_leaf)
    if shape.dtype == DType.F32:
        canonical = float32.canonical(accumulator)
        require(canonical == accumulator, "AccumulatorNotCanonical", canonical, accumulator)
    stored = element_of(move.chunk, d.element, shape.width)
    kept = accumulator & 0xFF if shape.width == 1 else accumulator
    require(kept == stored, "WrongElement", stored, accumulator)
    path = fold_path(d.step, d.node, d.element)
    _authenticate(model, d, facts, path, move.fold_root, move.signature, sender)
    trace = model.trace_root(d).root
    check_inclusion(trace, move.tensor_root, d.node, facts.node_count, move.trace_proof)
    chunks = chunk_count(shape.numel, shape.width)
    check_inclusion(move.tensor_root, move.chunk, at, chunks, move.chunk_proof)
    last = shape.terms - 1
    check_inclusion(move.fold_root, move.last_leaf, last, shape.terms, move.last_leaf_proof)
    model.roots[d.claim_id, path] = StoredRoot(move.fold_root)
    model.turn(dispute_id, replace(d, depth=3), DisputeState.POINT_TERM, 0)


def use_root(model: Model, dispute_id: bytes, move: UseRoot, sender: str, now: int) -> None:
    """Another dispute of the claim brought the root that this one waits for."""
    d, facts = model.enter(dispute_id, move, sender, now)
    if d.state is DisputeState.NEED_SEGMENT:
        _require_stored(model, d, segment_path(d.segment))
        d, following, extra = after_segment_root(model, d, facts, now)
        model.turn(dispute_id, d, following, extra)
    elif d.state is DisputeState.NEED_TRACE:
        _require_stored(model, d, trace_path(d.step))
        model.turn(dispute_id, replace(d, depth=2), DisputeState.BRANCH, 0)
    else:
        _require_stored(model, d, fold_path(d.step, d.node, d.element))
        model.turn(dispute_id, replace(d, depth=3), DisputeState.POINT_TERM, 0)


def _require_stored(model: Model, d: Record, path: bytes) -> None:
    stored = model.root(d.claim_id, path).root
    require(stored != ZERO_ROOT, "RootNotStored", path.hex())


def _authenticate(
    model: Model,
    d: Record,
    facts: ClaimFacts,
    path: bytes,
    root: bytes,
    signature: bytes,
    sender: str,
) -> None:
    """A new root counts from the solver or with its signature, once per path."""
    require(root != ZERO_ROOT, "ZeroRoot")
    stored = model.root(d.claim_id, path).root
    require(stored == ZERO_ROOT, "RootAlreadyStored", path.hex(), stored.hex())
    if sender == facts.solver:
        return
    signer = model.recover(d.claim_id, path, root, signature)
    require(signer == facts.solver, "NotSignedBySolver", facts.solver, signer)
