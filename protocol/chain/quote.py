"""What a market asks of everybody for a task: the twin of `quote` in `Requesting.sol`.

It needs no node, so that a requester sees stake, deposit and bond while it still chooses terms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protocol.chain.presets import MarketConstants
from protocol.chain.stake import WAD, Sampling, ceil_div, compute_bond, compute_required_stake

__all__ = ["Quote", "TermsError", "compute_quote"]

MAX_AMOUNT: Final = 2**128 - 1
MAX_VERIFIERS: Final = 16
MAX_DRAWN_SEGMENTS: Final = 64


class TermsError(ValueError):
    """Terms that every market refuses, as `TermRules.sol` does; with both values."""


@dataclass(frozen=True)
class Quote:
    """Amounts in token wei.

    Attributes:
        stake: of the solver.
        deposit: of a bid.
        bond: of a challenger.
        bond_ceiling: half of what a challenger wins; above it, small challengers stay away.
    """

    stake: int
    deposit: int
    bond: int
    bond_ceiling: int


def compute_quote(
    constants: MarketConstants,
    *,
    segments: int,
    max_reward: int,
    value_at_risk: int,
    verifiers: int,
    segments_per_verifier: int,
) -> Quote:
    """Return what a deployment with these constants asks for.

    Args:
        constants: of the deployment.
        segments: of the task.
        max_reward: token wei.
        value_at_risk: token wei.
        verifiers: as many as can be drawn; a market counts those that have staked.
        segments_per_verifier: that each re-runs.

    Raises:
        NoDetectionError: nobody would find a false segment.
        TermsError: the market would refuse the terms.
    """
    _bound("max-reward", 1, MAX_AMOUNT, max_reward)
    _bound("value-at-risk", 0, MAX_AMOUNT, value_at_risk)
    _bound("verifiers", 0, MAX_VERIFIERS, verifiers)
    if verifiers:
        most = min(MAX_DRAWN_SEGMENTS // verifiers, segments)
        _bound("segments-per-verifier", 1, most, segments_per_verifier)
    else:
        _bound("segments-per-verifier", 0, 0, segments_per_verifier)
    sampling = Sampling(
        segments,
        segments_per_verifier,
        verifiers,
        constants.honest_wad,
        constants.open_check_wad,
    )
    cost = ceil_div(max_reward, segments)
    stake = compute_required_stake(
        sampling, cost, value_at_risk, max_reward, constants.challenger_wad
    )
    return Quote(
        stake=stake,
        deposit=ceil_div(max_reward * constants.deposit_wad, WAD),
        bond=compute_bond(cost, stake, constants.bond_rates),
        bond_ceiling=stake * constants.challenger_wad // WAD // 2,
    )


def _bound(name: str, least: int, most: int, value: int) -> None:
    if not least <= value <= most:
        raise TermsError(f"{name} is {value}, a market takes {least} to {most}")
