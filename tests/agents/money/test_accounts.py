"""Every end of docs/PROTOCOL.md section 10 is explained to the wei; nothing that is wrong is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from protocol.agents.money import accounts
from protocol.agents.money.accounts import (
    Books,
    Direction,
    Statement,
    UnknownTask,
    explain_deployment,
    explain_task,
)
from protocol.agents.money.ledger import Ledger, read_ledger
from protocol.chain.embedded import EmbeddedChain
from protocol.chain.presets import MINIMAL
from protocol.dispute.state import DisputeState
from tests.contracts.dispute.arena import SEGMENT, Arena, cheat, honest
from tests.contracts.dispute.test_dispute_in_market_sol import DisputedWorld, submitted
from tests.contracts.market.world import BURN, DEPOSIT, TOKEN, WEALTH

S = DisputeState
STAKE = 5_333_333_333_333_333_333_347  # of the toy run's three segments
PRICES = (600 * TOKEN, 700 * TOKEN, 800 * TOKEN)


@pytest.fixture(scope="session")
def _deployed_market() -> DisputedWorld:
    return DisputedWorld(EmbeddedChain())


@pytest.fixture
def market(_deployed_market: DisputedWorld) -> Iterator[DisputedWorld]:
    start = _deployed_market.chain.snapshot()
    _deployed_market.prover = honest()
    yield _deployed_market
    _deployed_market.chain.revert(start)


def explained(market: DisputedWorld) -> Books:
    """The books without a fault; the token and every credit agree with the people's."""
    books = explain_deployment(market.deployment)
    assert books.faults == ()
    assert {line.account: line.held for line in books.accounts} == {
        **{person: market.credit(person) for person in market.people},
        **({BURN: market.burned()} if market.burned() else {}),
    }
    for statement in books.tasks.values():
        totals = statement.totals
        assert totals.taken == totals.released + totals.burned + statement.locked
        assert sum(t.net for t in statement.accounts.values()) == -totals.burned - statement.locked
    return books


def statement_of(market: DisputedWorld, task_id: bytes) -> Statement:
    """A task's statement, which is that of the books."""
    statement = explained(market).tasks[task_id]
    assert explain_task(market.deployment, task_id) == statement
    return statement


def gains(market: DisputedWorld, statement: Statement) -> dict[str, int]:
    """What the statement says that people gained, compared with the vault."""
    assert statement.locked == 0
    found = {account: totals.net for account, totals in statement.accounts.items()}
    assert found == {account: market.gain(account) for account in found}
    return found


def amounts(statement: Statement, direction: Direction | None = None) -> dict[str, list[int]]:
    """Reason -> amounts, of entries of one direction or of all."""
    found: dict[str, list[int]] = {}
    for entry in statement.entries:
        if direction in (None, entry.direction):
            found.setdefault(entry.reason, []).append(entry.amount)
    return found


def refund(market: DisputedWorld, task_id: bytes) -> None:
    market.do(market.market.functions.refund(task_id), market.requester)


# ---------------------------------------------------------------------------- without a solver


def test_posted_task_is_its_escrow_locked(market: DisputedWorld):
    terms = market.terms(verifiers=2, segments_per_verifier=1, verifier_fee=30 * TOKEN)
    statement = statement_of(market, market.post(terms))
    assert amounts(statement) == {"escrow": [1_060 * TOKEN]}
    assert statement.locked == statement.locked_of(market.requester) == 1_060 * TOKEN


def test_cancelled_task_gives_the_escrow_back(market: DisputedWorld):
    task_id = market.post()
    market.do(market.market.functions.cancel(task_id), market.requester)
    statement = statement_of(market, task_id)
    assert amounts(statement) == {"escrow": [1_000 * TOKEN], "escrow returned": [1_000 * TOKEN]}
    assert gains(market, statement) == {market.requester: 0}


def test_void_task_burns_deposits_of_bids_that_nobody_revealed(market: DisputedWorld):
    task_id = market.post()
    bidders = market.solvers[:2]
    for bidder in bidders:
        market.commit(task_id, bidder, PRICES[0])
    market.pass_to(market.task(task_id).reveal_end)
    market.do(market.market.functions.void(task_id))
    assert statement_of(market, task_id).locked == 2 * (STAKE + DEPOSIT)
    for bidder in bidders:
        market.do(market.market.functions.reclaim(task_id, 0, bidder))
    statement = statement_of(market, task_id)
    assert amounts(statement, Direction.BURNED) == {
        "bid not revealed: deposit burned": [DEPOSIT, DEPOSIT]
    }
    assert gains(market, statement) == {
        market.requester: 0,
        **dict.fromkeys(bidders, -DEPOSIT),
    }


