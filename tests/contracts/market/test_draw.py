"""The draw: which verifiers, which segments, when, and that waiting helps nobody (P16)."""

from __future__ import annotations

from collections import Counter
from hashlib import sha256

import pytest

from protocol.chain.market import ClaimPhase
from tests.contracts.market.world import TOKEN, World

MINIMUM = 100 * TOKEN
# The draw's blocks are a second apart: the window has to last for all of them.
LONG = {"window_seconds": 10_000}


def drawn_terms(world: World, verifiers: int = 3, each: int = 1, **changes):
    return world.terms(
        verifiers=verifiers,
        segments_per_verifier=each,
        verifier_fee=7 * TOKEN,
        **{**LONG, **changes},
    )


def seeds(count: int) -> list[bytes]:
    return [sha256(b"%d" % i).digest() for i in range(count)]


# --- segments -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("total", "each", "verifiers"),
    [(1, 1, 1), (1, 1, 16), (4, 4, 1), (10, 2, 3), (7, 5, 4), (100, 4, 16), (2**32 - 1, 4, 16)],
)
def test_segments_are_distinct_as_far_as_there_are_enough(world: World, total, each, verifiers):
    harness = world.chain.deploy("DrawHarness")
    for seed in seeds(5):
        drawn = world.ask(harness.functions.segments(total, each, verifiers, seed))
        assert len(drawn) == each * verifiers
        assert all(1 <= s <= total for s in drawn)
        for i in range(verifiers):
            assert len(set(drawn[i * each : (i + 1) * each])) == each
        times = Counter(drawn)
        assert len(times) == min(total, each * verifiers)
        assert max(times.values()) - min(times.values()) <= 1


def test_segments_are_drawn_equally_often_at_every_place(world: World):
    harness = world.chain.deploy("DrawHarness")
    places = [Counter() for _ in range(4)]
    for seed in seeds(400):
        drawn = world.ask(harness.functions.segments(5, 2, 2, seed))
        for place, segment in zip(places, drawn, strict=True):
            place[segment] += 1
    # 400 draws of 5: 80 expected, 8 the standard deviation.
    assert all(45 < place[s] < 115 for place in places for s in range(1, 6))


# --- verifiers ----------------------------------------------------------------------------------


def test_verifiers_are_distinct_and_all_are_drawn_if_all_are_wanted(world: World):
    world.stake_verifiers(MINIMUM, 50 * MINIMUM, MINIMUM, 3 * MINIMUM)
    then = world.chain.now()
    world.chain.advance(5)
    harness = world.chain.deploy("DrawHarness")
    for wanted in (1, 2, 3, 4, 16):
        fn = harness.functions.verifiersOfMany(world.registry.address, then, wanted, seeds(20))
        for drawn in world.ask(fn):
            assert len(drawn) == len(set(drawn)) == min(wanted, 4)
            assert set(drawn) <= set(world.verifiers[:4])


def test_verifiers_are_drawn_by_weight_without_replacement(world: World):
    weights = [1, 2, 5]
    world.stake_verifiers(*(w * MINIMUM for w in weights))
    then = world.chain.now()
    world.chain.advance(5)
    harness = world.chain.deploy("DrawHarness")
    fn = harness.functions.verifiersOfMany(world.registry.address, then, 2, seeds(600))
    pairs = Counter(tuple(world.verifiers.index(v) for v in drawn) for drawn in world.ask(fn))
    for first in range(3):
        for second in {0, 1, 2} - {first}:
            rest = 8 - weights[first]
            chance = weights[first] / 8 * weights[second] / rest
            # Six hundred draws: within four standard deviations.
            deviation = (600 * chance * (1 - chance)) ** 0.5
            assert abs(pairs[first, second] - 600 * chance) < 4 * deviation


# --- the move -----------------------------------------------------------------------------------


def test_draw_stores_verifiers_and_segments_and_says_so(world: World):
    world.stake_verifiers(*[MINIMUM] * 5)
    terms = drawn_terms(world, verifiers=2, each=2)
    _, claim_id = world.submitted(terms)
    claim = world.draw(claim_id)
    assert claim.drawn
    assert len(set(claim.verifiers)) == 2
    assert sorted(claim.segments) == [1, 2, 3, 4]
    for verifier in world.verifiers[:5]:
        own = claim.segments_of(verifier)
        for segment in range(6):
            is_drawn = world.claims.functions.isDrawn(claim_id, segment, verifier)
            assert world.ask(is_drawn) == (segment in own)
    fn = world.claims.functions.draw(claim_id)
    world.refuses(fn, None, "AlreadyDrawn", claim_id)


