"""What a transaction offers for gas (EIP-1559), and how far it goes when it is not taken.

A first offer is twice the present base fee and a tip, at most the cap. A transaction that waits too
long is offered again with more, in steps that nodes accept as a replacement, up to the cap; at the
cap it stays and waits for the base fee to fall.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from web3 import Web3

GWEI: Final = 10**9
RAISE_PERCENT: Final = 15
"""Nodes take a replacement that offers a tenth more; some ask for an eighth."""


@dataclass(frozen=True)
class Offer:
    """Wei for a unit of gas: the most altogether, and the tip within it."""

    max_fee: int
    tip: int


@dataclass(frozen=True)
class FeePolicy:
    """How much an account pays.

    Attributes:
        cap: most wei for a unit of gas.
        urgent_cap: the same where a clock runs against a stake or a bond.
        tip: wei for the block's builder.
    """

    cap: int = 100 * GWEI
    urgent_cap: int = 500 * GWEI
    tip: int = GWEI // 10

    def __post_init__(self) -> None:
        if not 0 < self.cap <= self.urgent_cap:
            raise ValueError(
                f"the fee cap is {self.cap} wei and the urgent one {self.urgent_cap}: "
                "the first must be positive and not above the second"
            )

    def cap_of(self, *, urgent: bool) -> int:
        """The cap that holds for a transaction."""
        return self.urgent_cap if urgent else self.cap

    def first(self, base_fee: int, *, urgent: bool) -> Offer:
        """The offer of a new transaction."""
        cap = self.cap_of(urgent=urgent)
        max_fee = min(2 * base_fee + self.tip, cap)
        return Offer(max_fee, min(self.tip, max_fee))

    def raised(self, last: Offer, base_fee: int, *, urgent: bool) -> Offer | None:
        """A higher offer for the same nonce; None if the last one was at the cap.

        The last step up to the cap may be too small for a node that still holds the offer before;
        then that one stands. One that has dropped it, or never took it, takes the cap.
        """
        cap = self.cap_of(urgent=urgent)
        if last.max_fee >= cap:
            return None
        wanted = self.first(base_fee, urgent=urgent)
        max_fee = min(max(_raise(last.max_fee), wanted.max_fee), cap)
        return Offer(max_fee, min(max(_raise(last.tip), wanted.tip), max_fee))


def base_fee_of(w3: Web3) -> int:
    """Base fee of the latest block, wei; 0 on a chain without one."""
    return int(w3.eth.get_block("latest").get("baseFeePerGas", 0))


def _raise(amount: int) -> int:
    return amount + max(1, -(-amount * RAISE_PERCENT // 100))
