"""Every end of a task: what came in went out or was burned, and every pot is empty (I3, P24).

Each case plays a whole life with other people's money in the vault, then lets everybody pull.
"""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from protocol.chain.market import TaskPhase, Terms
from protocol.chain.reverts import Reverted
from tests.contracts.market.world import SALT, STAKE, TOKEN, ZERO, World

FEE = 7 * TOKEN
REWARD = 1_000 * TOKEN
VERIFIER_STAKE = 100 * TOKEN


def pull_everything(world: World, task_id: bytes) -> None:
    """Everybody takes what a finished task left for them."""
    task = world.task(task_id)
    for round_ in range(task.round + 1):
        for bidder in world.solvers:
            commitment, revealed = world.ask(world.market.functions.bidOf(task_id, round_, bidder))
            if revealed or commitment != b"\0" * 32:
                world.do(world.market.functions.reclaim(task_id, round_, bidder))
    if task.phase is TaskPhase.FINALISED:
        for verifier in world.claim(task.claim_id).verifiers:
            with contextlib.suppress(Reverted):  # those that were silent have no fee
                world.do(world.claims.functions.collectFee(task.claim_id, verifier))
    for verifier in world.verifiers:
        staked = world.ask(world.registry.functions.stakeOf(verifier))
        if staked:
            world.do(world.registry.functions.requestUnbond(staked), verifier)
            world.chain.advance(world.preset.unbonding_seconds)
            world.do(world.registry.functions.completeUnbond(), verifier)


def no_bid(world: World) -> bytes:
    task_id = world.post()
    world.pass_to(world.task(task_id).reveal_end)
    world.do(world.market.functions.void(task_id))
    return task_id


def no_reveal(world: World) -> bytes:
    task_id = world.post()
    for bidder in world.solvers[:2]:
        world.do(world.market.functions.commitBid(task_id, SALT), bidder)
    world.pass_to(world.task(task_id).reveal_end)
    world.do(world.market.functions.void(task_id))
    return task_id


def cancelled(world: World) -> bytes:
    task_id = world.post()
    world.do(world.market.functions.cancel(task_id), world.requester)
    return task_id


def no_show(world: World) -> bytes:
    task_id = world.assigned(prices=(5, 6))
    world.pass_to(world.task(task_id).run_end)
    world.do(world.market.functions.expire(task_id))
    world.do(world.market.functions.refund(task_id), world.requester)
    return task_id


def no_show_reopened(world: World) -> bytes:
    task_id = world.assigned(prices=(5, 6))
    world.pass_to(world.task(task_id).run_end)
    world.do(world.market.functions.expire(task_id))
    world.do(world.market.functions.reopen(task_id), world.requester)
    world.pass_to(world.task(task_id).reveal_end)
    world.do(world.market.functions.void(task_id))
    return task_id


def attested(count: int) -> Callable[[World], bytes]:
    """Finalised, `count` of three drawn verifiers having attested; 3 of 5 staked."""

    def play(world: World) -> bytes:
        world.stake_verifiers(*[VERIFIER_STAKE] * 5)
        terms = world.terms(verifiers=3, segments_per_verifier=1, verifier_fee=FEE)
        task_id, claim_id = world.submitted(terms, prices=(600 * TOKEN, 700 * TOKEN))
        for verifier in world.draw(claim_id).verifiers[:count]:
            world.do(world.claims.functions.attest(claim_id), verifier)
        world.finalise(claim_id)
        return task_id

    return play


def never_drawn(world: World) -> bytes:
    world.stake_verifiers(*[VERIFIER_STAKE] * 2)
    terms = world.terms(verifiers=3, segments_per_verifier=1, verifier_fee=FEE)
    task_id, claim_id = world.submitted(terms)
    world.finalise(claim_id)
    return task_id


