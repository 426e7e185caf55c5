"""Clocks: who is on them, the last second, grace, the queue of re-executions, timeouts."""

from __future__ import annotations

import pytest

from protocol.dispute.moves import PointStep, PointTerm
from protocol.dispute.state import (
    ARITHMETIC,
    DisputeState,
    Level,
    Side,
    segment_path,
    side_of,
    trace_path,
)
from tests.contracts.dispute.arena import (
    GRACE,
    OPENER_SECONDS,
    SEGMENT,
    SEGMENT_SECONDS,
    SOLVER_SECONDS,
    STEP,
    TRACE_SECONDS,
    Arena,
    refused,
)

S = DisputeState


def at(arena: Arena, state: DisputeState, **pointers: int) -> bytes:
    dispute = arena.open()
    arena.descend(dispute, state, **pointers)
    return dispute


def left(arena: Arena, dispute: bytes) -> tuple[int, int]:
    solver, opener = arena.view("remaining", dispute)
    return solver, opener


# -------------------------------------------------------------------- the last second


@pytest.mark.parametrize("late", [-1, 0, 1])
@pytest.mark.parametrize("state", [S.NEED_SEGMENT, S.POINT_STEP, S.BRANCH, S.NEED_FOLD, S.JUDGE])
def test_p18_deadline_ends_moves_and_begins_timeouts(arena: Arena, state: DisputeState, late: int):
    """At t-1 one may move and nobody may time out; from t on it is the other way round."""
    dispute = at(arena, state)
    side, deadline = arena.clock(dispute)
    p = arena.position(dispute)
    move = {
        S.POINT_STEP: lambda: PointStep(p.hash(), 1),
        S.BRANCH: lambda: arena.prover.point_element(p, 1, 3),
    }.get(state, lambda: arena.right_answer(dispute))()
    arena.wait_until(deadline + late)
    if late < 0:
        with refused("DeadlineNotReached", deadline, deadline - 1):
            arena.send("timeout", dispute, sender=arena.other)
        # The refused transaction took a block: the clock stood at deadline - 1, now at deadline.
        with refused("DeadlinePassed", deadline, deadline):
            arena.play(dispute, move)
    else:
        with refused("DeadlinePassed", deadline, deadline + late):
            arena.play(dispute, move)
    arena.send("timeout", dispute, sender=arena.other)
    loser_wins = {Side.SOLVER: S.CHALLENGER_WON, Side.OPENER: S.SOLVER_WON}
    assert arena.state(dispute) is loser_wins[side]


@pytest.mark.parametrize("state", [S.NEED_SEGMENT, S.POINT_STEP])
def test_p18_move_in_the_last_second_counts(arena: Arena, state: DisputeState):
    dispute = at(arena, state)
    side, deadline = arena.clock(dispute)
    arena.wait_until(deadline - 1)
    if side is Side.SOLVER:
        arena.answer(dispute)
    else:
        arena.play(dispute, PointStep(arena.position(dispute).hash(), 1))
    assert left(arena, dispute)[side is Side.OPENER] == 1


@pytest.mark.parametrize("late", [0, 1, 10**7])
def test_p19_timeout_has_the_same_effect_however_late(arena: Arena, late: int):
    dispute = at(arena, S.NEED_TRACE)
    before = arena.credit(arena.opener)
    arena.wait_until(arena.clock(dispute)[1] + late)
    arena.send("timeout", dispute, sender=arena.other)
    assert arena.state(dispute) is S.CHALLENGER_WON
    assert arena.credit(arena.opener) == before + 1000
    assert arena.claims_view("beneficiary", arena.claim) == arena.opener


def test_x12_judgement_after_the_solvers_deadline_does_not_save_it(arena: Arena):
    dispute = at(arena, S.JUDGE)
    deadline = arena.clock(dispute)[1]
    arena.wait_until(deadline)
    for sender in (arena.solver, arena.other):
        with refused("DeadlinePassed", deadline):
            arena.answer(dispute, sender=sender)
    arena.send("timeout", dispute)
    assert arena.state(dispute) is S.CHALLENGER_WON


# -------------------------------------------------------------------- one side at a time


def test_i4_exactly_one_side_is_on_the_clock_in_every_state(arena: Arena):
    dispute = arena.open()
    states = [S.NEED_SEGMENT, S.POINT_STEP, S.NEED_TRACE, S.BRANCH, S.NEED_FOLD, S.POINT_TERM]
    for state in [*states, S.JUDGE]:
        arena.descend(dispute, state)
        side, deadline = arena.clock(dispute)
        assert side is side_of(state)
        assert deadline > arena.chain.now()
    arena.answer(dispute)
    assert arena.clock(dispute) == (Side.NONE, 0)


