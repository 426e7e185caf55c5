"""Constants of deployments: `minimal`, `local`, `devnet`.

`minimal` is for tests in virtual time, `local` for nodes on one machine that keep real time: it has
seconds where `devnet` has hours.

A deployment's constants never change; nobody owns it. Where prices have moved (gas against token),
one deploys anew.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, replace
from typing import Any

from protocol.chain.stake import WAD, BondRates

__all__ = ["DEVNET", "LOCAL", "MINIMAL", "PRESETS", "DisputeConstants", "MarketConstants", "Preset"]

MINUTE = 60
HOUR = 60 * MINUTE
DAY = 24 * HOUR
TOKEN = 10**18


@dataclass(frozen=True)
class MarketConstants:
    """The struct `Constants` of `IMarket.sol`, in its order; wads unless a unit is named."""

    open_reveal_seconds: int
    reopen_seconds: int
    max_seconds: int
    max_window_seconds: int
    draw_delay_blocks: int
    honest_wad: int
    open_check_wad: int
    challenger_wad: int
    requester_wad: int
    deposit_wad: int
    no_show_wad: int
    hashing_wad: int
    trace_wad: int
    clock_miss_wad: int
    solver_gas: int
    wei_per_gas: int

    def to_tuple(self) -> tuple[Any, ...]:
        """The struct as web3 takes it."""
        return astuple(self)

    @property
    def bond_rates(self) -> BondRates:
        """What the challenger's bond depends on."""
        return BondRates(
            gas_cover=self.solver_gas * self.wei_per_gas,
            hashing_wad=self.hashing_wad,
            trace_wad=self.trace_wad,
            clock_miss_wad=self.clock_miss_wad,
            reward_wad=self.challenger_wad + self.requester_wad,
        )


@dataclass(frozen=True)
class DisputeConstants:
    """The struct `Parameters` of `IDispute.sol`, in its order."""

    solver_seconds: int
    opener_seconds: int
    grace_seconds: int
    cover_share: int
    unrevealed_share: int

    def to_tuple(self) -> tuple[Any, ...]:
        """The struct as web3 takes it."""
        return astuple(self)


@dataclass(frozen=True)
class Preset:
    """All constants of a deployment.

    Attributes:
        name: How the command line calls it.
        market: The market's constants.
        dispute: The dispute's constants.
        minimum_verifier_stake: Token wei.
        unbonding_seconds: At least the longest life of a claim and its disputes.
        token_supply: Token wei that a development token mints to its deployer.
    """

    name: str
    market: MarketConstants
    dispute: DisputeConstants
    minimum_verifier_stake: int
    unbonding_seconds: int
    token_supply: int


# Gas at 0.05 gwei, ether at 3,000 tokens: the longest dispute (docs/GAS.md) costs its solver 0.6
# tokens.
_SOLVER_GAS = 4_000_000
_WEI_PER_GAS = 150_000_000_000

# q is 0 wherever it cannot be defended; tests may rely on a challenger, and post without verifiers.
MINIMAL = Preset(
    name="minimal",
    market=MarketConstants(
        open_reveal_seconds=60,
        reopen_seconds=600,
        max_seconds=30 * DAY,
        max_window_seconds=7 * DAY,
        draw_delay_blocks=2,
        honest_wad=WAD // 2,
        open_check_wad=WAD // 5,
        challenger_wad=WAD // 4,
        requester_wad=WAD // 4,
        deposit_wad=WAD // 20,
        no_show_wad=WAD // 10,
        hashing_wad=WAD,
        trace_wad=WAD // 10,
        clock_miss_wad=WAD // 200,
        solver_gas=_SOLVER_GAS,
        wei_per_gas=_WEI_PER_GAS,
    ),
    dispute=DisputeConstants(
        solver_seconds=600,
        opener_seconds=600,
        grace_seconds=30,
        cover_share=WAD // 2,
        unrevealed_share=WAD // 10,
    ),
    minimum_verifier_stake=100 * TOKEN,
    unbonding_seconds=8 * DAY,
    token_supply=10**9 * TOKEN,
)

# Everything that a person would wait for takes seconds; the rest is that of `minimal`.
LOCAL = Preset(
    name="local",
    market=replace(MINIMAL.market, open_reveal_seconds=10, reopen_seconds=60),
    dispute=replace(MINIMAL.dispute, solver_seconds=120, opener_seconds=120, grace_seconds=20),
    minimum_verifier_stake=MINIMAL.minimum_verifier_stake,
    unbonding_seconds=MINIMAL.unbonding_seconds,
    token_supply=MINIMAL.token_supply,
)

DEVNET = Preset(
    name="devnet",
    market=MarketConstants(
        open_reveal_seconds=HOUR,
        reopen_seconds=7 * DAY,
        max_seconds=90 * DAY,
        max_window_seconds=14 * DAY,
        draw_delay_blocks=4,
        honest_wad=WAD // 2,
        open_check_wad=0,
        challenger_wad=WAD // 4,
        requester_wad=WAD // 4,
        deposit_wad=WAD // 20,
        no_show_wad=WAD // 10,
        hashing_wad=WAD,
        trace_wad=WAD // 10,
        clock_miss_wad=WAD // 200,
        solver_gas=_SOLVER_GAS,
        wei_per_gas=_WEI_PER_GAS,
    ),
    dispute=DisputeConstants(
        solver_seconds=DAY,
        opener_seconds=DAY,
        grace_seconds=5 * MINUTE,
        cover_share=WAD // 2,
        unrevealed_share=WAD // 10,
    ),
    minimum_verifier_stake=1_000 * TOKEN,
    # The longest window, T_rev, two budgets, 37 graces, and days for the queue.
    unbonding_seconds=21 * DAY,
    token_supply=10**9 * TOKEN,
)

PRESETS = {preset.name: preset for preset in (MINIMAL, LOCAL, DEVNET)}
