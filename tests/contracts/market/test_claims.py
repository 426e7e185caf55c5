"""Attesting, finalising, collecting, counting disputes, and the fall of a claim."""

from __future__ import annotations

import pytest

from protocol.chain.market import ClaimPhase, TaskPhase
from tests.contracts.market.world import STAKE, TOKEN, ZERO, World

FEE = 7 * TOKEN
MINIMUM = 100 * TOKEN


def verified_terms(world: World, verifiers: int = 2):
    return world.terms(verifiers=verifiers, segments_per_verifier=1, verifier_fee=FEE)


def drawn(world: World, staked: int = 3, verifiers: int = 2) -> tuple[bytes, bytes]:
    world.stake_verifiers(*[MINIMUM] * staked)
    task_id, claim_id = world.submitted(verified_terms(world, verifiers))
    world.draw(claim_id)
    return task_id, claim_id


# --- attest -------------------------------------------------------------------------------------


def test_attest_by_a_drawn_verifier_counts_once(world: World):
    _, claim_id = drawn(world)
    verifier = world.claim(claim_id).verifiers[1]
    fn = world.claims.functions.attest(claim_id)
    world.do(fn, verifier)
    assert world.claim(claim_id).attested == 1
    world.refuses(fn, verifier, "AlreadyAttested", claim_id, verifier)


def test_attest_by_a_verifier_that_was_not_drawn_is_refused(world: World):
    _, claim_id = drawn(world)
    (other,) = set(world.verifiers[:3]) - set(world.claim(claim_id).verifiers)
    fn = world.claims.functions.attest(claim_id)
    world.refuses(fn, other, "NotDrawn", claim_id, other)


def test_attest_before_the_draw_is_refused(world: World):
    world.stake_verifiers(MINIMUM)
    _, claim_id = world.submitted(verified_terms(world))
    fn = world.claims.functions.attest(claim_id)
    world.refuses(fn, world.verifiers[0], "NotDrawn", claim_id, world.verifiers[0])


@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_attest_around_the_end_of_the_window_works_only_before_it(world: World, offset):
    # P18
    _, claim_id = drawn(world)
    verifier = world.claim(claim_id).verifiers[0]
    fn = world.claims.functions.attest(claim_id)
    at = world.window_end(claim_id) + offset
    if offset < 0:
        world.do(fn, verifier, at=at)
    else:
        phases = (ClaimPhase.WINDOW, ClaimPhase.REVEALS)
        world.refuses(fn, verifier, "WrongClaimPhase", claim_id, *phases, at=at)


# --- finalise and collect -----------------------------------------------------------------------


@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_finalise_around_the_end_of_reveals_works_only_from_it(world: World, offset):
    _, claim_id = world.submitted()
    fn = world.claims.functions.finalise(claim_id)
    at = world.facts(claim_id)["revealEnd"] + offset
    if offset < 0:
        phases = (ClaimPhase.DECIDED, ClaimPhase.REVEALS)
        world.refuses(fn, None, "WrongClaimPhase", claim_id, *phases, at=at)
    else:
        world.do(fn, at=at)


def test_finalise_pays_solver_and_requester_and_the_verifiers_pull(world: World):
    task_id, claim_id = drawn(world)
    first, second = world.claim(claim_id).verifiers
    world.do(world.claims.functions.attest(claim_id), first)
    world.finalise(claim_id)
    # Alone, the solver earns the reserve; the verifier that was silent earns nothing.
    assert world.phase(task_id) is TaskPhase.FINALISED
    assert world.gain(world.solvers[0]) == 1_000 * TOKEN
    assert world.gain(world.requester) == -1_000 * TOKEN - FEE
    collect = world.claims.functions.collectFee
    world.do(collect(claim_id, first), world.stranger)
    assert world.gain(first) == FEE - MINIMUM
    world.refuses(collect(claim_id, first), None, "NothingToCollect", claim_id, first)
    world.refuses(collect(claim_id, second), None, "NothingToCollect", claim_id, second)
    stranger = world.stranger
    world.refuses(collect(claim_id, stranger), None, "NotDrawn", claim_id, stranger)
    assert world.pots() == 3 * MINIMUM  # only the verifiers' stakes
    world.audit()


def test_finalise_twice_is_refused(world: World):
    # I7
    _, claim_id = world.submitted()
    world.finalise(claim_id)
    fn = world.claims.functions.finalise(claim_id)
    phases = (ClaimPhase.DECIDED, ClaimPhase.FINALISED)
    world.refuses(fn, None, "WrongClaimPhase", claim_id, *phases)


def test_collect_fee_before_the_end_is_refused(world: World):
    _, claim_id = drawn(world)
    verifier = world.claim(claim_id).verifiers[0]
    world.do(world.claims.functions.attest(claim_id), verifier)
    fn = world.claims.functions.collectFee(claim_id, verifier)
    phases = (ClaimPhase.FINALISED, ClaimPhase.WINDOW)
    world.refuses(fn, verifier, "WrongClaimPhase", claim_id, *phases)


