"""Sealed bids, the second price, and what every bidder gets back."""

from __future__ import annotations

import pytest

from protocol.chain.market import TaskPhase
from tests.contracts.market.world import DEPOSIT, SALT, STAKE, TOKEN, WEALTH, World


def test_commit_bid_takes_stake_and_deposit(world: World):
    task_id = world.post()
    task = world.task(task_id)
    assert (task.required_stake, task.deposit) == (STAKE, DEPOSIT)
    receipt = world.commit(task_id, world.solvers[0], 5)
    assert world.gain(world.solvers[0]) == -STAKE - DEPOSIT
    event = world.event(world.market, "BidCommitted", receipt)
    assert (event["bidder"], event["round"]) == (world.solvers[0], 0)
    assert world.task(task_id).commits == 1
    world.audit()


def test_commit_bid_without_enough_credit_names_both_amounts(world: World):
    task_id = world.post()
    poor = world.solvers[0]
    world.do(world.vault.functions.withdraw(poor, WEALTH - TOKEN), poor)
    world.refuses(
        world.market.functions.commitBid(task_id, SALT),
        poor,
        "InsufficientCredit",
        poor,
        STAKE + DEPOSIT,
        TOKEN,
    )


def test_commit_bid_twice_is_refused(world: World):
    task_id = world.post()
    bidder = world.solvers[0]
    world.commit(task_id, bidder, 5)
    again = world.market.functions.commitBid(task_id, SALT)
    world.refuses(again, bidder, "AlreadyCommitted", task_id, 0, bidder)


@pytest.mark.parametrize("commitment", [b"\0" * 32, b"\xff" * 32])
def test_commit_bid_with_a_reserved_commitment_is_refused(world: World, commitment):
    task_id = world.post()
    fn = world.market.functions.commitBid(task_id, commitment)
    world.refuses(fn, world.solvers[0], "EmptyCommitment")


def test_commit_bid_on_an_unknown_task_is_refused(world: World):
    fn = world.market.functions.commitBid(b"\x09" * 32, SALT)
    world.refuses(fn, world.solvers[0], "UnknownTask", b"\x09" * 32)


@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_commit_bid_around_the_deadline_works_only_before_it(world: World, offset):
    # P18
    task_id = world.post()
    end = world.task(task_id).bid_end
    fn = world.market.functions.commitBid(task_id, SALT)
    if offset < 0:
        world.do(fn, world.solvers[0], at=end + offset)
    else:
        phases = (TaskPhase.BIDDING, TaskPhase.REVEALING)
        world.refuses(fn, world.solvers[0], "WrongPhase", task_id, *phases, at=end + offset)


@pytest.mark.parametrize(
    ("end", "offset", "phase"),
    [
        ("bid_end", -1, TaskPhase.BIDDING),
        ("bid_end", 0, TaskPhase.REVEALING),
        ("bid_end", 1, TaskPhase.REVEALING),
        ("reveal_end", -1, TaskPhase.REVEALING),
        ("reveal_end", 0, TaskPhase.DECIDABLE),
        ("reveal_end", 1, TaskPhase.DECIDABLE),
    ],
)
def test_reveal_bid_around_its_deadlines_works_only_between(world: World, end, offset, phase):
    # P18
    task_id = world.post()
    bidder = world.solvers[0]
    world.commit(task_id, bidder, 5)
    at = getattr(world.task(task_id), end) + offset
    if phase is TaskPhase.REVEALING:
        world.reveal(task_id, bidder, 5, at=at)
        assert world.gain(bidder) == -STAKE  # the deposit is back
    else:
        fn = world.market.functions.revealBid(task_id, 5, SALT)
        world.refuses(fn, bidder, "WrongPhase", task_id, TaskPhase.REVEALING, phase, at=at)


