"""Dispute, market, claims and vault together: the stake of a convicted solver, gas, finality."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from protocol.chain.deployment import deploy_all
from protocol.chain.embedded import EmbeddedChain
from protocol.chain.market import ClaimPhase, Terms
from protocol.dispute.proofs import Prover
from protocol.dispute.state import ClaimFacts, DisputeState
from protocol.dispute.trees import root_of
from tests.contracts.dispute.arena import SEGMENT, Arena, cheat, honest, refused
from tests.contracts.market.world import STAKE, World

S = DisputeState


class DisputedWorld(World):
    """A market whose disputes are real, and whose tasks are the toy run."""

    prover: Prover

    def deploy(self) -> Any:
        return deploy_all(self.chain, self.preset)

    def terms(self, **changes: Any) -> Terms:
        run = self.prover.execution
        return super().terms(
            program_root=self.prover.program().root,
            data_root=root_of(run.data_leaves()),
            initial_state_root=run.log_leaves()[0],
            steps=run.steps,
            interval=run.interval,
            node_count=5,
            state_count=6,
            data_count=2,
            **changes,
        )

    def submit_call(self, task_id: bytes, terms: Terms, _lie: int = 0) -> Any:
        log = self.prover.log()
        first, last = tuple(log.proof(0)), tuple(log.proof(terms.segments))
        return self.market.functions.submit(
            task_id, log.root, log.leaf(terms.segments), [], first, last
        )

    def arena(self, claim: bytes) -> Arena:
        """The dispute's players, about a submitted claim."""
        contracts = {"dispute": self.dispute, "claims": self.claims, "vault": self.vault}
        arena = Arena(self.chain, contracts)
        arena.prover, arena.claim = self.prover, claim
        arena.facts = ClaimFacts(*self.ask(self.claims.functions.claimFacts(claim)))
        arena.solver, arena.opener = self.solvers[0], self.challenger
        arena.other, arena.verifier = self.stranger, self.verifiers[0]
        return arena


@pytest.fixture(scope="session")
def _deployed_market(compiled) -> DisputedWorld:
    return DisputedWorld(EmbeddedChain(compiled))


@pytest.fixture
def market(_deployed_market: DisputedWorld) -> Iterator[DisputedWorld]:
    start = _deployed_market.chain.snapshot()
    yield _deployed_market
    _deployed_market.chain.revert(start)


def submitted(market: DisputedWorld, prover: Prover, **terms: Any) -> Arena:
    market.prover = prover
    _, claim = market.submitted(market.terms(**terms))
    return market.arena(claim)


def judge(arena: Arena) -> tuple[bytes, Any]:
    """A dispute down to its verdict, and the receipt of the judgement."""
    arena.gas.clear()
    dispute = arena.open(SEGMENT)
    arena.descend(dispute, S.JUDGE)
    return dispute, arena.answer(dispute)


def test_convicted_solver_loses_its_stake_and_the_challenger_is_paid(market: DisputedWorld):
    arena = submitted(market, cheat())
    dispute, _ = judge(arena)
    assert arena.state(dispute) is S.CHALLENGER_WON
    assert market.claim(arena.claim).phase is ClaimPhase.FALLEN
    settled = market.event(market.claims, "ClaimSettled", market.settle(arena.claim))
    shares = [settled[n] for n in ("toChallenger", "toRequester", "burned")]
    assert settled["beneficiary"] == arena.opener
    assert market.gain(arena.opener) == shares[0] >= STAKE // 4
    assert market.burned() == shares[2] >= sum(shares) // 2
    market.audit()


def test_gas_of_a_dispute_in_the_market_stays_below_the_bars(market: DisputedWorld):
    arena = submitted(market, cheat())
    judge(arena)
    assert arena.total_gas() <= 2_500_000
    assert arena.gas["judgeArithmetic"] <= 400_000


def test_acquitted_solver_keeps_its_stake_and_is_paid_for_its_trouble(market: DisputedWorld):
    arena = submitted(market, honest())
    bond = arena.facts.bond
    before = market.credit(arena.solver)
    dispute, _ = judge(arena)
    assert arena.state(dispute) is S.SOLVER_WON
    assert market.gain(arena.opener) == -bond
    assert market.credit(arena.solver) == before + bond // 2
    market.finalise(arena.claim)
    market.audit()


def test_i2_claim_with_a_live_dispute_is_not_finalised(market: DisputedWorld):
    arena = submitted(market, cheat())
    dispute = arena.open(SEGMENT)
    market.pass_to(arena.facts.reveal_end)
    finalise = market.claims.functions.finalise(arena.claim)
    with refused("DisputesOpen", arena.claim, 1):
        market.do(finalise)
    market.pass_to(arena.clock(dispute)[1])
    arena.send("timeout", dispute)
    assert market.claim(arena.claim).phase is ClaimPhase.FALLEN


def test_unrevealed_commitment_does_not_hold_the_claim(market: DisputedWorld):
    arena = submitted(market, honest())
    commitment = arena.commit(SEGMENT)
    market.finalise(arena.claim)
    arena.send("reclaim", arena.claim, arena.opener, commitment)
    burned = arena.facts.bond // 10
    assert market.gain(arena.opener) == -burned
    assert market.burned() == burned
    market.audit()


def test_drawn_verifier_has_precedence_in_the_market(market: DisputedWorld):
    """One verifier with all the stake is drawn for every segment."""
    staked = 1000 * 10**18
    market.stake_verifiers(staked)
    market.chain.mine(2)
    arena = submitted(market, cheat(), verifiers=1, segments_per_verifier=3, verifier_fee=10)
    assert market.draw(arena.claim).verifiers == (market.verifiers[0],)
    theirs = arena.open(SEGMENT, opener=market.verifiers[0])
    judge(arena)
    share = market.event(market.claims, "ClaimSettled", market.settle(arena.claim))["toChallenger"]
    arena.send("refund", theirs)
    assert market.gain(market.verifiers[0]) == share - staked
    assert market.gain(arena.opener) == 0, "the winner has its own bond back, no more"
    market.audit()