def fallen(end: str, beneficiary: str = "challenger", disputes: int = 1) -> Callable:
    """Fallen with other disputes live, then refunded, lapsed or re-opened and finalised."""

    def play(world: World) -> bytes:
        world.stake_verifiers(*[VERIFIER_STAKE] * 2)
        terms = world.terms(verifiers=2, segments_per_verifier=1, verifier_fee=FEE)
        task_id, claim_id = world.submitted(terms, prices=(5 * TOKEN, 6 * TOKEN))
        first, _ = world.draw(claim_id).verifiers
        world.do(world.claims.functions.attest(claim_id), first)
        for _ in range(disputes):
            world.do(world.dispute.functions.open(claim_id))
        who = ZERO if beneficiary == "nobody" else getattr(world, beneficiary)
        world.convict(claim_id, who)
        for _ in range(disputes):
            world.do(world.dispute.functions.close(claim_id))
        if end == "refunded":
            world.do(world.market.functions.refund(task_id), world.requester)
        elif end == "lapsed":
            world.pass_to(world.task(task_id).reopen_end)
            world.do(world.market.functions.refund(task_id), world.stranger)
        else:
            world.do(world.market.functions.reopen(task_id), world.requester)
            world.auction(task_id, 9 * TOKEN, 8 * TOKEN)
            world.do(world.market.functions.assign(task_id))
            world.finalise(world.submit(task_id, terms))
        return task_id

    return play


def survived(disputes: int) -> Callable[[World], bytes]:
    """Finalised after disputes that were all lost."""

    def play(world: World) -> bytes:
        task_id, claim_id = world.submitted()
        for _ in range(disputes):
            world.do(world.dispute.functions.open(claim_id))
        world.pass_to(world.facts(claim_id)["revealEnd"])
        for _ in range(disputes):
            world.do(world.dispute.functions.close(claim_id))
        world.finalise(claim_id)
        return task_id

    return play


LIVES: dict[str, Callable[[World], bytes]] = {
    "no bid": no_bid,
    "no reveal": no_reveal,
    "cancelled": cancelled,
    "no-show, refunded": no_show,
    "no-show, re-opened, no bid": no_show_reopened,
    **{f"finalised, {n} of 3 attested": attested(n) for n in range(4)},
    "finalised, never drawn": never_drawn,
    **{f"finalised, {n} disputes lost": survived(n) for n in range(3)},
    "fallen, refunded": fallen("refunded"),
    "fallen, nobody's, refunded": fallen("refunded", "nobody"),
    "fallen by the requester, lapsed": fallen("lapsed", "requester"),
    "fallen, two disputes, re-opened": fallen("reopened", disputes=2),
    "fallen, no dispute counted": fallen("lapsed", disputes=0),
}


@pytest.mark.parametrize("life", LIVES)
def test_end_of_a_task_pays_out_exactly_what_came_in(world: World, life):
    task_id = LIVES[life](world)
    assert world.phase(task_id) in (TaskPhase.FINALISED, TaskPhase.REFUNDED)
    pull_everything(world, task_id)
    world.assert_settled()


def gains(world: World, life: Callable[[World], bytes]) -> dict[str, int]:
    """What each role gained in the end, and what was burned."""
    pull_everything(world, life(world))
    sums = {
        "requester": world.gain(world.requester),
        "solver0": world.gain(world.solvers[0]),
        "solver1": world.gain(world.solvers[1]),
        "verifiers": sum(world.gain(v) for v in world.verifiers),
        "challenger": world.gain(world.challenger),
        "burned": world.burned(),
    }
    return {role: amount for role, amount in sums.items() if amount}


def test_finalised_task_pays_price_and_fees_and_returns_the_rest(world: World):
    price = 700 * TOKEN
    assert gains(world, attested(2)) == {
        "requester": -price - 2 * FEE,
        "solver0": price,
        "verifiers": 2 * FEE,
    }


def test_task_without_reveals_costs_the_bidders_their_deposits(world: World):
    deposit = REWARD // 20
    assert gains(world, no_reveal) == {
        "solver0": -deposit,
        "solver1": -deposit,
        "burned": 2 * deposit,
    }


