"""Commitment, opening, commitments that are never opened."""

from __future__ import annotations

import pytest

from protocol.dispute.state import DisputeState, Level, Side
from tests.contracts.dispute.arena import (
    BOND,
    FUNDS,
    GRACE,
    REVEAL,
    SEGMENT,
    SEGMENT_SECONDS,
    SOLVER_SECONDS,
    UNREVEALED_SHARE,
    WINDOW,
    Arena,
    refused,
)

S = DisputeState
SALT = bytes(32)
BURNED = BOND * UNREVEALED_SHARE // 10**18


def test_commit_takes_the_bond_and_says_so(arena: Arena):
    commitment = arena.commit(SEGMENT)
    assert arena.credit(arena.opener) == FUNDS - BOND
    claim, bond, committed_at = arena.view("commitmentOf", arena.opener, commitment)
    assert (claim, bond, committed_at) == (arena.claim, BOND, arena.chain.now())


def test_commit_without_credit_is_refused(arena: Arena):
    poor = arena.chain.accounts[10]
    with refused("InsufficientCredit", poor, BOND, 0):
        arena.commit(SEGMENT, opener=poor)


def test_commit_to_a_claim_that_is_not_disputable_is_refused(arena: Arena):
    for phase in (2, 3):
        arena.chain.send(arena.claims.functions.setPhase(arena.claim, phase))
        with refused("ClaimNotDisputable", arena.claim):
            arena.commit(SEGMENT)
    arena.claim = b"\x33" * 32
    with refused("ClaimNotDisputable", arena.claim):
        arena.commit(SEGMENT)


@pytest.mark.parametrize("late", [-1, 0, 1])
def test_commit_at_the_end_of_the_window_is_in_time_only_before_it(arena: Arena, late: int):
    end = arena.facts.window_end
    arena.wait_until(end + late)
    if late < 0:
        arena.commit(SEGMENT)
    else:
        with refused("OpeningOver", end, end + late):
            arena.commit(SEGMENT)


def test_commit_twice_is_refused_before_and_after_the_opening(arena: Arena):
    commitment = arena.commit(SEGMENT)
    with refused("CommitmentExists", arena.opener, commitment):
        arena.commit(SEGMENT)
    arena.send("open", arena.claim, SEGMENT, SALT)
    with refused("CommitmentExists", arena.opener, commitment):
        arena.commit(SEGMENT)


def test_p14_copied_commitment_neither_blocks_nor_opens(arena: Arena):
    commitment = arena.commitment(SEGMENT)
    arena.send("commitOpen", arena.claim, commitment, sender=arena.other)
    arena.commit(SEGMENT)
    with refused("UnknownCommitment", arena.other):
        arena.send("open", arena.claim, SEGMENT, SALT, sender=arena.other)
    arena.send("open", arena.claim, SEGMENT, SALT)
    assert arena.position(commitment).opener == arena.opener


def test_open_without_a_commitment_is_refused(arena: Arena):
    with refused("UnknownCommitment", arena.opener):
        arena.send("open", arena.claim, SEGMENT, SALT)
    arena.commit(SEGMENT)
    for segment, salt in ((1, SALT), (SEGMENT, b"\x01" * 32)):
        with refused("UnknownCommitment", arena.opener):
            arena.send("open", arena.claim, segment, salt)


def test_open_with_the_bond_of_another_claim_is_refused(arena: Arena):
    """A commitment names its claim twice: inside the hash, and for the bond."""
    cheap = arena.register(claim=b"\x44" * 32, bond=1)
    dear = arena.register(claim=b"\x55" * 32)
    commitment = arena.commitment(SEGMENT)
    arena.send("commitOpen", cheap, commitment)
    with refused("UnknownCommitment", arena.opener, commitment):
        arena.send("open", dear, SEGMENT, SALT)


def test_p14_open_in_the_block_of_the_commitment_is_refused(arena: Arena):
    arena.commit(SEGMENT)
    now = arena.chain.now()
    call = arena.dispute.functions.open(arena.claim, SEGMENT, SALT)
    with refused("CommitmentTooYoung", now, now):
        arena.chain.call(call, arena.opener)


@pytest.mark.parametrize("late", [-1, 0, 1])
def test_open_at_the_end_of_reveals_is_in_time_only_before_it(arena: Arena, late: int):
    arena.commit(SEGMENT)
    end = arena.facts.reveal_end
    arena.wait_until(end + late)
    if late < 0:
        arena.send("open", arena.claim, SEGMENT, SALT)
    else:
        with refused("RevealOver", end, end + late):
            arena.send("open", arena.claim, SEGMENT, SALT)