def test_reveal_bid_with_another_price_or_salt_is_refused(world: World):
    task_id = world.post()
    bidder = world.solvers[0]
    world.commit(task_id, bidder, 5)
    world.pass_to(world.task(task_id).bid_end)
    sealed = world.commitment(task_id, bidder, 5)
    for price, salt in [(6, SALT), (5, b"\x08" * 32)]:
        opened = world.commitment(task_id, bidder, price, salt)
        fn = world.market.functions.revealBid(task_id, price, salt)
        world.refuses(fn, bidder, "CommitmentMismatch", sealed, opened)


def test_reveal_bid_of_a_copied_commitment_is_refused(world: World):
    # P06: the commitment binds the bidder.
    task_id = world.post()
    author, copier = world.solvers[:2]
    copied = world.commitment(task_id, author, 5)
    world.commit(task_id, author, 5)
    world.do(world.market.functions.commitBid(task_id, copied), copier)
    world.pass_to(world.task(task_id).bid_end)
    own = world.commitment(task_id, copier, 5)
    fn = world.market.functions.revealBid(task_id, 5, SALT)
    world.refuses(fn, copier, "CommitmentMismatch", copied, own)


def test_reveal_bid_above_the_maximum_is_refused(world: World):
    task_id = world.post()
    bidder = world.solvers[0]
    too_much = 1_000 * TOKEN + 1
    world.commit(task_id, bidder, too_much)
    world.pass_to(world.task(task_id).bid_end)
    fn = world.market.functions.revealBid(task_id, too_much, SALT)
    world.refuses(fn, bidder, "PriceAboveMaximum", 1_000 * TOKEN, too_much)


def test_reveal_bid_above_128_bits_is_refused(world: World):
    # P17: the price is narrowed only after the comparison.
    task_id = world.post()
    bidder = world.solvers[0]
    world.commit(task_id, bidder, 2**128 + 1)
    world.pass_to(world.task(task_id).bid_end)
    fn = world.market.functions.revealBid(task_id, 2**128 + 1, SALT)
    world.refuses(fn, bidder, "PriceAboveMaximum", 1_000 * TOKEN, 2**128 + 1)


def test_reveal_bid_twice_or_without_a_bid_is_refused(world: World):
    task_id = world.post()
    bidder, stranger = world.solvers[0], world.stranger
    world.commit(task_id, bidder, 5)
    world.pass_to(world.task(task_id).bid_end)
    world.reveal(task_id, bidder, 5)
    fn = world.market.functions.revealBid(task_id, 5, SALT)
    world.refuses(fn, bidder, "AlreadyRevealed", task_id, 0, bidder)
    world.refuses(fn, stranger, "NoSuchBid", task_id, 0, stranger)
    assert world.ask(world.market.functions.bidOf(task_id, 0, bidder)) == [b"\0" * 32, True]


@pytest.mark.parametrize(
    ("prices", "winner", "price"),
    [
        ((7,), 0, 1_000 * TOKEN),  # alone: the reserve
        ((7, 9), 0, 9),
        ((9, 7), 1, 9),
        ((9, 7, 8), 1, 8),
        ((7, 8, 9), 0, 8),
        ((9, 8, 7), 2, 8),
        ((7, 7, 9), 0, 7),  # of equal prices the earlier reveal
        ((0, 0), 0, 0),
    ],
)
def test_assign_gives_the_lowest_bidder_the_second_price(world: World, prices, winner, price):
    task_id = world.post()
    world.auction(task_id, *prices)
    receipt = world.do(world.market.functions.assign(task_id))
    task = world.task(task_id)
    assert (task.solver, task.price) == (world.solvers[winner], price)
    assert task.phase is TaskPhase.RUNNING
    assert world.event(world.market, "TaskAssigned", receipt)["price"] == price


def test_assign_does_not_count_unrevealed_bids(world: World):
    task_id = world.post()
    low, high = world.solvers[:2]
    world.commit(task_id, low, 1)
    world.commit(task_id, high, 9)
    world.pass_to(world.task(task_id).bid_end)
    world.reveal(task_id, high, 9)
    world.pass_to(world.task(task_id).reveal_end)
    world.do(world.market.functions.assign(task_id))
    task = world.task(task_id)
    assert (task.solver, task.price) == (high, 1_000 * TOKEN)


