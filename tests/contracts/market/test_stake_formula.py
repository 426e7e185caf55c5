"""Stake and bond: Solidity against Python on random parameters, and the worked numbers."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest

from protocol.chain.stake import (
    WAD,
    BondRates,
    NoDetectionError,
    Sampling,
    compute_bond,
    compute_escapes,
    compute_required_stake,
)
from tests.contracts.revm import RevertedError, Revm

TOKEN = 10**18
QUARTER, HALF = WAD // 4, WAD // 2
RATES = BondRates(0, WAD, WAD, WAD // 200, HALF)


@pytest.fixture(scope="module")
def formula():
    return Revm("StakeFormulaHarness")


def random_case(rng: random.Random):
    segments = rng.choice([1, 2, rng.randint(1, 100), rng.randint(1, 10_000), 2**32 - 1])
    verifiers = rng.randint(0, 16)
    per_verifier = rng.randint(1, min(segments, 64)) if verifiers else 0
    money = [0, 1, rng.randrange(10**6), rng.randrange(10**24), 2**128 - 1]
    shares = [0, 1, rng.randrange(WAD), WAD // 2, WAD]
    sampling = Sampling(segments, per_verifier, verifiers, rng.choice(shares), rng.choice(shares))
    rates = BondRates(
        gas_cover=rng.choice(money),
        hashing_wad=rng.choice(shares),
        trace_wad=rng.choice(shares),
        clock_miss_wad=rng.choice([0, 1, rng.randrange(WAD), WAD - 1]),
        reward_wad=rng.choice(shares),
    )
    max_reward = max(1, rng.choice(money))
    cost = -(-max_reward // segments)
    return sampling, rates, cost, rng.choice(money), max_reward, rng.randrange(WAD // 2 + 1)


def to_abi(case):
    sampling, rates, *rest = case
    fields = [tuple(vars(sampling).values()), tuple(vars(rates).values())]
    return (*fields, *rest)


def test_solidity_and_python_agree_on_thousands_of_parameters(formula):
    rng = random.Random(3)
    cases, stakes, bonds, refused = [], [], [], 0
    while len(cases) < 4_000:
        case = random_case(rng)
        sampling, rates, cost, risk, max_reward, chi = case
        try:
            stake = compute_required_stake(sampling, cost, risk, max_reward, chi)
        except NoDetectionError:
            refused += 1
            with pytest.raises(RevertedError, match="NoDetection"):
                formula.call("evaluate", [to_abi(case)])
            continue
        cases.append(to_abi(case))
        stakes.append(stake)
        bonds.append(compute_bond(cost, stake, rates))
    for i in range(0, len(cases), 500):
        got = formula.call("evaluate", cases[i : i + 500])
        assert [list(part) for part in got] == [stakes[i : i + 500], bonds[i : i + 500]]
    assert refused > 50  # so both sides of the refusal were met


def test_no_detection_names_its_parameters(formula):
    case = (Sampling(10, 0, 0, HALF, 0), RATES, 1, 0, 10, QUARTER)
    with pytest.raises(RevertedError) as caught:
        formula.call("evaluate", [to_abi(case)])
    assert (caught.value.error, caught.value.arguments) == ("NoDetection", (0, 0, HALF, 0))
    with pytest.raises(NoDetectionError, match="ask for verifiers"):
        compute_required_stake(case[0], 1, 0, 10, QUARTER)


@pytest.mark.parametrize(
    ("segments", "k", "v", "h", "q", "one", "every"),
    [
        # GAME section 3, columns d(1) and d(G), in thousandths.
        (10, 2, 3, 5, 0, 271, 875),
        (100, 1, 1, 5, 0, 5, 500),
        (100, 2, 3, 5, 0, 30, 875),
        (100, 2, 3, 9, 0, 53, 999),
        (100, 2, 3, 5, 2, 224, 900),
        (100, 10, 4, 5, 0, 185, 938),
        (1000, 2, 3, 5, 0, 3, 875),
    ],
)
def test_detection_is_that_of_the_table(formula, segments, k, v, h, q, one, every):
    sampling = Sampling(segments, k, v, h * WAD // 10, q * WAD // 10)
    escapes = compute_escapes(sampling)
    assert [round((WAD - e) * 1000 / WAD) for e in escapes] == [one, every]
    assert tuple(formula.call("escapes", tuple(vars(sampling).values()))) == escapes


@pytest.mark.parametrize(
    ("segments", "k", "v", "h", "q", "ratios"),
    [
        # S/P for B/P = 0, 0.1, 1 at c = 0.8 P / G, chi = 1/4; 0: the floor S = P holds.
        (10, 2, 3, 5, 0, (0, 0, 2.6)),
        (100, 1, 1, 5, 0, (0.8, 27, 266)),
        (100, 2, 3, 5, 0, (0, 3.4, 42.6)),
        (100, 2, 3, 9, 0, (0, 1.2, 22.7)),
        (100, 2, 3, 5, 2, (0, 0, 3.3)),
        (100, 10, 4, 5, 0, (0, 0, 4.6)),
        (1000, 2, 3, 5, 0, (0, 43, 443)),
    ],
)
def test_stake_is_that_of_the_table(segments, k, v, h, q, ratios):
    sampling = Sampling(segments, k, v, h * WAD // 10, q * WAD // 10)
    reward = 10**6 * TOKEN
    for risk, ratio in zip((0, reward // 10, reward), ratios, strict=True):
        stake = compute_required_stake(
            sampling, reward * 8 // 10 // segments, risk, reward, QUARTER
        )
        shown = Fraction(stake, reward)
        decimals = 1 if ratio < 25 or ratio == 42.6 else 0
        assert round(float(shown), decimals) == max(ratio, 1)


@pytest.mark.parametrize(("risk", "stake"), [(100, 3_382), (1_000, 42_584), (0, 1_000)])
def test_stake_of_the_worked_example(formula, risk, stake):
    sampling = Sampling(100, 2, 3, HALF, 0)
    money = (8 * TOKEN, risk * TOKEN, 1_000 * TOKEN)
    assert round(compute_required_stake(sampling, *money, QUARTER) / TOKEN) == stake
    stakes, _ = formula.call("evaluate", [to_abi((sampling, RATES, *money, QUARTER))])
    assert round(stakes[0] / TOKEN) == stake


@pytest.mark.parametrize(("gwei_hundredths", "bond"), [(5, 49), (100, 60), (3_000, 408)])
def test_bond_of_the_worked_example(gwei_hundredths, bond):
    # P = 1,000, c = 8: twice the gas and 16 + 8; ether at 3,000 tokens.
    gas_cover = 2_000_000 * gwei_hundredths * 10**7 * 3_000
    rates = BondRates(gas_cover, WAD, WAD, WAD // 200, HALF)
    exact = compute_bond(8 * TOKEN, 1_000 * TOKEN, rates)
    assert round(exact / TOKEN) == bond


def test_bond_covers_gambling_on_a_missed_clock():
    # pi = 0.5 %, S = 8,000, chi + rho = 0.5: the second term is 20.
    assert round(compute_bond(0, 8_000 * TOKEN, RATES) / TOKEN) == 20


def test_stake_rounds_up():
    sampling = Sampling(3, 1, 3, HALF, WAD // 3)
    one, every = compute_escapes(sampling)
    exact = 1 - Fraction(2, 3) * (1 - Fraction(1, 6)) ** 3
    assert Fraction(WAD - one, WAD) <= exact
    assert exact - Fraction(WAD - one, WAD) < Fraction(10, WAD)
    assert Fraction(WAD - every, WAD) <= 1 - Fraction(2, 3) * Fraction(1, 8)
    stake = compute_required_stake(sampling, 7, 1_000, 10, QUARTER)
    needed = ((7 + (1 - exact) * 1_000) / exact - 10) / Fraction(3, 4)
    assert needed <= stake <= needed + 3


def test_more_value_at_risk_or_fewer_samples_never_lower_the_stake():
    rng = random.Random(5)
    for _ in range(500):
        segments = rng.randint(2, 500)
        k, v = rng.randint(1, min(8, segments - 1)), rng.randint(1, 6)
        h, q = rng.randint(1, WAD), rng.randint(0, WAD // 2)
        risk = rng.randrange(10**22)
        args = (10**21 // segments, risk, 10**21, QUARTER)
        stake = compute_required_stake(Sampling(segments, k, v, h, q), *args)
        more = compute_required_stake(
            Sampling(segments, k, v, h, q), args[0], risk + 10**20, *args[2:]
        )
        assert more >= stake
        fewer = compute_required_stake(Sampling(segments, k, v - 1, h, max(q, 1)), *args)
        assert fewer >= stake
