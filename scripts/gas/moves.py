"""Every entry point at least once, in ordinary lives of tasks and disputes; the toy's disputes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from protocol.chain.compiler import CompiledArtifacts
from protocol.chain.embedded import EmbeddedChain
from protocol.dispute.moves import PointBoundElement, PointKind, UseRoot
from protocol.dispute.proofs import Prover
from protocol.dispute.state import ARITHMETIC, DisputeState, Level
from scripts.gas.meter import Meter
from tests.contracts.dispute.arena import ELEMENT, NODE, SEGMENT, STEP, TERM, Arena, cheat, honest
from tests.contracts.dispute.test_dispute_in_market_sol import DisputedWorld, submitted
from tests.contracts.market.test_solving import report_call
from tests.contracts.market.test_vault import sign_permit
from tests.contracts.market.world import TOKEN, World

Dispute = dict[str, Any]

SOLVERS = {
    *("postSegment", "postTrace", "postFold", "reveal", "openTensor", "openChunk", "openTerm"),
    *("answerBinding", "judgeArithmetic", "judgeLoad"),
}
"""Moves that are the solver's burden."""


def market_life(meter: Meter) -> None:
    """Two tasks, five bids, six verifiers, a conviction, a finalisation."""
    world = World(EmbeddedChain(CompiledArtifacts()))
    with meter.on(world.chain, world.deployment):
        _registry_and_vault(world)
        _tasks(world)


def toy_disputes(meter: Meter) -> dict[str, Dispute]:
    """Disputes about the toy in a real market, from challenge to verdict."""
    world = DisputedWorld(EmbeddedChain(CompiledArtifacts()))
    start = world.chain.snapshot()
    told = {}
    with meter.on(world.chain, world.deployment):
        for name, (prover, play) in TOY_DISPUTES.items():
            world.chain.revert(start)
            arena = submitted(world, prover())
            meter.log.clear()
            play(arena)
            told[f"toy, {name}"] = summary(meter.log)
        for play in (_shared_root, _unrevealed):
            world.chain.revert(start)
            play(world)
    return told


def summary(moves: list[tuple[str, int]]) -> Dispute:
    """A dispute as the table shows it."""
    return {
        "transactions": len(moves),
        "gas": sum(gas for _, gas in moves),
        "solver": sum(gas for function, gas in moves if function in SOLVERS),
        "judgement": moves[-1][1],
        "moves": [list(move) for move in moves],
    }


# ------------------------------------------------------------------ the market


def _registry_and_vault(world: World) -> None:
    registry, vault, verifier = world.registry.functions, world.vault.functions, world.verifiers[0]
    world.stake_verifiers(*[100 * TOKEN] * 6)
    world.do(registry.requestUnbond(100 * TOKEN), verifier)
    world.chain.advance(world.preset.unbonding_seconds)
    world.do(registry.completeUnbond(), verifier)
    key, deadline = world.chain.keys[0], world.chain.now() + 100
    permit = sign_permit(world, key, 9, deadline)
    world.do(vault.depositWithPermit(9, deadline, *permit), key.address)
    world.do(world.token.functions.approve(world.vault.address, 1), key.address)
    world.do(vault.deposit(1), key.address)
    world.do(vault.withdraw(key.address, 1), key.address)


