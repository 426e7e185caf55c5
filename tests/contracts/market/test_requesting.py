"""Posting, cancelling, re-opening and refunding, and the bounds of what may be posted."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from protocol.chain.market import TaskPhase, Terms
from protocol.chain.presets import DAY, DEVNET, MINIMAL
from protocol.chain.stake import WAD, Sampling, compute_bond, compute_required_stake
from tests.contracts.market.world import DEPOSIT, STAKE, TOKEN, ZERO, World

FIELDS = [f.name for f in fields(Terms)]
MAX256 = 2**256 - 1
MAX64 = 2**64 - 1
LONGEST = MINIMAL.market.max_seconds
WINDOW = MINIMAL.market.max_window_seconds


def post_call(world: World, terms: Terms):
    return world.market.functions.post(terms.to_tuple(), "")


def test_post_takes_the_escrow_and_opens_the_bidding(world: World):
    terms = world.terms(verifiers=2, segments_per_verifier=1, verifier_fee=7 * TOKEN)
    receipt = world.do(post_call(world, terms), world.requester)
    posted = world.event(world.market, "TaskPosted", receipt)
    opened = world.event(world.market, "RoundOpened", receipt)
    task_id, now = posted["taskId"], world.chain.now()
    assert tuple(dict(posted["terms"]).values()) == terms.to_tuple()
    assert (opened["bidEnd"], opened["revealEnd"], opened["runEnd"]) == (
        now + 100,
        now + 200,
        now + 1_200,
    )
    assert world.gain(world.requester) == -(1_000 + 2 * 7) * TOKEN
    assert world.phase(task_id) is TaskPhase.BIDDING
    assert Terms(*world.ask(world.market.functions.taskTerms(task_id))) == terms
    world.audit()


def test_post_twice_gives_two_tasks(world: World):
    assert world.post() != world.post()


def test_post_without_credit_for_the_escrow_is_refused(world: World):
    poor = world.chain.accounts[19]
    need = 1_000 * TOKEN
    world.refuses(post_call(world, world.terms()), poor, "InsufficientCredit", poor, need, 0)


@pytest.mark.parametrize(
    ("changes", "field", "minimum", "maximum"),
    [
        ({"program_root": b"\0" * 32}, "program_root", 1, MAX256),
        ({"data_root": b"\0" * 32}, "data_root", 1, MAX256),
        ({"initial_state_root": b"\0" * 32}, "initial_state_root", 1, MAX256),
        ({"manifest_root": b"\0" * 32}, "manifest_root", 1, MAX256),
        ({"steps": 0}, "steps", 1, MAX64),
        ({"interval": 0}, "interval", 1, MAX64),
        ({"steps": 2**32, "interval": 1}, "interval", 2, MAX64),
        ({"node_count": 0}, "node_count", 1, 65_536),
        ({"node_count": 65_537}, "node_count", 1, 65_536),
        ({"state_count": 0}, "state_count", 1, 65_536),
        ({"state_count": 65_537}, "state_count", 1, 65_536),
        ({"data_count": 65_537}, "data_count", 0, 65_536),
        ({"max_reward": 0}, "max_reward", 1, 2**128 - 1),
        ({"verifiers": 17, "segments_per_verifier": 1}, "verifiers", 0, 16),
        ({"segments_per_verifier": 1}, "segments_per_verifier", 0, 0),
        ({"verifiers": 1, "segments_per_verifier": 0}, "segments_per_verifier", 1, 4),
        ({"verifiers": 1, "segments_per_verifier": 5}, "segments_per_verifier", 1, 4),
        ({"bid_seconds": 0}, "bid_seconds", 1, LONGEST),
        ({"reveal_seconds": 0}, "reveal_seconds", 1, LONGEST),
        ({"run_seconds": 0}, "run_seconds", 1, LONGEST),
        ({"window_seconds": 0}, "window_seconds", 1, WINDOW),
        ({"segment_seconds": 0}, "segment_seconds", 1, LONGEST),
        ({"trace_seconds": 0}, "trace_seconds", 1, LONGEST),
        ({"bid_seconds": LONGEST + 1}, "bid_seconds", 1, LONGEST),
        ({"window_seconds": MAX64}, "window_seconds", 1, WINDOW),
        ({"trace_seconds": LONGEST + 1}, "trace_seconds", 1, LONGEST),
    ],
)
def test_post_of_a_term_out_of_bounds_names_the_term(
    world: World, changes, field, minimum, maximum
):
    # P08
    terms = world.terms(**changes)
    value = getattr(terms, field)
    value = int.from_bytes(value) if isinstance(value, bytes) else value
    refusal = ("TermOutOfBounds", FIELDS.index(field), minimum, maximum, value)
    world.refuses(post_call(world, terms), world.requester, *refusal)


def test_post_of_more_segments_than_can_be_drawn_is_refused(world: World):
    terms = world.terms(steps=1_000, interval=1, verifiers=16, segments_per_verifier=5)
    index = FIELDS.index("segments_per_verifier")
    world.refuses(post_call(world, terms), world.requester, "TermOutOfBounds", index, 1, 4, 5)
    world.post(replace(terms, segments_per_verifier=4))


@pytest.mark.parametrize(
    "changes",
    [
        {"steps": 1, "interval": MAX64},
        {"steps": MAX64, "interval": 2**32 + 1},
        {"steps": 2**32 - 1, "interval": 1},
        {"data_count": 0, "data_root": b"\0" * 32},
        {"value_at_risk": 2**128 - 1},
        {"window_seconds": WINDOW},
    ],
)
def test_post_at_the_bounds_works(world: World, changes):
    # P27: nothing overflows at the largest values.
    world.post(world.terms(**changes))


def test_post_without_any_detection_is_refused_by_a_deployment_without_open_checks(world: World):
    strict = World(world.chain, DEVNET)
    terms = strict.terms(verifiers=2, segments_per_verifier=1)
    call = post_call(strict, terms)
    # Nobody is staked yet: no verifier can be drawn, no stake would deter.
    refusal = ("NoDetection", 0, 1, WAD // 2, 0)
    strict.refuses(call, strict.requester, *refusal)
    strict.do(strict.registry.functions.stake(1_000 * TOKEN), strict.verifiers[0])
    strict.do(call, strict.requester)


@pytest.mark.parametrize("staked", [0, 1, 2, 3, 5])
def test_required_stake_counts_only_verifiers_that_can_be_drawn(world: World, staked):
    world.stake_verifiers(*[100 * TOKEN] * staked)
    terms = world.terms(
        steps=100, interval=1, verifiers=3, segments_per_verifier=2, value_at_risk=500 * TOKEN
    )
    constants = world.preset.market
    sampling = Sampling(100, 2, min(staked, 3), constants.honest_wad, constants.open_check_wad)
    cost = terms.max_reward // 100
    stake = compute_required_stake(
        sampling, cost, terms.value_at_risk, terms.max_reward, constants.challenger_wad
    )
    bond = compute_bond(cost, stake, constants.bond_rates)
    quote = world.ask(world.market.functions.quote(terms.to_tuple()))
    assert quote == [stake, DEPOSIT, bond, stake // 8]
    assert world.task(world.post(terms)).required_stake == stake


def test_cancel_returns_the_escrow(world: World):
    task_id = world.post()
    receipt = world.do(world.market.functions.cancel(task_id), world.requester)
    assert world.event(world.market, "TaskRefunded", receipt)["amount"] == 1_000 * TOKEN
    assert world.phase(task_id) is TaskPhase.REFUNDED
    world.assert_settled()
    again = world.market.functions.cancel(task_id)
    phases = (TaskPhase.BIDDING, TaskPhase.REFUNDED)
    world.refuses(again, world.requester, "WrongPhase", task_id, *phases)


def test_cancel_of_a_task_without_bids_works_after_the_bidding_too(world: World):
    task_id = world.post()
    world.pass_to(world.task(task_id).reveal_end + 500)
    world.do(world.market.functions.cancel(task_id), world.requester)
    world.assert_settled()


def test_cancel_with_a_bid_or_by_a_stranger_is_refused(world: World):
    task_id = world.post()
    fn = world.market.functions.cancel(task_id)
    world.refuses(fn, world.stranger, "NotRequester", world.stranger, world.requester)
    world.commit(task_id, world.solvers[0], 5)
    world.refuses(fn, world.requester, "BidsCommitted", task_id, 1)


def vacant(world: World) -> bytes:
    """A task whose solver did not show up."""
    task_id = world.assigned()
    world.pass_to(world.task(task_id).run_end)
    world.do(world.market.functions.expire(task_id))
    return task_id


def test_reopen_starts_a_new_round_on_the_same_escrow(world: World):
    task_id = vacant(world)
    escrow = world.ask(world.vault.functions.pots(world.market.address, task_id))
    receipt = world.do(world.market.functions.reopen(task_id), world.requester)
    assert world.event(world.market, "RoundOpened", receipt)["round"] == 1
    task = world.task(task_id)
    assert (task.phase, task.round) == (TaskPhase.BIDDING, 1)
    assert (task.solver, task.commits, task.reveals, task.price) == (ZERO, 0, 0, 0)
    assert (task.claim_id, task.reported_size) == (b"\0" * 32, 0)
    assert (task.bid_end, task.required_stake) == (world.chain.now() + 100, STAKE)
    assert escrow == world.ask(world.vault.functions.pots(world.market.address, task_id))
    world.auction(task_id, 5, 6)
    world.do(world.market.functions.assign(task_id))
    world.finalise(world.submit(task_id))
    for bidder in world.solvers[1:2]:
        world.do(world.market.functions.reclaim(task_id, 1, bidder))
    world.assert_settled()


def test_reopen_does_not_lose_the_losers_of_the_round_before(world: World):
    task_id = world.assigned(prices=(5, 6))
    world.pass_to(world.task(task_id).run_end)
    world.do(world.market.functions.expire(task_id))
    world.do(world.market.functions.reopen(task_id), world.requester)
    loser = world.solvers[1]
    world.do(world.market.functions.reclaim(task_id, 0, loser))
    assert world.gain(loser) == 0
    # A bid of an earlier round cannot be revealed in this one.
    world.pass_to(world.task(task_id).bid_end)
    fn = world.market.functions.revealBid(task_id, 6, b"\x07" * 32)
    world.refuses(fn, loser, "NoSuchBid", task_id, 1, loser)


def test_reopen_by_a_stranger_or_of_a_task_that_is_not_vacant_is_refused(world: World):
    task_id = vacant(world)
    fn = world.market.functions.reopen(task_id)
    world.refuses(fn, world.stranger, "NotRequester", world.stranger, world.requester)
    world.do(fn, world.requester)
    phases = (TaskPhase.VACANT, TaskPhase.BIDDING)
    world.refuses(fn, world.requester, "WrongPhase", task_id, *phases)


@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_reopen_around_its_deadline_works_only_before_it(world: World, offset):
    task_id = vacant(world)
    at = world.task(task_id).reopen_end + offset
    fn = world.market.functions.reopen(task_id)
    if offset < 0:
        world.do(fn, world.requester, at=at)
    else:
        phases = (TaskPhase.VACANT, TaskPhase.LAPSED)
        world.refuses(fn, world.requester, "WrongPhase", task_id, *phases, at=at)


@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_refund_by_a_stranger_around_the_deadline_works_only_from_it(world: World, offset):
    # P24: nothing is stuck when the requester is gone.
    task_id = vacant(world)
    end = world.task(task_id).reopen_end
    fn = world.market.functions.refund(task_id)
    if offset < 0:
        at = end + offset
        world.refuses(fn, world.stranger, "ReopenTimeRuns", task_id, end, at, at=at)
    else:
        world.do(fn, world.stranger, at=end + offset)
        world.assert_settled()


def test_refund_by_the_requester_works_at_once_and_only_once(world: World):
    task_id = vacant(world)
    fn = world.market.functions.refund(task_id)
    world.do(fn, world.requester)
    world.assert_settled()
    phases = (TaskPhase.VACANT, TaskPhase.REFUNDED)
    world.refuses(fn, world.requester, "WrongPhase", task_id, *phases)


@pytest.mark.parametrize(
    ("field", "value", "minimum", "maximum"),
    [
        ("open_reveal_seconds", 0, 1, 365 * DAY),
        ("max_window_seconds", LONGEST + 1, 1, LONGEST),
        ("draw_delay_blocks", 1, 2, 256),  # P16
        ("honest_wad", WAD + 1, 0, WAD),
        ("challenger_wad", WAD // 2 + 1, 1, WAD // 2),
        ("requester_wad", WAD // 4 + 1, 0, WAD // 4),  # P13: at least half burns
        ("deposit_wad", 0, 1, WAD),
        ("no_show_wad", WAD // 10 - 1, WAD // 10, WAD),
        ("clock_miss_wad", WAD // 2 + 1, 0, WAD // 2),
    ],
)
def test_deployment_with_a_constant_out_of_bounds_is_refused(
    world: World, field, value, minimum, maximum
):
    constants = replace(MINIMAL.market, **{field: value})
    index = list(vars(constants)).index(field)
    with pytest.raises(Exception, match="ConstantOutOfBounds") as caught:
        world.chain.deploy("Market", ZERO, ZERO, ZERO, constants.to_tuple())
    assert caught.value.arguments == (index, minimum, maximum, value)


def test_views_of_an_unknown_task_are_refused(world: World):
    unknown = b"\x01" * 32
    market = world.market.functions
    for fn in (
        market.taskView(unknown),
        market.taskTerms(unknown),
        market.requesterOf(unknown),
        market.refund(unknown),
        market.reclaim(unknown, 0, ZERO),
    ):
        world.refuses(fn, None, "UnknownTask", unknown)


def test_anyone_announces_and_takes_back_where_it_serves_files(world: World):
    for url in ("https://solver.example.org:8600/", ""):
        receipt = world.do(world.market.functions.announceStore(url), world.requester)
        event = world.event(world.market, "StoreAnnounced", receipt)
        assert (event["account"], event["url"]) == (world.requester, url)