def test_time_is_taken_from_the_side_on_the_clock_whoever_moves(arena: Arena):
    dispute = at(arena, S.JUDGE)
    start = arena.chain.now()
    solver, opener = left(arena, dispute)
    arena.wait_until(start + GRACE + 100)
    p = arena.position(dispute)
    assert arena.clock(dispute) == (Side.SOLVER, start + GRACE + solver)
    arena.play(dispute, arena.prover.judge_arithmetic(p), sender=arena.opener)
    assert left(arena, dispute) == (solver - 100, opener)


def test_p20_grace_is_not_banked(arena: Arena):
    """Ten fast moves give no second more; a slow one costs what exceeds its own grace."""
    dispute = at(arena, S.BRANCH)
    assert left(arena, dispute) == (SOLVER_SECONDS, OPENER_SECONDS)
    start = arena.chain.now()
    assert arena.clock(dispute) == (Side.OPENER, start + GRACE + OPENER_SECONDS)
    arena.wait_until(start + GRACE)
    arena.play(dispute, arena.prover.point_element(arena.position(dispute), 1, 3))
    assert left(arena, dispute)[1] == OPENER_SECONDS
    arena.wait_until(arena.chain.now() + GRACE + 7)
    arena.answer(dispute)
    assert left(arena, dispute) == (SOLVER_SECONDS - 7, OPENER_SECONDS)
    arena.wait_until(arena.chain.now() + GRACE + 9)
    arena.play(dispute, PointTerm(arena.position(dispute).hash(), 0, ARITHMETIC))
    assert left(arena, dispute) == (SOLVER_SECONDS - 7, OPENER_SECONDS - 9)


def test_p20_time_never_comes_back(arena: Arena):
    """Budgets only fall along a whole dispute."""
    dispute = arena.open()
    last = left(arena, dispute)
    for state in (S.POINT_STEP, S.NEED_TRACE, S.BRANCH, S.NEED_FOLD, S.POINT_TERM, S.JUDGE):
        arena.wait_until(arena.chain.now() + GRACE + 220)
        arena.descend(dispute, state)
        now = left(arena, dispute)
        assert now[0] <= last[0]
        assert now[1] <= last[1]
        last = now
    assert last[0] < SOLVER_SECONDS
    assert last[1] < OPENER_SECONDS


# -------------------------------------------------------------------- before the start


def test_nobody_is_on_the_clock_before_the_start(arena: Arena):
    start = arena.chain.now() + 400
    arena.register(claim=b"\xf1" * 32, clock_start=start)
    dispute = arena.open()
    assert arena.clock(dispute) == (Side.NONE, start)
    with refused("NotStarted", start):
        arena.answer(dispute)
    with refused("DeadlineNotReached", start + SEGMENT_SECONDS + GRACE + SOLVER_SECONDS):
        arena.send("timeout", dispute)
    arena.wait_until(start)
    arena.answer(dispute)
    assert left(arena, dispute)[0] == SOLVER_SECONDS


def test_clocks_of_an_opening_after_the_start_begin_at_once(arena: Arena):
    dispute = arena.open(0)
    assert arena.clock(dispute) == (Side.SOLVER, arena.chain.now() + GRACE + SOLVER_SECONDS)


# -------------------------------------------------------------------- the queue


def test_x12_work_is_queued_once_per_path(arena: Arena):
    """Two segments wait one after the other; a second dispute on the first one adds nothing."""
    first = arena.open(SEGMENT)
    start = arena.chain.now()
    finish = start + SEGMENT_SECONDS
    assert arena.view("queueEnd", arena.claim) == finish
    assert arena.view("workFinish", arena.claim, segment_path(SEGMENT)) == finish
    assert arena.clock(first)[1] == finish + GRACE + SOLVER_SECONDS
    second = arena.open(1)
    assert arena.view("queueEnd", arena.claim) == finish + SEGMENT_SECONDS
    assert arena.clock(second)[1] == finish + SEGMENT_SECONDS + GRACE + SOLVER_SECONDS
    third = arena.open(SEGMENT, opener=arena.other)
    assert arena.view("queueEnd", arena.claim) == finish + SEGMENT_SECONDS
    assert arena.clock(third)[1] == finish + GRACE + SOLVER_SECONDS