# ---------------------------------------------------------------------------- with a solver


def test_finalised_task_with_losing_and_unrevealed_bids(market: DisputedWorld):
    terms = market.terms()
    task_id = market.post(terms)
    first, second, silent = market.solvers[:3]
    for bidder, price in zip((first, second, silent), PRICES, strict=True):
        market.commit(task_id, bidder, price)
    market.pass_to(market.task(task_id).bid_end)
    for bidder, price in zip((first, second), PRICES, strict=False):
        market.reveal(task_id, bidder, price)
    market.pass_to(market.task(task_id).reveal_end)
    market.do(market.market.functions.assign(task_id))
    market.finalise(market.submit(task_id, terms))
    for bidder in (second, silent):
        market.do(market.market.functions.reclaim(task_id, 0, bidder))
    statement = statement_of(market, task_id)
    assert amounts(statement)["finalised: price"] == [PRICES[1]]  # the second price
    assert gains(market, statement) == {
        market.requester: -PRICES[1],
        first: PRICES[1],
        second: 0,
        silent: -DEPOSIT,
    }
    assert amounts(statement)["bid not won: stake returned"] == [STAKE, STAKE]


def test_finalised_task_keeps_fees_locked_until_they_are_collected(market: DisputedWorld):
    market.stake_verifiers(200 * TOKEN, 300 * TOKEN)
    terms = market.terms(verifiers=2, segments_per_verifier=1, verifier_fee=30 * TOKEN)
    task_id, claim_id = market.submitted(terms)
    verifier, idle = market.draw(claim_id).verifiers
    market.do(market.claims.functions.attest(claim_id), verifier)
    market.finalise(claim_id)
    assert statement_of(market, task_id).locked == 30 * TOKEN
    market.do(market.claims.functions.collectFee(claim_id, verifier))
    statement = statement_of(market, task_id)
    assert amounts(statement)["verifier's fee"] == [30 * TOKEN]
    assert amounts(statement)["finalised: rest of the escrow"] == [30 * TOKEN]
    assert statement.locked == 0
    assert statement.accounts[verifier].net == 30 * TOKEN
    assert idle not in statement.accounts


