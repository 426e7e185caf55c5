"""Gas of each move in one ordinary life: three bids, ten verifiers staked, three drawn."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contracts.market.test_solving import report_call
from tests.contracts.market.world import TOKEN, World

# Transactions in whole, first use of each account's slots included; to be kept true by hand.
GAS: dict[str, int] = {
    "assign": 44_050,
    "attest": 40_603,
    "cancel": 57_572,
    "claimFacts": 59_091,
    "close": 31_812,
    "collectFee": 80_814,
    "commitBid": 105_132,
    "completeUnbond": 45_411,
    "convict": 57_284,
    "deposit": 48_834,
    "draw": 304_000,
    "expire": 125_980,
    "finalise": 98_934,
    "flushBurned": 61_648,
    "open": 34_609,
    "post": 415_329,
    "reclaim": 56_021,
    "refund": 57_876,
    "reopen": 94_716,
    "report": 79_966,
    "requestUnbond": 151_834,
    "revealBid": 77_045,
    "settle": 110_098,
    "stake": 256_448,
    "submit": 310_785,
    "void": 59_779,
    "withdraw": 67_054,
}
TOLERANCE = 0.04  # the draw depends on the hash


@pytest.fixture
def spent(world: World, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Gas of the last call of each function."""
    gas: dict[str, int] = {}
    send = world.chain.send

    def metered(fn: Any, sender: str | None = None, **how: Any) -> Any:
        receipt = send(fn, sender, **how)
        gas[fn.fn_name] = receipt["gasUsed"]
        return receipt

    monkeypatch.setattr(world.chain, "send", metered)
    return gas


def test_gas_of_every_move_is_that_of_the_table(world: World, spent: dict[str, int]):
    world.stake_verifiers(*[100 * TOKEN] * 6)
    verifier = world.verifiers[0]
    world.do(world.registry.functions.requestUnbond(100 * TOKEN), verifier)
    world.chain.advance(world.preset.unbonding_seconds)
    world.do(world.registry.functions.completeUnbond(), verifier)
    terms = world.terms(
        steps=1_000, interval=10, verifiers=3, segments_per_verifier=2, verifier_fee=7 * TOKEN
    )
    log = world.log(terms)

    void = world.post(terms)
    world.do(world.market.functions.cancel(void), world.requester)
    void = world.post(terms)
    world.pass_to(world.task(void).reveal_end)
    world.do(world.market.functions.void(void))

    task_id = world.post(terms)
    world.auction(task_id, 5 * TOKEN, 6 * TOKEN, 7 * TOKEN)
    world.do(world.market.functions.assign(task_id))
    world.do(world.market.functions.reclaim(task_id, 0, world.solvers[1]))
    world.pass_to(world.task(task_id).run_end)
    world.do(world.market.functions.expire(task_id))
    world.do(world.market.functions.reopen(task_id), world.requester)

    world.auction(task_id, 5 * TOKEN, 6 * TOKEN)
    world.do(world.market.functions.assign(task_id))
    world.do(report_call(world, task_id, log, 50), world.solvers[0])
    claim_id = world.submit(task_id, terms)
    world.draw(claim_id)
    world.do(world.dispute.functions.open(claim_id))
    world.convict(claim_id, world.challenger)
    world.do(world.dispute.functions.close(claim_id))
    world.do(world.market.functions.refund(task_id), world.requester)

    task_id, claim_id = world.submitted(terms, prices=(5 * TOKEN, 6 * TOKEN))
    for drawn in world.draw(claim_id).verifiers:
        world.do(world.claims.functions.attest(claim_id), drawn)
    world.finalise(claim_id)
    world.do(world.claims.functions.collectFee(claim_id, drawn))
    world.do(world.vault.functions.withdraw(world.solvers[0], 1), world.solvers[0])
    world.do(world.vault.functions.flushBurned())
    world.do(world.token.functions.approve(world.vault.address, 1), world.solvers[0])
    world.do(world.vault.functions.deposit(1), world.solvers[0])
    facts = world.claims.functions.claimFacts(claim_id)
    spent["claimFacts"] = facts.estimate_gas({"from": world.stranger}) - 21_000

    wrong = {
        name: (GAS.get(name), used)
        for name, used in sorted(spent.items())
        if abs(used - GAS.get(name, 0)) > TOLERANCE * used and name not in ("approve", "transfer")
    }
    assert not wrong, f"gas changed (table, measured): {wrong}"
    assert set(GAS) <= set(spent)