def test_queue_that_has_run_empty_starts_again_from_now(arena: Arena):
    arena.open(SEGMENT)
    arena.wait_until(arena.view("queueEnd", arena.claim) + 50)
    arena.commit(1)
    dispute = arena.commitment(1)
    arena.send("open", arena.claim, 1, bytes(32))
    now = arena.chain.now()
    assert arena.clock(dispute)[1] == now + SEGMENT_SECONDS + GRACE + SOLVER_SECONDS


def test_work_that_is_overdue_gives_no_extra_to_later_disputes(arena: Arena):
    arena.open(SEGMENT)
    arena.wait_until(arena.view("workFinish", arena.claim, segment_path(SEGMENT)) + 10)
    dispute = arena.open(SEGMENT, opener=arena.other)
    assert arena.clock(dispute)[1] == arena.chain.now() + GRACE + SOLVER_SECONDS


def test_queued_time_is_free_and_not_banked(arena: Arena):
    dispute = arena.open()
    start = arena.chain.now()
    arena.wait_until(start + SEGMENT_SECONDS + GRACE + 5)
    arena.answer(dispute)
    assert left(arena, dispute)[0] == SOLVER_SECONDS - 5
    assert arena.clock(dispute)[1] == arena.chain.now() + GRACE + OPENER_SECONDS


def test_trace_is_queued_behind_the_segments(arena: Arena):
    dispute = at(arena, S.POINT_STEP)
    end = arena.view("queueEnd", arena.claim)
    arena.play(dispute, PointStep(arena.position(dispute).hash(), 1))
    finish = end + TRACE_SECONDS
    assert arena.view("workFinish", arena.claim, trace_path(STEP)) == finish
    assert arena.clock(dispute)[1] == finish + GRACE + SOLVER_SECONDS


def test_queue_of_another_claim_is_another_queue(arena: Arena):
    arena.open(SEGMENT)
    arena.register(claim=b"\xf2" * 32)
    dispute = arena.open(SEGMENT)
    assert arena.clock(dispute)[1] == (arena.chain.now() + SEGMENT_SECONDS + GRACE + SOLVER_SECONDS)


def test_queued_path_is_announced_once(arena: Arena):
    arena.commit(SEGMENT)
    receipt = arena.send("open", arena.claim, SEGMENT, bytes(32))
    [event] = arena.events(receipt, "WorkQueued")
    assert event["finish"] == arena.chain.now() + SEGMENT_SECONDS
    arena.commit(SEGMENT, opener=arena.other)
    receipt = arena.send("open", arena.claim, SEGMENT, bytes(32), sender=arena.other)
    assert arena.events(receipt, "WorkQueued") == []


def test_finality_many_disputes_on_one_path_cost_one_work(arena: Arena):
    """I6: what an attacker must pay for is distinct work, not disputes."""
    for i in range(6):
        arena.open(SEGMENT, bytes([i]) * 32)
    end = arena.view("workFinish", arena.claim, segment_path(SEGMENT))
    assert arena.view("queueEnd", arena.claim) == end


# -------------------------------------------------------------------- what agents read


def test_i10_event_names_the_deadline_that_the_view_gives(arena: Arena):
    dispute = arena.open()
    for state in (S.NEED_SEGMENT, S.POINT_STEP, S.NEED_TRACE):
        p = arena.position(dispute)
        assert p.state is state
        if p.side is Side.SOLVER:
            receipt = arena.answer(dispute)
        else:
            receipt = arena.play(dispute, PointStep(p.hash(), 1))
        [event] = arena.events(receipt, "Turned")
        side, deadline = arena.clock(dispute)
        assert (event["state"], event["side"], event["deadline"]) == (
            arena.state(dispute),
            side,
            deadline,
        )


def test_abandoned_dispute_ends_by_anyones_timeout_in_every_opener_state(arena: Arena):
    """X13: an opener that stops costs its bond and does not hold the claim."""
    arena.register(claim=b"\xf3" * 32)
    dispute = arena.open(0)
    arena.answer(dispute)
    assert arena.position(dispute).level is Level.LOG
    arena.wait_until(arena.clock(dispute)[1])
    arena.send("timeout", dispute, sender=arena.verifier)
    assert arena.state(dispute) is S.SOLVER_WON
    assert arena.claims_view("openDisputes", arena.claim) == 0
