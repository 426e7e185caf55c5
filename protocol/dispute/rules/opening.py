"""Commitment, opening, and the ends that need no judgement; ``contracts/dispute/Opening.sol``."""

from __future__ import annotations

from dataclasses import replace

from protocol.dispute.clock import ChessClock
from protocol.dispute.model import ONE, Commitment, Model, Record, pot_of
from protocol.dispute.moves import CommitOpen, Open, Reclaim, Refund, Timeout
from protocol.dispute.refusal import require
from protocol.dispute.rules.descent import after_segment
from protocol.dispute.state import (
    ClaimFacts,
    DisputeState,
    Level,
    Side,
    commitment_of,
    is_final,
    side_of,
)


def commit_open(model: Model, _id: bytes, move: CommitOpen, sender: str, now: int) -> None:
    """Lock the bond and fix the payee, while the window is open."""
    key = (sender, move.commitment)
    exists = key in model.commitments or move.commitment in model.records
    require(not exists, "CommitmentExists", sender, move.commitment.hex())
    require(model.claims.is_disputable(move.claim_id), "ClaimNotDisputable", move.claim_id.hex())
    facts = model.claims.facts_of(move.claim_id)
    require(now < facts.window_end, "OpeningOver", facts.window_end, now)
    model.vault.take(sender, pot_of(sender, move.commitment), facts.bond)
    model.commitments[key] = Commitment(move.claim_id, facts.bond, now)


def open_dispute(model: Model, _id: bytes, move: Open, sender: str, now: int) -> None:
    """Open what was committed, at a later time and before the reveals end."""
    dispute_id = commitment_of(move.claim_id, sender, move.segment, move.salt)
    commitment = model.commitments.get((sender, dispute_id))
    known = commitment is not None and commitment.claim_id == move.claim_id
    require(known, "UnknownCommitment", sender, dispute_id.hex())
    assert commitment is not None
    require(now > commitment.committed_at, "CommitmentTooYoung", commitment.committed_at, now)
    require(model.claims.is_disputable(move.claim_id), "ClaimNotDisputable", move.claim_id.hex())
    facts = model.claims.facts_of(move.claim_id)
    require(now < facts.reveal_end, "RevealOver", facts.reveal_end, now)
    require(move.segment <= facts.segments, "SegmentOutOfRange", move.segment, facts.segments)

    del model.commitments[sender, dispute_id]
    parameters = model.parameters
    start = max(now, facts.clock_start)
    clock = ChessClock(start, 0, parameters.solver_seconds, parameters.opener_seconds)
    record = Record(move.claim_id, sender, commitment.bond, clock, segment=move.segment)
    model.records[dispute_id] = _started(model, dispute_id, record, facts, start, now)
    model.claims.open_disputes[move.claim_id] += 1


def _started(
    model: Model, dispute_id: bytes, d: Record, facts: ClaimFacts, start: int, now: int
) -> Record:
    if d.segment == 0:
        return replace(
            d,
            state=DisputeState.REVEAL,
            level=Level.LOG,
            size=facts.segments + 1,
            subroot=facts.log_root,
        )
    d, state, extra = after_segment(model, dispute_id, d, facts, start, now)
    return replace(d, state=state, clock=replace(d.clock, extra=extra))


def reclaim(model: Model, _id: bytes, move: Reclaim, _sender: str, now: int) -> None:
    """End a commitment that was not opened; a share of the bond burns unless the claim fell."""
    commitment = model.commitments.get((move.opener, move.commitment))
    known = commitment is not None and commitment.claim_id == move.claim_id
    require(known, "UnknownCommitment", move.opener, move.commitment.hex())
    assert commitment is not None
    burned = 0
    if not model.claims.is_fallen(move.claim_id):
        reveal_end = model.claims.facts_of(move.claim_id).reveal_end
        require(now >= reveal_end, "RevealNotOver", reveal_end, now)
        burned = commitment.bond * model.parameters.unrevealed_share // ONE
    del model.commitments[move.opener, move.commitment]
    pot = pot_of(move.opener, move.commitment)
    model.vault.release(pot, move.opener, commitment.bond - burned)
    model.vault.burn(pot, burned)


def timeout(model: Model, dispute_id: bytes, _move: Timeout, _sender: str, now: int) -> None:
    """The side on the clock loses, or the bond goes back if the claim has fallen already."""
    d = _live(model, dispute_id)
    if model.claims.is_fallen(d.claim_id):
        model.refund(dispute_id, d)
        return
    side = side_of(d.state)
    deadline = d.clock.deadline(side, model.parameters.grace_seconds)
    require(now >= deadline, "DeadlineNotReached", deadline, now)
    model.conclude(dispute_id, d, now, solver_won=side is Side.OPENER)


def refund(model: Model, dispute_id: bytes, _move: Refund, _sender: str, _now: int) -> None:
    """Give the bond back when the claim has fallen by another dispute."""
    d = _live(model, dispute_id)
    require(model.claims.is_fallen(d.claim_id), "ClaimNotFallen", d.claim_id.hex())
    model.refund(dispute_id, d)


def _live(model: Model, dispute_id: bytes) -> Record:
    d = model.record(dispute_id)
    require(not is_final(d.state), "DisputeOver", d.state)
    return d
