"""What each role owes: every rule, with the situation beside it in which nothing is owed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.agents.duties import (
    BLOCKHASHES,
    Bid,
    Duty,
    Verdict,
    claim_duty,
    is_bid_free,
    requester_duty,
    solver_duty,
    verifier_duty,
)
from protocol.chain.market import ClaimPhase, ClaimView, TaskPhase, TaskView

ME, OTHER, NOBODY = "0x" + "11" * 20, "0x" + "22" * 20, "0x" + "00" * 20

TASK = TaskView(
    requester=OTHER,
    phase=TaskPhase.BIDDING,
    round=0,
    commits=0,
    reveals=0,
    solver=NOBODY,
    bid_end=10,
    reveal_end=20,
    run_end=30,
    reopen_end=0,
    price=0,
    required_stake=100,
    deposit=5,
    reported_size=0,
    reported_root=bytes(32),
    claim_id=bytes(32),
)
CLAIM = ClaimView(
    phase=ClaimPhase.WINDOW,
    round=0,
    open_disputes=0,
    attested=0,
    drawn=False,
    settled=False,
    submitted_at=100,
    target_block=1_000,
    verifiers=(ME, OTHER),
    segments=(3, 1),
)


@pytest.mark.parametrize(
    ("phase", "bid", "solver", "reveals", "duty"),
    [
        (TaskPhase.BIDDING, Bid.NONE, NOBODY, 0, Duty.COMMIT_BID),
        (TaskPhase.BIDDING, Bid.COMMITTED, NOBODY, 0, None),
        (TaskPhase.REVEALING, Bid.COMMITTED, NOBODY, 0, Duty.REVEAL_BID),
        (TaskPhase.REVEALING, Bid.REVEALED, ME, 1, None),
        (TaskPhase.REVEALING, Bid.NONE, NOBODY, 0, None),
        (TaskPhase.DECIDABLE, Bid.REVEALED, OTHER, 2, Duty.ASSIGN),
        (TaskPhase.DECIDABLE, Bid.NONE, OTHER, 2, None),
        (TaskPhase.DECIDABLE, Bid.COMMITTED, NOBODY, 0, None),
        (TaskPhase.RUNNING, Bid.REVEALED, ME, 1, Duty.TRAIN),
        (TaskPhase.RUNNING, Bid.REVEALED, OTHER, 2, None),
        (TaskPhase.OVERDUE, Bid.REVEALED, ME, 1, None),
        (TaskPhase.SUBMITTED, Bid.REVEALED, ME, 1, None),
        (TaskPhase.FINALISED, Bid.NONE, ME, 1, None),
    ],
)
def test_solver_owes_by_phase_and_bid(phase, bid, solver, reveals, duty) -> None:
    task = replace(TASK, phase=phase, solver=solver, reveals=reveals)
    assert solver_duty(task, ME, bid) is duty


@pytest.mark.parametrize("bid", [Bid.COMMITTED, Bid.REVEALED])
def test_bid_is_free_once_another_runs_or_its_round_is_over(bid: Bid) -> None:
    running = replace(TASK, phase=TaskPhase.RUNNING, solver=OTHER)
    assert is_bid_free(running, ME, 0, bid)
    assert not is_bid_free(replace(running, solver=ME), ME, 0, bid)
    assert not is_bid_free(replace(running, phase=TaskPhase.DECIDABLE), ME, 0, bid)
    assert is_bid_free(replace(TASK, round=1), ME, 0, bid)
    assert not is_bid_free(replace(TASK, round=1), ME, 1, bid)
    assert not is_bid_free(running, ME, 0, Bid.NONE)


@pytest.mark.parametrize(
    ("phase", "reveals", "duty"),
    [
        (TaskPhase.BIDDING, 0, None),
        (TaskPhase.REVEALING, 1, None),
        (TaskPhase.DECIDABLE, 1, Duty.ASSIGN),
        (TaskPhase.DECIDABLE, 0, Duty.VOID),
        (TaskPhase.RUNNING, 1, None),
        (TaskPhase.OVERDUE, 1, Duty.EXPIRE),
        (TaskPhase.SUBMITTED, 1, None),
        (TaskPhase.VACANT, 1, Duty.REFUND),
        (TaskPhase.LAPSED, 1, Duty.REFUND),
        (TaskPhase.FINALISED, 1, None),
        (TaskPhase.REFUNDED, 1, None),
    ],
)
def test_requester_owes_by_phase(phase, reveals, duty) -> None:
    assert requester_duty(replace(TASK, phase=phase, reveals=reveals)) is duty


def test_requester_reopens_as_often_as_it_wants_and_then_takes_its_escrow_back() -> None:
    vacant = replace(TASK, phase=TaskPhase.VACANT)
    assert requester_duty(vacant, rounds=2) is Duty.REOPEN
    assert requester_duty(replace(vacant, round=1), rounds=2) is Duty.REFUND
    assert requester_duty(replace(vacant, phase=TaskPhase.LAPSED), rounds=2) is Duty.REFUND


@pytest.mark.parametrize(
    ("after_target", "drawable"),
    [
        (0, False),  # its hash is not there yet
        (1, True),
        (BLOCKHASHES - 1, True),
        (BLOCKHASHES, False),  # gone in the next block
        (BLOCKHASHES + 1, False),  # the retry itself
        (BLOCKHASHES + 2, True),
        (2 * BLOCKHASHES, True),
        (2 * BLOCKHASHES + 1, False),
    ],
)
def test_claim_is_drawn_only_while_the_hash_is_there_in_the_next_block(
    after_target, drawable
) -> None:
    duty = claim_duty(CLAIM, CLAIM.target_block + after_target, drawn=False)
    assert duty is (Duty.DRAW if drawable else None)
    assert claim_duty(CLAIM, CLAIM.target_block + after_target, drawn=True) is None


def test_claim_is_finalised_when_decided_and_no_dispute_lives() -> None:
    decided = replace(CLAIM, phase=ClaimPhase.DECIDED)
    assert claim_duty(decided, 0, drawn=True) is Duty.FINALISE
    assert claim_duty(replace(decided, open_disputes=1), 0, drawn=True) is None
    for phase in (ClaimPhase.REVEALS, ClaimPhase.FINALISED):
        assert claim_duty(replace(CLAIM, phase=phase), 0, drawn=True) is None


def test_claim_that_fell_is_settled_once() -> None:
    fallen = replace(CLAIM, phase=ClaimPhase.FALLEN)
    assert claim_duty(fallen, 0, drawn=True) is Duty.SETTLE
    assert claim_duty(replace(fallen, settled=True), 0, drawn=True) is None


def verifier_owes(
    claim: ClaimView = CLAIM,
    me: str = ME,
    verdict: Verdict | None = None,
    checks: bool = False,
    attested: bool = False,
    collected: bool = False,
) -> Duty | None:
    return verifier_duty(claim, me, verdict, checks=checks, attested=attested, collected=collected)


def test_verifier_checks_what_it_was_drawn_for_or_checks_anyway() -> None:
    assert verifier_owes() is Duty.CHECK
    assert verifier_owes(me=NOBODY) is None
    assert verifier_owes(me=NOBODY, checks=True) is Duty.CHECK
    assert verifier_owes(replace(CLAIM, phase=ClaimPhase.REVEALS)) is None


def test_verifier_follows_its_verdict_while_the_window_is_open() -> None:
    closed = replace(CLAIM, phase=ClaimPhase.REVEALS)
    assert verifier_owes(verdict=Verdict.AGREED) is Duty.ATTEST
    assert verifier_owes(verdict=Verdict.AGREED, attested=True) is None
    assert verifier_owes(me=NOBODY, checks=True, verdict=Verdict.AGREED) is None
    assert verifier_owes(verdict=Verdict.FALSE) is None
    assert verifier_owes(verdict=Verdict.UNDECIDED) is None
    for verdict in Verdict:
        assert verifier_owes(closed, verdict=verdict) is None


def test_verifier_collects_its_fee_once_for_an_attestation_of_a_final_claim() -> None:
    final = replace(CLAIM, phase=ClaimPhase.FINALISED)
    assert verifier_owes(final, attested=True) is Duty.COLLECT_FEE
    assert verifier_owes(final, attested=True, collected=True) is None
    assert verifier_owes(final) is None
    fallen = replace(CLAIM, phase=ClaimPhase.FALLEN)
    assert verifier_owes(fallen, attested=True) is None
