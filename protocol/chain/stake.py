"""What a solver must stake and a challenger must lock: the twin of `StakeFormula.sol`.

The same integer arithmetic, operation by operation, so that an agent knows a task's stake and bond
before it asks a node. Shares and probabilities are wads (10**18 = 1), money is token wei.

    d(n) = 1 - (1 - q) * [1 - h * (1 - miss(n))]^v,   miss(1) = (G - k) / G,   miss(G) = 0
    S >= max(Pmax, F(1), F(G)),   F(n) = [(n * c + (1 - d(n)) * B) / d(n) - Pmax] / (1 - chi)
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "WAD",
    "BondRates",
    "NoDetectionError",
    "Sampling",
    "compute_bond",
    "compute_escapes",
    "compute_required_stake",
]

WAD = 10**18


class NoDetectionError(ValueError):
    """Nobody would find a false segment, so that no finite stake deters a cheater."""


@dataclass(frozen=True)
class Sampling:
    """How much of a task is checked.

    Attributes:
        segments: G, segments of the task, at least 1.
        per_verifier: k, segments that each verifier re-runs, at most G.
        verifiers: v, as many as can be drawn.
        honest_wad: h, chance that a drawn verifier is honest, live, served and not bribed.
        open_check_wad: q, chance that an open challenger re-runs the false segment.
    """

    segments: int
    per_verifier: int
    verifiers: int
    honest_wad: int
    open_check_wad: int


@dataclass(frozen=True)
class BondRates:
    """A deployment's constants of the challenger's bond.

    Attributes:
        gas_cover: Token wei for the solver's worst gas in one dispute, at the price cap.
        hashing_wad: eta, extra cost of hashing each step, as a share of a segment's cost.
        trace_wad: Cost of tracing one step, as a share of a segment's cost.
        clock_miss_wad: pi, chance that an honest solver misses a clock in one dispute.
        reward_wad: chi + rho, what of a slashed stake is not burned.
    """

    gas_cover: int
    hashing_wad: int
    trace_wad: int
    clock_miss_wad: int
    reward_wad: int


def compute_required_stake(
    sampling: Sampling,
    segment_cost: int,
    value_at_risk: int,
    max_reward: int,
    challenger_wad: int,
) -> int:
    """Return the solver's stake S in token wei.

    Args:
        sampling: How much of the task is checked.
        segment_cost: c, what one segment costs to compute (the market uses Pmax / G, rounded up).
        value_at_risk: B, what an undetected cheat gains beyond the saved work.
        max_reward: Pmax.
        challenger_wad: chi, the challenger's share of a slashed stake.

    Raises:
        NoDetectionError: d(1) or d(G) is 0.
    """
    one, every = compute_escapes(sampling)
    total_cost = segment_cost * sampling.segments
    return max(
        max_reward,
        _deterring(sampling, one, segment_cost, value_at_risk, max_reward, challenger_wad),
        _deterring(sampling, every, total_cost, value_at_risk, max_reward, challenger_wad),
    )


def compute_escapes(sampling: Sampling) -> tuple[int, int]:
    """Return the wads 1 - d(1) and 1 - d(G), rounded up."""
    hit = sampling.honest_wad * sampling.per_verifier // sampling.segments
    hit_all = sampling.honest_wad if sampling.per_verifier else 0
    return _escape(sampling, hit), _escape(sampling, hit_all)


def compute_bond(segment_cost: int, stake: int, rates: BondRates) -> int:
    """Return the challenger's bond in token wei.

    It is twice the solver's cost of one dispute, and enough that false challenges hoping for a
    missed clock do not pay.
    """
    cost = (
        rates.gas_cover
        + ceil_div(segment_cost * (WAD + rates.hashing_wad), WAD)
        + ceil_div(segment_cost * rates.trace_wad, WAD)
    )
    prize = ceil_div(stake * rates.reward_wad, WAD)
    gamble = ceil_div(prize * rates.clock_miss_wad, WAD - rates.clock_miss_wad)
    return max(2 * cost, gamble)


def ceil_div(a: int, b: int) -> int:
    """Return a / b rounded up, for a >= 0 and b > 0."""
    return (a + b - 1) // b


def _deterring(
    sampling: Sampling,
    escape: int,
    saved: int,
    value_at_risk: int,
    max_reward: int,
    challenger_wad: int,
) -> int:
    detection = WAD - escape
    if detection == 0:
        raise NoDetectionError(
            f"{sampling.verifiers} verifiers of {sampling.per_verifier} segments, honest with "
            f"{sampling.honest_wad} / 1e18, and open checks of {sampling.open_check_wad} / 1e18 "
            "detect nothing, so no stake deters; ask for verifiers, or wait until some are staked"
        )
    gain = ceil_div(saved * WAD + escape * value_at_risk, detection)
    return ceil_div(max(gain - max_reward, 0) * WAD, WAD - challenger_wad)


def _escape(sampling: Sampling, hit: int) -> int:
    escape = WAD - sampling.open_check_wad
    for _ in range(sampling.verifiers):
        escape = ceil_div(escape * (WAD - hit), WAD)
    return escape