def test_finalise_costs_the_same_however_many_bids_there_were(world: World):
    # P09: O(1).
    costs = []
    for prices in [(5,), (5, 6, 7)]:
        _, claim_id = world.submitted(prices=prices)
        world.pass_to(world.facts(claim_id)["revealEnd"])
        costs.append(world.do(world.claims.functions.finalise(claim_id))["gasUsed"])
    # A price below the reserve is paid and the rest returned: at most two more writes.
    assert abs(costs[0] - costs[1]) < 50_000


# --- disputes -----------------------------------------------------------------------------------


def test_finalise_waits_for_live_disputes(world: World):
    # X13
    _, claim_id = world.submitted()
    for _ in range(2):
        world.do(world.dispute.functions.open(claim_id))
    world.pass_to(world.facts(claim_id)["revealEnd"])
    fn = world.claims.functions.finalise(claim_id)
    for live in (2, 1):
        world.refuses(fn, None, "DisputesOpen", claim_id, live)
        world.do(world.dispute.functions.close(claim_id))
    world.refuses(world.dispute.functions.close(claim_id), None, "NoOpenDispute", claim_id)
    world.do(fn)


@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_dispute_opened_around_the_end_of_reveals_works_only_before_it(world: World, offset):
    _, claim_id = world.submitted()
    end = world.facts(claim_id)["revealEnd"]
    fn = world.dispute.functions.open(claim_id)
    at = end + offset
    if offset < 0:
        world.do(fn, at=at)
        assert world.claim(claim_id).open_disputes == 1
    else:
        world.refuses(fn, None, "RevealsClosed", claim_id, end, at, at=at)


def test_dispute_of_a_closed_claim_is_refused(world: World):
    _, fallen = world.submitted()
    world.convict(fallen, world.challenger)
    _, final = world.submitted()
    world.finalise(final)
    for claim_id in (fallen, final):
        fn = world.dispute.functions.open(claim_id)
        world.refuses(fn, None, "ClaimClosed", claim_id)
        assert not world.ask(world.claims.functions.isDisputable(claim_id))
    assert world.ask(world.claims.functions.isFallen(fallen))
    assert not world.ask(world.claims.functions.isFallen(final))


def test_settle_of_a_claim_that_has_not_fallen_is_refused(world: World):
    # P28: nobody touches a stake without a verdict.
    _, claim_id = world.submitted()
    wrong = ("WrongClaimPhase", claim_id, ClaimPhase.FALLEN, ClaimPhase.WINDOW)
    world.refuses(world.claims.functions.settle(claim_id), world.requester, *wrong)


@pytest.mark.parametrize("move", ["disputeOpened", "disputeClosed"])
def test_dispute_counters_are_the_dispute_contracts_alone(world: World, move):
    # P28
    _, claim_id = world.submitted()
    fn = world.claims.functions[move](claim_id)
    callers = (world.stranger, world.chain.accounts[0])
    for caller in callers:
        world.refuses(fn, caller, "NotDispute", caller, world.dispute.address)


def test_convict_and_settlements_by_a_stranger_are_refused(world: World):
    # P28: nobody slashes but a lost dispute.
    task_id, claim_id = world.submitted()
    who = world.stranger
    fn = world.claims.functions.convict(claim_id, who)
    world.refuses(fn, who, "NotDispute", who, world.dispute.address)
    market = world.market.functions
    for fn in (
        market.settleFallen(task_id, who),
        market.settleFinalised(task_id, 0),
        market.settleFee(task_id, who),
    ):
        world.refuses(fn, who, "NotClaims", who, world.claims.address)
    facts = (b"\1" * 32, who, 0, b"\1" * 32, b"\1" * 32, 1, 1, 1, 1)
    fn = world.claims.functions.openClaim(claim_id, facts)
    world.refuses(fn, who, "NotMarket", who, world.market.address)


# --- the fall -----------------------------------------------------------------------------------


def test_convict_moves_no_money_and_settle_splits_the_stake_once(world: World):
    # I7, I9, X14
    task_id, claim_id = world.submitted()
    world.do(world.dispute.functions.convict(claim_id, world.challenger))
    assert world.claim(claim_id).phase is ClaimPhase.FALLEN
    assert world.phase(task_id) is TaskPhase.SUBMITTED
    assert (world.gain(world.challenger), world.burned()) == (0, 0)
    receipt = world.settle(claim_id)
    quarter = STAKE // 4
    event = world.event(world.claims, "ClaimSettled", receipt)
    split = (event["toChallenger"], event["toRequester"], event["burned"])
    # The requester's quarter is capped at the price of 1,000.
    assert split == (quarter, 1_000 * TOKEN, STAKE - quarter - 1_000 * TOKEN)
    assert world.gain(world.challenger) == quarter
    assert world.gain(world.requester) == 0  # its escrow of 1,000 is still held
    assert world.gain(world.solvers[0]) == -STAKE
    before = world.burned()
    world.convict(claim_id, world.stranger)
    assert (world.gain(world.stranger), world.burned()) == (0, before)
    world.refuses(world.claims.functions.settle(claim_id), None, "AlreadySettled", claim_id)
    assert world.phase(task_id) is TaskPhase.VACANT
    assert world.claim(claim_id).phase is ClaimPhase.FALLEN
    world.audit()