def test_open_after_the_claim_fell_is_refused_and_the_bond_comes_back_whole(arena: Arena):
    commitment = arena.commit(SEGMENT)
    arena.chain.send(arena.claims.functions.setPhase(arena.claim, 2))
    with refused("ClaimNotDisputable", arena.claim):
        arena.send("open", arena.claim, SEGMENT, SALT)
    arena.send("reclaim", arena.claim, arena.opener, commitment, sender=arena.other)
    assert (arena.credit(arena.opener), arena.burned()) == (FUNDS, 0)


def test_p02_open_on_a_segment_that_does_not_exist_is_refused(arena: Arena):
    arena.commit(4)
    with refused("SegmentOutOfRange", 4, 3):
        arena.send("open", arena.claim, 4, SALT)


@pytest.mark.parametrize("segment", [1, 2, 3])
def test_open_on_a_segment_waits_for_its_root(arena: Arena, segment: int):
    dispute = arena.open(segment)
    position = arena.position(dispute)
    assert (position.state, position.segment, position.turn) == (S.NEED_SEGMENT, segment, 0)
    deadline = arena.chain.now() + SEGMENT_SECONDS + GRACE + SOLVER_SECONDS
    assert arena.clock(dispute) == (Side.SOLVER, deadline)
    assert arena.claims_view("openDisputes", arena.claim) == 1
    assert arena.view("commitmentOf", arena.opener, dispute)[2] == 0


def test_open_without_a_segment_starts_with_the_log(arena: Arena):
    dispute = arena.open(0)
    position = arena.position(dispute)
    assert (position.state, position.level) == (S.REVEAL, Level.LOG)
    assert (position.lo, position.size, position.subroot) == (0, 4, arena.facts.log_root)
    assert arena.clock(dispute) == (Side.SOLVER, arena.chain.now() + GRACE + SOLVER_SECONDS)


def test_open_counts_the_dispute_once_each(arena: Arena):
    arena.open(1)
    arena.open(2)
    arena.open(2, opener=arena.other)
    assert arena.claims_view("openDisputes", arena.claim) == 3


def test_reclaim_of_an_unrevealed_commitment_burns_its_share_and_traps_nothing(arena: Arena):
    commitment = arena.commit(SEGMENT)
    end = arena.facts.reveal_end
    arena.wait_until(end - 1)
    with refused("RevealNotOver", end, end - 1):
        arena.send("reclaim", arena.claim, arena.opener, commitment)
    arena.wait_until(end)
    receipt = arena.send("reclaim", arena.claim, arena.opener, commitment, sender=arena.other)
    assert (arena.credit(arena.opener), arena.burned()) == (FUNDS - BURNED, BURNED)
    [event] = arena.events(receipt, "CommitmentReclaimed")
    assert (event["returned"], event["burned"]) == (BOND - BURNED, BURNED)


def test_p10_reclaim_twice_or_after_the_opening_is_refused(arena: Arena):
    opened = arena.open(SEGMENT)
    unopened = arena.commit(1)
    arena.wait_until(arena.facts.window_end + REVEAL)
    arena.send("reclaim", arena.claim, arena.opener, unopened)
    for commitment in (opened, unopened):
        with refused("UnknownCommitment", arena.opener, commitment):
            arena.send("reclaim", arena.claim, arena.opener, commitment)


def test_reclaim_under_another_claim_is_refused(arena: Arena):
    """Else the end of one claim's reveals would free the commitments of another."""
    claim, commitment = arena.claim, arena.commit(SEGMENT)
    fallen = arena.register(claim=b"\x66" * 32)
    arena.chain.send(arena.claims.functions.setPhase(fallen, 2))
    with refused("UnknownCommitment", arena.opener, commitment):
        arena.send("reclaim", fallen, arena.opener, commitment)
    assert arena.view("commitmentOf", arena.opener, commitment)[0] == claim


def test_p26_openings_have_no_limit(arena: Arena):
    disputes = {arena.open(SEGMENT, bytes([i]) * 32, arena.other) for i in range(12)}
    disputes.add(arena.open(SEGMENT))
    assert len(disputes) == 13
    assert arena.claims_view("openDisputes", arena.claim) == 13
    assert all(arena.state(d) is S.NEED_SEGMENT for d in disputes)
    assert arena.chain.now() < arena.facts.window_end <= arena.facts.window_end + WINDOW


def test_bond_of_nothing_moves_no_token(arena: Arena):
    arena.register(claim=b"\x77" * 32, bond=0)
    arena.open(SEGMENT)
    assert arena.credit(arena.opener) == FUNDS
