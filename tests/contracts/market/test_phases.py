"""Views agree with moves (I10): what a view calls the phase is what every move goes by."""

from __future__ import annotations

from collections.abc import Iterator

from protocol.chain.market import ClaimPhase, TaskPhase
from protocol.chain.reverts import Reverted
from tests.contracts.market.world import SALT, World

P = TaskPhase

# Move -> phases in which it is not out of phase.
TASK_MOVES = {
    "cancel": {P.BIDDING, P.REVEALING, P.DECIDABLE},
    "commitBid": {P.BIDDING},
    "revealBid": {P.REVEALING},
    "assign": {P.DECIDABLE},
    "void": {P.DECIDABLE},
    "report": {P.RUNNING},
    "submit": {P.RUNNING},
    "expire": {P.OVERDUE},
    "reopen": {P.VACANT},
    "refund": {P.VACANT, P.LAPSED},
}
CLAIM_MOVES = {
    "draw": ClaimPhase.WINDOW,
    "attest": ClaimPhase.WINDOW,
    "finalise": ClaimPhase.DECIDED,
    "collectFee": ClaimPhase.FINALISED,
}
ARGUMENTS = {
    "commitBid": (SALT,),
    "revealBid": (1, SALT),
    "report": (1, SALT, []),
    "submit": (SALT, SALT, [], [], []),
}


def lives(world: World) -> Iterator[tuple[bytes, TaskPhase]]:
    """A task in each phase, one after the other."""
    market = world.market.functions
    task_id = world.post()
    yield task_id, P.BIDDING
    world.commit(task_id, world.solvers[0], 5)
    world.pass_to(world.task(task_id).bid_end)
    yield task_id, P.REVEALING
    world.reveal(task_id, world.solvers[0], 5)
    world.pass_to(world.task(task_id).reveal_end)
    yield task_id, P.DECIDABLE
    world.do(market.assign(task_id))
    yield task_id, P.RUNNING
    world.pass_to(world.task(task_id).run_end)
    yield task_id, P.OVERDUE
    world.do(market.expire(task_id))
    yield task_id, P.VACANT
    world.pass_to(world.task(task_id).reopen_end)
    yield task_id, P.LAPSED
    world.do(market.refund(task_id))
    yield task_id, P.REFUNDED
    task_id, claim_id = world.submitted()
    yield task_id, P.SUBMITTED
    world.finalise(claim_id)
    yield task_id, P.FINALISED


def test_task_moves_go_by_the_phase_that_the_view_shows(world: World):
    seen = set()
    for task_id, phase in lives(world):
        assert world.phase(task_id) is phase
        seen.add(phase)
        for name, allowed in TASK_MOVES.items():
            fn = world.market.functions[name](task_id, *ARGUMENTS.get(name, ()))
            error = refusal(world, fn, world.requester)
            if phase in allowed:
                assert error is None or error.name != "WrongPhase", (name, phase)
            else:
                assert error is not None, (name, phase)
                assert error.name == "WrongPhase", (name, phase)
                assert error.arguments[2] == phase
                assert error.arguments[1] in allowed
    assert seen == set(TaskPhase) - {P.NONE}


def test_claim_moves_go_by_the_phase_that_the_view_shows(world: World):
    _, fallen = world.submitted()
    _, claim_id = world.submitted()
    facts = world.facts(claim_id)
    seen = []

    def check(claim: bytes) -> None:
        phase = world.claim(claim).phase
        seen.append(phase)
        live = phase not in (ClaimPhase.FALLEN, ClaimPhase.FINALISED)
        assert world.ask(world.claims.functions.isDisputable(claim)) == live
        for name, allowed in CLAIM_MOVES.items():
            more = (world.stranger,) if name == "collectFee" else ()
            error = refusal(world, world.claims.functions[name](claim, *more), world.stranger)
            if phase is allowed:
                assert error is None or error.name != "WrongClaimPhase"
            else:
                assert error is not None
                assert (error.name, error.arguments) == (
                    "WrongClaimPhase",
                    (claim, allowed, phase),
                )

    check(claim_id)
    world.convict(fallen, world.challenger)
    check(fallen)
    for end in ("windowEnd", "revealEnd"):
        world.pass_to(facts[end])
        check(claim_id)
    world.do(world.claims.functions.finalise(claim_id))
    check(claim_id)
    assert set(seen) == set(ClaimPhase) - {ClaimPhase.NONE}


def refusal(world: World, fn, sender: str) -> Reverted | None:
    """Why a call of this move would be refused now; None if it would pass."""
    try:
        world.chain.call(fn, sender)
    except Reverted as error:
        return error
    return None