@pytest.mark.parametrize("move", ["assign", "void"])
@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_decision_around_the_end_of_reveals_works_only_from_it(world: World, move, offset):
    task_id = world.post()
    if move == "assign":
        world.commit(task_id, world.solvers[0], 5)
        world.pass_to(world.task(task_id).bid_end)
        world.reveal(task_id, world.solvers[0], 5)
    end = world.task(task_id).reveal_end
    fn = world.market.functions[move](task_id)
    if offset < 0:
        phases = (TaskPhase.DECIDABLE, TaskPhase.REVEALING)
        world.refuses(fn, None, "WrongPhase", task_id, *phases, at=end + offset)
    else:
        world.do(fn, at=end + offset)


def test_assign_twice_is_refused(world: World):
    # I7
    task_id = world.assigned()
    fn = world.market.functions.assign(task_id)
    world.refuses(fn, None, "WrongPhase", task_id, TaskPhase.DECIDABLE, TaskPhase.RUNNING)


def test_assign_without_a_reveal_and_void_with_one_are_refused(world: World):
    first, second = world.post(), world.post()
    world.commit(second, world.solvers[0], 5)
    world.pass_to(world.task(second).bid_end)
    world.reveal(second, world.solvers[0], 5)
    world.pass_to(world.task(second).reveal_end)
    world.refuses(world.market.functions.assign(first), None, "WrongReveals", first, 0)
    world.refuses(world.market.functions.void(second), None, "WrongReveals", second, 1)


def test_reclaim_frees_a_loser_once_and_by_anyone(world: World):
    task_id = world.assigned(prices=(5, 6))
    loser = world.solvers[1]
    fn = world.market.functions.reclaim(task_id, 0, loser)
    world.do(fn, world.stranger)
    assert world.gain(loser) == 0
    world.refuses(fn, loser, "NoSuchBid", task_id, 0, loser)
    world.audit()


def test_reclaim_burns_the_deposit_of_an_unrevealed_bid(world: World):
    task_id = world.post()
    silent, winner = world.solvers[:2]
    world.commit(task_id, silent, 5)
    world.commit(task_id, winner, 6)
    world.pass_to(world.task(task_id).bid_end)
    world.reveal(task_id, winner, 6)
    world.pass_to(world.task(task_id).reveal_end)
    world.do(world.market.functions.assign(task_id))
    receipt = world.do(world.market.functions.reclaim(task_id, 0, silent))
    event = world.event(world.market, "BidReclaimed", receipt)
    assert (event["returned"], event["burned"]) == (STAKE, DEPOSIT)
    assert world.gain(silent) == -DEPOSIT
    assert world.burned() == DEPOSIT
    world.audit()


def test_reclaim_before_the_decision_is_refused(world: World):
    task_id = world.post()
    bidder = world.solvers[0]
    world.commit(task_id, bidder, 5)
    fn = world.market.functions.reclaim(task_id, 0, bidder)
    wrong = ("WrongPhase", task_id, TaskPhase.RUNNING)
    world.refuses(fn, bidder, *wrong, TaskPhase.BIDDING)
    world.pass_to(world.task(task_id).bid_end)
    world.refuses(fn, bidder, *wrong, TaskPhase.REVEALING)
    world.pass_to(world.task(task_id).reveal_end)
    world.refuses(fn, bidder, *wrong, TaskPhase.DECIDABLE)


def test_reclaim_of_the_winner_is_refused_while_its_stake_can_be_slashed(world: World):
    # I9
    task_id = world.assigned(prices=(5, 6))
    winner = world.solvers[0]
    fn = world.market.functions.reclaim(task_id, 0, winner)
    world.refuses(fn, winner, "StakeBound", task_id, 0, winner)
    claim_id = world.submit(task_id)
    world.refuses(fn, winner, "StakeBound", task_id, 0, winner)
    world.finalise(claim_id)
    world.refuses(fn, winner, "NoSuchBid", task_id, 0, winner)
