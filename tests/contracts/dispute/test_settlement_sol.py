"""Ends: bonds, the beneficiary, refunds, and that each happens once."""

from __future__ import annotations

import pytest

from protocol.dispute.moves import PointStep
from protocol.dispute.state import ZERO_ADDRESS, DisputeState, Side
from tests.contracts.dispute.arena import (
    BOND,
    COVER_SHARE,
    FUNDS,
    SEGMENT,
    Arena,
    cheat,
    refused,
)

S = DisputeState
COVER = BOND * COVER_SHARE // 10**18
CLAIM = b"\xa1" * 32


def judged(arena: Arena, opener: str | None = None) -> bytes:
    """A dispute that has just been judged, about the arena's claim."""
    dispute = arena.open(opener=opener)
    arena.descend(dispute, S.JUDGE)
    arena.answer(dispute)
    return dispute


def pots(arena: Arena) -> int:
    return int(arena.chain.call(arena.vault.functions.totalPots()))


# -------------------------------------------------------------------- bonds


def test_lost_bond_covers_the_solver_and_burns_the_rest(arena: Arena):
    dispute = judged(arena)
    assert arena.state(dispute) is S.SOLVER_WON
    assert arena.credit(arena.opener) == FUNDS - BOND
    assert arena.credit(arena.solver) == FUNDS + COVER
    assert (arena.burned(), pots(arena)) == (BOND - COVER, 0)
    assert arena.claims_view("convictions", arena.claim) == 0
    assert arena.claims_view("openDisputes", arena.claim) == 0


def test_won_dispute_returns_the_bond_and_convicts(arena: Arena):
    arena.register(cheat(), claim=CLAIM)
    dispute = judged(arena)
    assert arena.state(dispute) is S.CHALLENGER_WON
    assert arena.credit(arena.opener) == FUNDS
    assert (arena.credit(arena.solver), arena.burned(), pots(arena)) == (FUNDS, 0, 0)
    assert arena.claims_view("convictions", CLAIM) == 1
    assert arena.claims_view("beneficiary", CLAIM) == arena.opener
    assert arena.claims_view("openDisputes", CLAIM) == 0


def test_lost_bond_of_a_timeout_goes_the_same_way(arena: Arena):
    dispute = arena.open()
    arena.descend(dispute, S.POINT_STEP)
    arena.wait_until(arena.clock(dispute)[1])
    arena.send("timeout", dispute, sender=arena.other)
    assert (arena.credit(arena.solver), arena.burned()) == (FUNDS + COVER, BOND - COVER)
    assert (arena.credit(arena.other), pots(arena)) == (FUNDS, 0)


# -------------------------------------------------------------------- once


@pytest.mark.parametrize("run", ["honest", "cheat"])
def test_i7_finished_dispute_stays_finished(arena: Arena, run: str):
    if run == "cheat":
        arena.register(cheat(), claim=CLAIM)
    dispute = judged(arena)
    state, expected = arena.state(dispute), arena.position(dispute).hash()
    arena.chain.advance(10**6)
    for end in ("timeout", "refund"):
        with refused("DisputeOver", state):
            arena.send(end, dispute)
    with refused("WrongState", S.POINT_STEP, state):
        arena.play(dispute, PointStep(expected, 0), arena.opener)
    with refused("WrongState", S.JUDGE, state):
        arena.send("judgeArithmetic", dispute, expected, b"", b"", [], b"", [])
    assert arena.view("positionHash", dispute) == expected
    assert arena.clock(dispute) == (Side.NONE, 0)


def test_p25_other_disputes_get_their_bonds_back_when_the_claim_falls(arena: Arena):
    arena.register(cheat(), claim=CLAIM)
    waiting = arena.open(1, opener=arena.other)
    pointing = arena.open(SEGMENT, opener=arena.verifier)
    arena.descend(pointing, S.POINT_STEP)
    dispute = arena.open()
    arena.descend(dispute, S.JUDGE)
    arena.answer(dispute)
    assert arena.clock(waiting) == (Side.NONE, 0)
    with refused("ClaimNotDisputable", CLAIM):
        arena.answer(waiting)
    arena.send("refund", waiting, sender=arena.solver)
    assert arena.state(waiting) is S.REFUNDED
    assert arena.claims_view("openDisputes", CLAIM) == 1
    # The opener's deadline passes: the claim had fallen before, nobody loses here (X12).
    arena.chain.advance(10**6)
    arena.send("timeout", pointing, sender=arena.solver)
    assert arena.state(pointing) is S.REFUNDED
    for party in (arena.opener, arena.other, arena.verifier, arena.solver):
        assert arena.credit(party) == FUNDS
    assert arena.claims_view("openDisputes", CLAIM) == 0
    assert (arena.claims_view("convictions", CLAIM), arena.burned(), pots(arena)) == (1, 0, 0)
    for done in (waiting, pointing):
        with refused("DisputeOver", S.REFUNDED):
            arena.send("refund", done)


def test_x14_dispute_that_would_win_after_the_fall_only_refunds(arena: Arena):
    """The solver lets two disputes run out; the second one must not convict again."""
    arena.register(cheat(), claim=CLAIM)
    first, second = arena.open(), arena.open(opener=arena.other)
    arena.wait_until(arena.clock(second)[1] + 10)
    arena.send("timeout", first)
    receipt = arena.send("timeout", second)
    assert [arena.state(d) for d in (first, second)] == [S.CHALLENGER_WON, S.REFUNDED]
    assert arena.claims_view("convictions", CLAIM) == 1
    [closed] = arena.events(receipt, "DisputeClosed")
    assert closed["beneficiary"] == ZERO_ADDRESS
    assert arena.credit(arena.other) == FUNDS


