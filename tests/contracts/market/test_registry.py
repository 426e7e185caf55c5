"""Verifiers' stakes, unbonding, and the weights' history."""

from __future__ import annotations

import random

import pytest

from tests.contracts.market.world import TOKEN, World

MINIMUM = 100 * TOKEN


def test_stake_moves_credit_into_weight(world: World):
    verifier = world.verifiers[0]
    receipt = world.do(world.registry.functions.stake(MINIMUM), verifier)
    world.do(world.registry.functions.stake(1), verifier)
    assert world.event(world.registry, "Staked", receipt)["stake"] == MINIMUM
    assert world.ask(world.registry.functions.stakeOf(verifier)) == MINIMUM + 1
    assert world.ask(world.registry.functions.totalWeight()) == MINIMUM + 1
    assert world.ask(world.registry.functions.verifierCount()) == 1
    assert world.gain(verifier) == -MINIMUM - 1
    world.audit()


def test_stake_below_the_minimum_is_refused(world: World):
    verifier, few = world.verifiers[0], MINIMUM - 1
    fn = world.registry.functions.stake(few)
    world.refuses(fn, verifier, "StakeBelowMinimum", MINIMUM, few)
    world.do(world.registry.functions.stake(MINIMUM), verifier)
    fn = world.registry.functions.requestUnbond(1)
    world.refuses(fn, verifier, "StakeBelowMinimum", MINIMUM, few)


def test_zero_amounts_are_refused(world: World):
    world.refuses(world.registry.functions.stake(0), None, "ZeroAmount")
    world.refuses(world.registry.functions.requestUnbond(0), None, "ZeroAmount")


def test_unbond_more_than_staked_is_refused(world: World):
    verifier = world.verifiers[0]
    world.do(world.registry.functions.stake(MINIMUM), verifier)
    fn = world.registry.functions.requestUnbond(MINIMUM + 1)
    world.refuses(fn, verifier, "UnbondAboveStake", MINIMUM + 1, MINIMUM)


def test_unbond_takes_weight_off_at_once_and_pays_after_its_time(world: World):
    verifier = world.verifiers[0]
    world.do(world.registry.functions.stake(MINIMUM), verifier)
    receipt = world.do(world.registry.functions.requestUnbond(MINIMUM), verifier)
    release_at = world.event(world.registry, "UnbondRequested", receipt)["releaseAt"]
    assert release_at == world.chain.now() + world.preset.unbonding_seconds
    assert world.ask(world.registry.functions.totalWeight()) == 0
    assert world.ask(world.registry.functions.verifierCount()) == 0
    fn = world.registry.functions.completeUnbond()
    early = release_at - 1
    world.refuses(fn, verifier, "StillUnbonding", release_at, early, at=early)
    world.do(fn, verifier, at=release_at)
    assert world.gain(verifier) == 0
    world.refuses(fn, verifier, "NothingUnbonding", verifier)
    world.assert_settled()


def test_unbond_a_second_time_joins_the_first_and_starts_anew(world: World):
    verifier = world.verifiers[0]
    world.do(world.registry.functions.stake(3 * MINIMUM), verifier)
    world.do(world.registry.functions.requestUnbond(MINIMUM), verifier)
    world.chain.advance(1_000)
    world.do(world.registry.functions.requestUnbond(MINIMUM), verifier)
    release_at = world.chain.now() + world.preset.unbonding_seconds
    pending = world.ask(world.registry.functions.unbondingOf(verifier))
    assert list(pending) == [2 * MINIMUM, release_at]
    world.do(world.registry.functions.completeUnbond(), verifier, at=release_at)
    assert world.gain(verifier) == -MINIMUM
    world.audit()


def test_find_of_the_present_or_outside_the_weight_is_refused(world: World):
    world.do(world.registry.functions.stake(MINIMUM), world.verifiers[0])
    then = world.chain.now()
    world.chain.advance(10)
    registry = world.registry.functions
    # The next block's own second can still change.
    now = then + 20
    world.refuses(registry.find(0, now), None, "FutureTimepoint", now, now, at=now)
    world.refuses(registry.find(MINIMUM, then), None, "PointOutOfRange", MINIMUM, MINIMUM)
    world.refuses(registry.find(0, then - 1), None, "PointOutOfRange", 0, 0)
    assert world.ask(registry.find(MINIMUM - 1, then)) == [world.verifiers[0], 0, MINIMUM]


def test_find_uses_the_weights_of_its_time(world: World):
    # P16: weights are of before the submission.
    first, second = world.verifiers[:2]
    world.do(world.registry.functions.stake(MINIMUM), first)
    before = world.chain.now()
    world.chain.advance(10)
    world.do(world.registry.functions.stake(5 * MINIMUM), second)
    world.do(world.registry.functions.requestUnbond(MINIMUM), first)
    after = world.chain.now()
    world.chain.advance(10)
    registry = world.registry.functions
    assert world.ask(registry.totalWeightAt(before)) == MINIMUM
    assert world.ask(registry.totalWeightAt(after)) == 5 * MINIMUM
    assert world.ask(registry.find(0, before))[0] == first
    assert world.ask(registry.find(0, after))[0] == second


def test_weight_tree_agrees_with_a_list_at_every_time(world: World):
    tree = world.chain.deploy("DrawHarness")
    rng = random.Random(1)
    weights: list[int] = []
    history: list[tuple[int, list[int]]] = []
    time = 0
    for _ in range(60):
        time += rng.randint(1, 5)
        changes = {}
        for _ in range(rng.randint(1, 3)):
            grown = len(weights) + sum(s >= len(weights) for s in changes)
            slot = grown if rng.random() < 0.7 else rng.randrange(max(grown, 1))
            changes[slot] = rng.choice([0, 1, rng.randrange(10**30)])
        for slot, weight in changes.items():
            weights += [0] * (slot + 1 - len(weights))
            weights[slot] = weight
        world.do(tree.functions.set(list(changes), list(changes.values()), time))
        history.append((time, list(weights)))
    assert len(weights) > 64  # four levels deep
    for then, known in rng.sample(history, 25):
        total = sum(known)
        assert world.ask(tree.functions.totalAt(then)) == total
        if total == 0:
            continue
        starts = [sum(known[:i]) for i in range(len(known))]
        points = [p for s, w in zip(starts, known, strict=True) if w for p in (s, s + w - 1)]
        points = rng.sample(points, min(len(points), 20))
        slots, got_starts, got_weights = world.ask(tree.functions.find(points, then))
        for point, slot, start, weight in zip(points, slots, got_starts, got_weights, strict=True):
            assert (start, weight) == (starts[slot], known[slot])
            assert start <= point < start + weight


@pytest.mark.parametrize("count", [1, 4, 5, 16, 17, 64, 65])
def test_weight_tree_of_full_and_overfull_levels_finds_every_slot(world: World, count):
    tree = world.chain.deploy("DrawHarness")
    slots = list(range(count))
    for start in range(0, count, 16):
        part = slots[start : start + 16]
        world.do(tree.functions.set(part, [s + 1 for s in part], 5))
    starts = [s * (s + 1) // 2 for s in slots]
    found, got, weights = world.ask(tree.functions.find(starts, 5))
    assert [found, got, weights] == [slots, starts, [s + 1 for s in slots]]