def test_convict_without_a_beneficiary_burns_its_share(world: World):
    _, claim_id = world.submitted()
    world.convict(claim_id, ZERO)
    assert world.burned() == STAKE - 1_000 * TOKEN
    world.audit()


@pytest.mark.parametrize("price", [1, 999 * TOKEN])
def test_convict_burns_at_least_half_and_caps_the_requester_at_the_price(world: World, price):
    # P13: what is burned is all that a self-conviction loses for certain.
    task_id, claim_id = world.submitted(prices=(0, price))
    world.convict(claim_id, world.solvers[2])
    assert world.task(task_id).price == price
    to_requester = world.gain(world.requester) + 1_000 * TOKEN
    assert to_requester == min(price, STAKE // 4)
    assert world.gain(world.solvers[2]) == STAKE // 4
    assert world.burned() == STAKE - STAKE // 4 - to_requester
    assert 2 * world.burned() >= STAKE
    # Solver, puppet challenger and requester together:
    assert 2 * (STAKE - STAKE // 4 - to_requester) >= STAKE


def test_convict_of_a_finalised_claim_changes_nothing(world: World):
    _, claim_id = world.submitted()
    world.finalise(claim_id)
    world.convict(claim_id, world.challenger)
    assert world.claim(claim_id).phase is ClaimPhase.FINALISED
    world.assert_settled()


def test_finalise_draw_and_attest_of_a_fallen_claim_are_refused(world: World):
    _, claim_id = drawn(world)
    verifier = world.claim(claim_id).verifiers[0]
    world.convict(claim_id, world.challenger)
    world.chain.advance(5_000)
    claims = world.claims.functions
    for fn, expected in (
        (claims.finalise(claim_id), ClaimPhase.DECIDED),
        (claims.draw(claim_id), ClaimPhase.WINDOW),
        (claims.attest(claim_id), ClaimPhase.WINDOW),
        (claims.collectFee(claim_id, verifier), ClaimPhase.FINALISED),
    ):
        wrong = ("WrongClaimPhase", claim_id, expected, ClaimPhase.FALLEN)
        world.refuses(fn, verifier, *wrong)


def test_old_dispute_never_touches_the_reopened_task(world: World):
    # X14, P25: a dispute of round 0 is still open and is even won again in round 1.
    task_id, old = world.submitted()
    for _ in range(2):
        world.do(world.dispute.functions.open(old))
    world.convict(old, world.challenger)
    world.do(world.dispute.functions.close(old))
    world.do(world.market.functions.reopen(task_id), world.requester)
    world.auction(task_id, 5)
    world.do(world.market.functions.assign(task_id))
    new = world.submit(task_id)
    assert new != old
    world.convict(old, world.challenger)
    world.do(world.dispute.functions.close(old))
    assert world.claim(new).open_disputes == 0
    world.finalise(new)
    # One stake was lost, one reward earned.
    assert world.gain(world.solvers[0]) == 1_000 * TOKEN - STAKE
    world.assert_settled()


def test_stake_is_out_of_reach_until_the_claim_ends(world: World):
    # I9: bound from the bid to the end, through every phase of the claim.
    task_id, claim_id = world.submitted()
    solver = world.solvers[0]
    reclaim = world.market.functions.reclaim(task_id, 0, solver)
    facts = world.facts(claim_id)
    for time in (facts["windowEnd"], facts["revealEnd"], facts["revealEnd"] + 10_000):
        world.pass_to(time)
        world.refuses(reclaim, solver, "StakeBound", task_id, 0, solver)
        fn = world.vault.functions.withdraw(solver, world.credit(solver) + 1)
        has = world.credit(solver)
        world.refuses(fn, solver, "InsufficientCredit", solver, has + 1, has)
    world.do(world.claims.functions.finalise(claim_id))
    assert world.gain(solver) == 1_000 * TOKEN


def test_unknown_claims_are_refused(world: World):
    unknown = b"\x03" * 32
    claims, dispute = world.claims.functions, world.dispute.functions
    for fn in (
        claims.claimFacts(unknown),
        claims.claimView(unknown),
        claims.finalise(unknown),
        dispute.open(unknown),
        dispute.close(unknown),
        dispute.convict(unknown, ZERO),
    ):
        world.refuses(fn, None, "UnknownClaim", unknown)
    assert not world.ask(claims.isDisputable(unknown))
    assert not world.ask(claims.isDrawn(unknown, 1, ZERO))