def test_refund_while_the_claim_stands_is_refused(arena: Arena):
    dispute = arena.open()
    with refused("ClaimNotFallen", arena.claim):
        arena.send("refund", dispute)


def test_p09_end_of_a_dispute_costs_the_same_however_many_run(arena: Arena):
    def cost(others: int) -> int:
        arena.register(cheat(), claim=bytes([others]) * 32)
        for i in range(others):
            arena.open(SEGMENT, bytes([i + 1]) * 32, arena.other)
        judged(arena)
        return arena.gas["judgeArithmetic"]

    alone, crowded = cost(1), cost(9)
    assert abs(alone - crowded) < 500


def test_x13_counter_falls_once_for_each_end(arena: Arena):
    arena.register(cheat(), claim=CLAIM)
    lost, open_, won = (arena.open(1), arena.open(1, opener=arena.other), arena.open())
    assert arena.claims_view("openDisputes", CLAIM) == 3
    arena.descend(lost, S.POINT_STEP)
    arena.wait_until(arena.clock(lost)[1])
    arena.send("timeout", lost)
    assert arena.claims_view("openDisputes", CLAIM) == 2
    arena.wait_until(arena.clock(won)[1])
    arena.send("timeout", won)
    assert arena.claims_view("openDisputes", CLAIM) == 1
    arena.send("timeout", open_)
    assert arena.claims_view("openDisputes", CLAIM) == 0
    states = [arena.state(d) for d in (lost, open_, won)]
    assert states == [S.SOLVER_WON, S.REFUNDED, S.CHALLENGER_WON]


# -------------------------------------------------------------------- precedence


def drawn(arena: Arena, segment: int, verifier: str) -> None:
    arena.chain.send(arena.claims.functions.setDrawn(arena.claim, segment, verifier))


def test_drawn_verifier_of_the_segment_has_precedence(arena: Arena):
    """It opened on the segment, later than the winner and slower: it is the beneficiary."""
    arena.register(cheat(), claim=CLAIM)
    drawn(arena, SEGMENT, arena.verifier)
    dispute = arena.open()
    theirs = arena.open(opener=arena.verifier)
    arena.descend(dispute, S.JUDGE)
    receipt = arena.answer(dispute)
    [closed] = arena.events(receipt, "DisputeClosed")
    assert closed["beneficiary"] == arena.verifier
    assert arena.claims_view("beneficiary", CLAIM) == arena.verifier
    assert arena.credit(arena.opener) == FUNDS, "the winner's bond is its own all the same"
    arena.send("refund", theirs)
    assert arena.credit(arena.verifier) == FUNDS


def test_verifier_drawn_for_another_segment_has_no_precedence(arena: Arena):
    arena.register(cheat(), claim=CLAIM)
    drawn(arena, 1, arena.verifier)
    arena.open(1, opener=arena.verifier)
    arena.open(SEGMENT, opener=arena.verifier)
    judged(arena)
    assert arena.claims_view("beneficiary", CLAIM) == arena.opener


def test_drawn_verifier_that_has_not_opened_has_no_precedence(arena: Arena):
    arena.register(cheat(), claim=CLAIM)
    drawn(arena, SEGMENT, arena.verifier)
    arena.commit(SEGMENT, opener=arena.verifier)
    judged(arena)
    assert arena.claims_view("beneficiary", CLAIM) == arena.opener


@pytest.mark.parametrize("claimed", [False, True])
def test_drawn_verifier_that_ran_out_of_time_has_no_precedence(arena: Arena, claimed: bool):
    """Whether its timeout was claimed or not (P19)."""
    arena.register(cheat(), claim=CLAIM)
    drawn(arena, SEGMENT, arena.verifier)
    theirs = arena.open(opener=arena.verifier)
    arena.descend(theirs, S.POINT_STEP)
    dispute = arena.commit(SEGMENT)
    arena.wait_until(arena.clock(theirs)[1])
    if claimed:
        arena.send("timeout", theirs)
    arena.send("open", CLAIM, SEGMENT, bytes(32))
    arena.descend(dispute, S.JUDGE)
    arena.answer(dispute)
    assert arena.claims_view("beneficiary", CLAIM) == arena.opener


def test_second_drawn_verifier_takes_the_place_of_one_that_lost(arena: Arena):
    arena.register(cheat(), claim=CLAIM)
    drawn(arena, SEGMENT, arena.verifier)
    drawn(arena, SEGMENT, arena.other)
    lost = arena.open(opener=arena.other)
    arena.descend(lost, S.JUDGE, term=0)
    arena.answer(lost)
    assert arena.state(lost) is S.SOLVER_WON
    arena.open(opener=arena.verifier)
    judged(arena)
    assert arena.claims_view("beneficiary", CLAIM) == arena.verifier


def test_precedence_is_known_once_a_bisected_log_arrives_at_the_segment(arena: Arena):
    arena.register(cheat(), claim=CLAIM)
    drawn(arena, SEGMENT, arena.verifier)
    theirs = arena.open(0, opener=arena.verifier)
    arena.answer(theirs)
    arena.pick(theirs, SEGMENT)
    judged(arena)
    assert arena.claims_view("beneficiary", CLAIM) == arena.verifier


def test_p13_solver_that_challenges_itself_gains_only_what_a_challenger_gains(arena: Arena):
    """Its own bond comes back, the stake is gone: nothing here pays the solver."""
    arena.register(cheat(), claim=CLAIM)
    dispute = arena.open(opener=arena.solver)
    arena.descend(dispute, S.JUDGE)
    arena.answer(dispute)
    assert arena.state(dispute) is S.CHALLENGER_WON
    assert arena.credit(arena.solver) == FUNDS
