"""The quote that needs no node: equal to the market's, and refused where the market refuses."""

from __future__ import annotations

import pytest

from protocol.chain.presets import DEVNET, MINIMAL
from protocol.chain.quote import Quote, TermsError, compute_quote
from protocol.chain.reverts import Reverted
from protocol.chain.stake import NoDetectionError
from tests.contracts.market.world import TOKEN, World

TERMS = {
    "max_reward": 1_000 * TOKEN,
    "value_at_risk": 500 * TOKEN,
    "verifiers": 3,
    "segments_per_verifier": 2,
}


@pytest.mark.parametrize(
    ("steps", "changes"),
    [
        (100, {}),
        (7, {"max_reward": 1, "value_at_risk": 0}),
        (3, {"max_reward": 1_001, "segments_per_verifier": 3}),
        (64, {"verifiers": 1, "segments_per_verifier": 64, "value_at_risk": 10**9 * TOKEN}),
        (10, {"verifiers": 0, "segments_per_verifier": 0}),
    ],
)
def test_quote_is_the_markets_to_the_wei(steps, changes, world: World) -> None:
    world.stake_verifiers(*[100 * TOKEN] * 3)
    terms = TERMS | changes
    asked = world.ask(
        world.market.functions.quote(world.terms(steps=steps, interval=1, **terms).to_tuple())
    )
    assert compute_quote(world.preset.market, segments=steps, **terms) == Quote(*asked)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"max_reward": 0}, "max-reward is 0, a market takes 1 to"),
        ({"verifiers": 17}, "verifiers is 17, a market takes 0 to 16"),
        ({"segments_per_verifier": 0}, "segments-per-verifier is 0, a market takes 1 to 10"),
        ({"segments_per_verifier": 11}, "a market takes 1 to 10"),
        ({"verifiers": 16, "segments_per_verifier": 5}, "a market takes 1 to 4"),
        ({"verifiers": 0}, "segments-per-verifier is 2, a market takes 0 to 0"),
    ],
)
def test_terms_that_the_market_refuses_have_no_quote(changes, says, world: World) -> None:
    terms = TERMS | changes
    with pytest.raises(TermsError, match=says):
        compute_quote(MINIMAL.market, segments=10, **terms)
    call = world.market.functions.quote(world.terms(steps=10, interval=1, **terms).to_tuple())
    with pytest.raises(Reverted):
        world.chain.call(call)


@pytest.mark.parametrize("name", ["max_reward", "value_at_risk"])
def test_amount_that_no_terms_can_hold_has_no_quote(name) -> None:
    with pytest.raises(TermsError, match="a market takes"):
        compute_quote(MINIMAL.market, segments=10, **TERMS | {name: 2**128})


def test_quote_without_any_detection_is_refused() -> None:
    terms = TERMS | {"verifiers": 0, "segments_per_verifier": 0}
    with pytest.raises(NoDetectionError):
        compute_quote(DEVNET.market, segments=10, **terms)