def test_no_show_pays_the_requester_half_of_the_penalty(world: World):
    penalty = -(-STAKE // 10)
    assert gains(world, no_show) == {
        "requester": penalty // 2,
        "solver0": -penalty,
        "burned": penalty - penalty // 2,
    }


def test_fallen_claim_costs_its_solver_the_stake_and_verifiers_nothing(world: World):
    found = gains(world, fallen("refunded"))
    stake, price = -found["solver0"], 6 * TOKEN
    assert found == {
        "solver0": -stake,
        "challenger": stake // 4,
        "requester": price,
        "burned": stake - stake // 4 - price,
    }


# --- many tasks at once -------------------------------------------------------------------------


def possible_moves(world: World, rng: random.Random, task_id: bytes, terms: Terms) -> list:
    """What somebody might try with a task, in random order; most of it is refused."""
    market, claims, dispute = (
        world.market.functions,
        world.claims.functions,
        world.dispute.functions,
    )
    task = world.task(task_id)
    claim_id, anyone = task.claim_id, world.stranger
    bidder, verifier = rng.choice(world.solvers), rng.choice(world.verifiers[:4])
    price = (world.solvers.index(bidder) + 1) * TOKEN
    moves = [
        (market.commitBid(task_id, world.commitment(task_id, bidder, price)), bidder),
        (market.revealBid(task_id, price, SALT), bidder),
        (market.assign(task_id), anyone),
        (market.reclaim(task_id, rng.randint(0, task.round), bidder), anyone),
        (world.submit_call(task_id, terms), task.solver),
        (market.expire(task_id), anyone),
        (market.reopen(task_id), world.requester),
        (claims.draw(claim_id), anyone),
        (claims.attest(claim_id), verifier),
        (claims.finalise(claim_id), anyone),
        (claims.settle(claim_id), anyone),
        (claims.collectFee(claim_id, verifier), anyone),
    ]
    if rng.random() < 0.5:  # nearly always possible: they would crowd out the others
        moves += [(dispute.open(claim_id), anyone), (dispute.close(claim_id), anyone)]
    if rng.random() < 0.1:  # these end a life early
        moves += [
            (market.cancel(task_id), world.requester),
            (market.void(task_id), anyone),
            (market.refund(task_id), rng.choice([world.requester, anyone])),
            (dispute.convict(claim_id, world.challenger), anyone),
        ]
    rng.shuffle(moves)
    return [(fn, sender) for fn, sender in moves if sender != ZERO]


@pytest.mark.parametrize(
    "seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 3, 4))]
)
def test_vault_covers_everything_at_all_times_under_random_moves(world: World, seed):
    # I3, I7. Counts what was accepted, so that refusals alone prove nothing.
    rng = random.Random(seed)
    world.stake_verifiers(*[VERIFIER_STAKE] * 4)
    terms = world.terms(verifiers=2, segments_per_verifier=1, verifier_fee=FEE)
    terms = replace(terms, run_seconds=100, window_seconds=100)
    tasks = [world.post(terms) for _ in range(4)]
    accepted: Counter[str] = Counter()
    final: dict[bytes, TaskPhase] = {}
    for _ in range(200):
        if rng.random() < 0.12:
            world.chain.advance(rng.randint(1, 60))
        ended = final and rng.random() < 0.1
        task_id = rng.choice(list(final) if ended else tasks)
        for fn, sender in possible_moves(world, rng, task_id, terms):
            try:
                world.chain.call(fn, sender)
                world.do(fn, sender)
            except Reverted:
                continue
            accepted[fn.fn_name] += 1
            break
        vault = world.vault.functions
        owed = world.ask(vault.totalCredits()) + world.ask(vault.totalPots())
        assert owed == world.ask(world.token.functions.balanceOf(world.vault.address))
        phase = world.phase(task_id)
        assert final.get(task_id, phase) is phase  # absorbing
        if phase in (TaskPhase.FINALISED, TaskPhase.REFUNDED) and task_id not in final:
            final[task_id] = phase
            tasks[tasks.index(task_id)] = world.post(terms)
    assert accepted.total() >= 60, accepted
    assert len(accepted) >= 12, accepted
    world.audit()