def test_no_show_and_refund(market: DisputedWorld):
    task_id = market.assigned(prices=PRICES[:1])
    market.pass_to(market.task(task_id).run_end)
    market.do(market.market.functions.expire(task_id))
    assert statement_of(market, task_id).locked == 1_000 * TOKEN
    refund(market, task_id)
    statement = statement_of(market, task_id)
    penalty = -(-STAKE // 10)
    assert gains(market, statement) == {
        market.requester: penalty // 2,
        market.solvers[0]: -penalty,
    }
    assert amounts(statement, Direction.BURNED) == {"no-show: burned": [penalty - penalty // 2]}


def test_no_show_then_reopened_then_finalised(market: DisputedWorld):
    terms = market.terms()
    task_id = market.assigned(terms, prices=PRICES[:1])
    market.pass_to(market.task(task_id).run_end)
    market.do(market.market.functions.expire(task_id))
    market.do(market.market.functions.reopen(task_id), market.requester)
    market.auction(task_id, *PRICES[:2])
    market.do(market.market.functions.assign(task_id))
    market.finalise(market.submit(task_id, terms))
    market.do(market.market.functions.reclaim(task_id, 1, market.solvers[1]))
    statement = statement_of(market, task_id)
    assert amounts(statement)["bid: stake"] == [STAKE] * 3
    penalty = -(-STAKE // 10)
    assert gains(market, statement) == {
        market.requester: penalty // 2 - PRICES[1],
        market.solvers[0]: PRICES[1] - penalty,
        market.solvers[1]: 0,
    }


# ---------------------------------------------------------------------------- disputes


def convict(arena: Arena, opener: str | None = None) -> None:
    """A dispute that the opener wins, as the solver never answers."""
    arena.opener = opener or arena.opener
    dispute = arena.open(SEGMENT)
    arena.descend(dispute, S.JUDGE)
    arena.answer(dispute)
    assert arena.state(dispute) is S.CHALLENGER_WON


def test_fallen_task_splits_the_stake_and_is_refunded(market: DisputedWorld):
    arena = submitted(market, cheat())
    task_id = arena.facts.task_id
    convict(arena)
    before = statement_of(market, task_id)
    assert before.locked == 1_000 * TOKEN + STAKE  # nobody has settled yet
    market.settle(arena.claim)
    refund(market, task_id)
    statement = statement_of(market, task_id)
    share = STAKE // 4
    to_requester = min(share, 1_000 * TOKEN)  # at most the price
    assert gains(market, statement) == {
        market.requester: to_requester,
        arena.solver: -STAKE,
        arena.opener: share,
    }
    assert amounts(statement, Direction.BURNED) == {
        "slashed: burned": [STAKE - share - to_requester]
    }
    assert amounts(statement)["dispute won: bond returned"] == [arena.facts.bond]


def test_several_disputes_one_wins_others_are_refunded_or_never_opened(market: DisputedWorld):
    arena = submitted(market, cheat())
    task_id, first = arena.facts.task_id, arena.opener
    arena.opener = market.stranger
    arena.open(SEGMENT)
    arena.opener = market.verifiers[1]
    left = b"\x05" * 32
    market.do(market.dispute.functions.commitOpen(arena.claim, left), arena.opener)
    convict(arena, first)
    live = statement_of(market, task_id)
    assert live.locked_of(market.stranger) == live.locked_of(market.verifiers[1])
    assert live.locked_of(market.stranger) == arena.facts.bond
    market.settle(arena.claim)
    for dispute in open_disputes(market):
        market.do(market.dispute.functions.refund(dispute))
    market.do(market.dispute.functions.reclaim(arena.claim, market.verifiers[1], left))
    refund(market, task_id)
    statement = statement_of(market, task_id)
    reasons = amounts(statement)
    assert reasons["claim fell: bond returned"] == [arena.facts.bond]
    assert reasons["not opened, claim fell: bond returned"] == [arena.facts.bond]
    found = gains(market, statement)
    assert found[market.stranger] == found[market.verifiers[1]] == 0


def open_disputes(market: DisputedWorld) -> list[bytes]:
    events = read_ledger(market.deployment).events
    opened = [e.args["disputeId"] for e in events if e.name == "DisputeOpened"]
    closed = {e.args["disputeId"] for e in events if e.name == "DisputeClosed"}
    return [dispute for dispute in opened if dispute not in closed]


def test_lost_accusation_and_unopened_commitment_cost_their_openers(market: DisputedWorld):
    arena = submitted(market, honest())
    bond, opener, idle = arena.facts.bond, arena.opener, market.stranger
    dispute = arena.open(SEGMENT)
    arena.descend(dispute, S.JUDGE)
    arena.answer(dispute)
    assert arena.state(dispute) is S.SOLVER_WON
    unopened = b"\x06" * 32
    market.do(market.dispute.functions.commitOpen(arena.claim, unopened), idle)
    market.finalise(arena.claim)
    market.do(market.dispute.functions.reclaim(arena.claim, idle, unopened))
    statement = statement_of(market, arena.facts.task_id)
    assert gains(market, statement) == {
        market.requester: -1_000 * TOKEN,
        arena.solver: 1_000 * TOKEN + bond // 2,
        opener: -bond,
        idle: -(bond // 10),
    }
    assert amounts(statement, Direction.BURNED) == {
        "bond lost: burned": [bond - bond // 2],
        "not opened: burned": [bond // 10],
    }


def test_commitment_used_again_for_another_task_is_booked_for_each(market: DisputedWorld):
    commitment, opener = b"\x07" * 32, market.stranger
    claims = []
    for _ in range(2):
        task_id, claim_id = market.submitted(market.terms())
        claims.append((task_id, claim_id))
        market.do(market.dispute.functions.commitOpen(claim_id, commitment), opener)
        if len(claims) == 1:
            market.finalise(claim_id)
            market.do(market.dispute.functions.reclaim(claim_id, opener, commitment))
    first, second = (statement_of(market, task_id) for task_id, _ in claims)
    assert first.locked == 0
    assert second.locked_of(opener) == market.facts(claims[1][1])["bond"]


# ---------------------------------------------------------------------------- the whole deployment


def test_deposits_withdrawals_stakes_gifts_and_the_flush_are_explained(market: DisputedWorld):
    person, verifier = market.solvers[0], market.verifiers[0]
    market.do(market.vault.functions.withdraw(market.stranger, 7 * TOKEN + 1), person)
    market.do(market.token.functions.transfer(market.vault.address, 5), market.stranger)
    market.stake_verifiers(200 * TOKEN)
    market.do(market.registry.functions.requestUnbond(50 * TOKEN), verifier)
    books = explained(market)
    assert amounts(books.stakes) == {"verifier's stake": [200 * TOKEN]}
    market.chain.advance(MINIMAL.unbonding_seconds)
    market.do(market.registry.functions.completeUnbond(), verifier)
    task_id = market.post()
    market.commit(task_id, person, PRICES[0])
    market.pass_to(market.task(task_id).reveal_end)
    market.do(market.market.functions.void(task_id))
    market.do(market.market.functions.reclaim(task_id, 0, person))
    market.do(market.vault.functions.flushBurned())
    books = explain_deployment(market.deployment)
    assert books.faults == ()
    assert books.gifts == 5
    assert books.stakes.locked == 150 * TOKEN
    lines = {line.account: line for line in books.accounts}
    assert lines[BURN].withdrawn == lines[BURN].released == DEPOSIT
    assert lines[person].withdrawn == 7 * TOKEN + 1
    people = len(market.people)
    assert books.token_balance == WEALTH * people - 7 * TOKEN - 1 + 5 - DEPOSIT


def test_unknown_task_is_refused(market: DisputedWorld):
    with pytest.raises(UnknownTask, match="0x0909"):
        explain_task(market.deployment, b"\x09" * 32)


# ---------------------------------------------------------------------------- what is wrong is told


def test_pot_that_holds_another_wei_is_a_fault(market: DisputedWorld, monkeypatch):
    task_id = market.post()
    ask = Ledger.ask

    def a_wei_less(self: Ledger, role: str, function: str, *arguments: Any) -> Any:
        return ask(self, role, function, *arguments) - (function == "pots")

    monkeypatch.setattr(Ledger, "ask", lambda *a: ask(*a) if a[2] != "pots" else a_wei_less(*a))
    statement = explain_task(market.deployment, task_id)
    assert f"holds {1_000 * TOKEN - 1} wei in the escrow" in statement.faults[0]
    assert f"add up to {1_000 * TOKEN}" in statement.faults[0]
    assert f"{1_000 * TOKEN} wei went in" in statement.faults[1]


@pytest.mark.parametrize(
    ("function", "what"),
    [
        ("credits", "the vault holds a credit of"),
        ("totalPots", "the vault's total of pots"),
        ("totalBurned", "the vault's total of burned tokens"),
        ("balanceOf", "everything explained is"),
        ("stakeOf", "the registry knows"),
    ],
)
def test_another_wei_anywhere_in_the_books_is_a_fault(
    market: DisputedWorld, monkeypatch, function: str, what: str
):
    market.stake_verifiers(200 * TOKEN)
    ask = Ledger.ask
    monkeypatch.setattr(Ledger, "ask", lambda *a: ask(*a) + 1 if a[2] == function else ask(*a))
    assert any(what in fault for fault in explain_deployment(market.deployment).faults)


def _without(name: str):
    """`read_ledger` as a node would answer that hides events of this name."""

    def read(*arguments: Any, **named: Any) -> Ledger:
        ledger = read_ledger(*arguments, **named)
        return replace(ledger, events=tuple(e for e in ledger.events if e.name != name))

    return read


def test_movement_without_its_cause_is_unexplained(market: DisputedWorld, monkeypatch):
    task_id = market.post()
    market.do(market.market.functions.cancel(task_id), market.requester)
    monkeypatch.setattr(accounts, "read_ledger", _without("TaskRefunded"))
    statement = explain_task(market.deployment, task_id)
    assert amounts(statement)["unexplained"] == [1_000 * TOKEN]
    assert "no event entails it" in statement.faults[0]


def test_cause_without_its_movement_is_a_fault(market: DisputedWorld, monkeypatch):
    task_id = market.post()
    market.do(market.market.functions.cancel(task_id), market.requester)
    monkeypatch.setattr(accounts, "read_ledger", _without("Released"))
    faults = explain_task(market.deployment, task_id).faults
    assert "should have been released (escrow returned)" in faults[0]
    assert "add up to" in faults[1]


def test_first_block_after_the_beginning_is_told(market: DisputedWorld):
    task_id = market.post()
    later = market.chain.w3.eth.block_number + 1
    market.do(market.market.functions.cancel(task_id), market.requester)
    faults = explain_deployment(market.deployment, first_block=later).faults
    assert any("is the first block later than the deployment?" in fault for fault in faults)


def test_payment_that_is_not_what_the_rules_say_is_a_fault(market: DisputedWorld, monkeypatch):
    """The amounts are computed again, not believed."""
    task_id = market.assigned(prices=PRICES[:1])
    market.pass_to(market.task(task_id).run_end)
    market.do(market.market.functions.expire(task_id))
    ask = Ledger.ask

    def other_rules(self: Ledger, role: str, function: str, *arguments: Any) -> Any:
        answer = ask(self, role, function, *arguments)
        if function != "constants":
            return answer
        values = list(answer)
        values[10] += 1  # the no-show penalty
        return values

    monkeypatch.setattr(Ledger, "ask", other_rules)
    faults = explain_task(market.deployment, task_id).faults
    assert any("no-show" in fault for fault in faults)
    assert any("no event entails it" in fault for fault in faults)