def test_draw_uses_the_weights_of_the_second_before_the_submission(world: World):
    early, late = world.verifiers[:2]
    terms = drawn_terms(world, verifiers=2)
    world.do(world.registry.functions.stake(MINIMUM), early)
    task_id = world.assigned(terms)
    submission = world.chain.now() + 50
    world.chain.set_next_time(submission)
    # Nothing shares the submission's second here: staked after it, not drawn.
    claim_id = world.submit(task_id, terms)
    world.do(world.registry.functions.stake(500 * MINIMUM), late)
    world.do(world.registry.functions.requestUnbond(MINIMUM), early)
    assert world.claim(claim_id).submitted_at == submission
    assert world.draw(claim_id).verifiers == (early,)


def test_draw_without_any_weight_goes_on_without_verifiers(world: World):
    task_id, claim_id = world.submitted(drawn_terms(world))
    assert world.draw(claim_id).verifiers == ()
    assert not world.ask(world.claims.functions.isDrawn(claim_id, 1, world.verifiers[0]))
    world.finalise(claim_id)
    world.assert_settled()
    assert world.task(task_id).claim_id == claim_id


def test_draw_before_the_target_block_has_a_hash_is_refused(world: World):
    _, claim_id = world.submitted(drawn_terms(world))
    target = world.claim(claim_id).target_block
    fn = world.claims.functions.draw(claim_id)
    submission = world.chain.w3.eth.block_number
    assert target == submission + world.preset.market.draw_delay_blocks
    world.refuses(fn, None, "DrawTooEarly", target, submission + 1)
    world.refuses(fn, None, "DrawTooEarly", target, target)  # its own hash is not known yet
    world.do(fn)


def mine_to_before(world: World, block: int) -> None:
    """The next transaction is in that block."""
    world.chain.mine(block - 1 - world.chain.w3.eth.block_number)


def seed_of(world: World, receipt) -> bytes:
    return world.event(world.claims, "VerifiersDrawn", receipt)["seed"]


def test_draw_gives_the_same_seed_however_late_it_comes(world: World):
    # P19: within the 256 blocks of the first target, and again within those of the second.
    _, claim_id = world.submitted(drawn_terms(world))
    target = world.claim(claim_id).target_block
    fn = world.claims.functions.draw(claim_id)
    found = []
    for first, last in [(target + 1, target + 256), (target + 258, target + 513)]:
        for block in (first, last):
            start = world.chain.snapshot()
            mine_to_before(world, block)
            found.append(seed_of(world, world.do(fn)))
            world.chain.revert(start)
    assert found[0] == found[1] != found[2] == found[3]


def test_draw_that_missed_its_target_waits_for_the_second_and_then_expires(world: World):
    _, claim_id = world.submitted(drawn_terms(world))
    target = world.claim(claim_id).target_block
    fn = world.claims.functions.draw(claim_id)
    # At the first block without the old hash, the new target's hash does not exist yet.
    mine_to_before(world, target + 257)
    world.refuses(fn, None, "DrawTooEarly", target + 257, target + 257)
    mine_to_before(world, target + 514)
    world.refuses(fn, None, "DrawExpired", target + 513, target + 514)
    assert not world.claim(claim_id).drawn
    world.finalise(claim_id)
    world.assert_settled()


@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_draw_around_the_end_of_the_window_works_only_before_it(world: World, offset):
    _, claim_id = world.submitted(drawn_terms(world, window_seconds=100))
    world.chain.mine(5)
    fn = world.claims.functions.draw(claim_id)
    at = world.window_end(claim_id) + offset
    if offset < 0:
        world.do(fn, at=at)
    else:
        phases = (ClaimPhase.WINDOW, ClaimPhase.REVEALS)
        world.refuses(fn, None, "WrongClaimPhase", claim_id, *phases, at=at)


def test_draw_of_an_unknown_claim_is_refused(world: World):
    fn = world.claims.functions.draw(b"\x01" * 32)
    world.refuses(fn, None, "UnknownClaim", b"\x01" * 32)