def _tasks(world: World) -> None:
    market, requester = world.market.functions, world.requester
    terms = world.terms(
        steps=1_000, interval=10, verifiers=3, segments_per_verifier=2, verifier_fee=7 * TOKEN
    )
    world.do(market.cancel(world.post(terms)), requester)
    world.do(market.announceStore("https://solver.example.org:8600/"), requester)
    void = world.post(terms)
    world.pass_to(world.task(void).reveal_end)
    world.do(market.void(void))

    task_id = world.post(terms)
    world.auction(task_id, 5 * TOKEN, 6 * TOKEN, 7 * TOKEN)
    world.do(market.assign(task_id))
    world.do(market.reclaim(task_id, 0, world.solvers[1]))
    world.pass_to(world.task(task_id).run_end)
    world.do(market.expire(task_id))
    world.do(market.reopen(task_id), requester)
    world.auction(task_id, 5 * TOKEN, 6 * TOKEN)
    world.do(market.assign(task_id))
    world.do(report_call(world, task_id, world.log(terms), 50), world.solvers[0])
    claim_id = world.submit(task_id, terms)
    world.draw(claim_id)
    world.convict(claim_id, world.challenger)
    world.do(market.refund(task_id), requester)

    task_id, claim_id = world.submitted(terms, prices=(5 * TOKEN, 6 * TOKEN))
    drawn = world.draw(claim_id).verifiers
    for verifier in drawn:
        world.do(world.claims.functions.attest(claim_id), verifier)
    world.finalise(claim_id)
    world.do(world.claims.functions.collectFee(claim_id, drawn[0]))
    world.do(world.vault.functions.flushBurned())


# ------------------------------------------------------------------ disputes about the toy


def _arithmetic(arena: Arena) -> None:
    dispute = arena.open(SEGMENT)
    arena.descend(dispute, DisputeState.JUDGE)
    arena.answer(dispute)
    assert arena.state(dispute) is DisputeState.CHALLENGER_WON


def _load(arena: Arena) -> None:
    """A false accusation, as the next one."""
    dispute = arena.open(SEGMENT)
    arena.descend(dispute, DisputeState.JUDGE, kind=0)
    arena.answer(dispute)
    assert arena.state(dispute) is DisputeState.SOLVER_WON


def _binding(arena: Arena) -> None:
    dispute = arena.open(SEGMENT)
    arena.descend(dispute, DisputeState.ANSWER_BINDING, binding=0)
    arena.answer(dispute)
    assert arena.state(dispute) is DisputeState.SOLVER_WON


def _withheld(arena: Arena) -> None:
    """Every level by bisection, from the log to the term."""
    prover, dispute = arena.prover, arena.open(0)
    arena.answer(dispute)
    arena.pick(dispute, SEGMENT)
    arena.answer(dispute)
    arena.bisect(dispute, Level.SEGMENT, STEP - 3)
    arena.answer(dispute)
    arena.bisect(dispute, Level.TRACE, NODE)
    arena.play(dispute, prover.point_node(arena.position(dispute), NODE))
    arena.answer(dispute)
    arena.bisect(dispute, Level.TENSOR, 0)
    arena.answer(dispute)
    arena.play(dispute, PointBoundElement(arena.position(dispute).hash(), ELEMENT))
    arena.answer(dispute)
    arena.bisect(dispute, Level.FOLD, TERM)
    arena.answer(dispute)
    arena.play(dispute, PointKind(arena.position(dispute).hash(), ARITHMETIC))
    arena.answer(dispute)
    assert arena.state(dispute) is DisputeState.CHALLENGER_WON


TOY_DISPUTES: dict[str, tuple[Callable[[], Prover], Callable[[Arena], None]]] = {
    "leaves served, arithmetic": (cheat, _arithmetic),
    "leaves served, load": (honest, _load),
    "leaves served, binding": (honest, _binding),
    "nothing served": (cheat, _withheld),
}


def _shared_root(world: DisputedWorld) -> None:
    """Two disputes on one path; the first ends the claim and the second one."""
    arena = submitted(world, cheat())
    first, second = arena.open(SEGMENT), arena.open(SEGMENT, opener=arena.other)
    arena.answer(first)
    arena.play(second, UseRoot(arena.position(second).hash()))
    arena.descend(first, DisputeState.NEED_FOLD)
    world.pass_to(arena.clock(first)[1])
    arena.send("timeout", first)
    arena.send("refund", second)


def _unrevealed(world: DisputedWorld) -> None:
    """A commitment that nobody opens."""
    arena = submitted(world, honest())
    commitment = arena.commit(SEGMENT)
    world.pass_to(arena.facts.reveal_end)
    arena.send("reclaim", arena.claim, arena.opener, commitment)
