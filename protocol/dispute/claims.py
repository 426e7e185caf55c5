"""What the game needs of the market and the vault, as plain data: claims, credits, pots.

The twin of ``contracts/interfaces/IClaims.sol`` as far as the dispute uses it. The market's own
rules (stakes, windows, finality) are not here: a test sets the facts of a claim and reads what
became of it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from protocol.dispute.refusal import Refusal, require
from protocol.dispute.state import ClaimFacts


@dataclass(slots=True)
class Claims:
    """Claims of a market, open to disputes until they fall or are finalised."""

    facts: dict[bytes, ClaimFacts] = field(default_factory=dict)
    fallen: dict[bytes, str] = field(default_factory=dict)
    """Fallen claims and the beneficiary of the first conviction, which is the one that counts."""
    finalised: set[bytes] = field(default_factory=set)
    open_disputes: Counter[bytes] = field(default_factory=Counter)
    drawn: set[tuple[bytes, int, str]] = field(default_factory=set)
    """(claim, segment, verifier) for each drawn verifier."""

    def facts_of(self, claim_id: bytes) -> ClaimFacts:
        """Facts of a claim. Refusal UnknownClaim."""
        require(claim_id in self.facts, "UnknownClaim", claim_id.hex())
        return self.facts[claim_id]

    def is_disputable(self, claim_id: bytes) -> bool:
        """Submitted, not fallen, not finalised."""
        known = claim_id in self.facts
        return known and claim_id not in self.fallen and claim_id not in self.finalised

    def is_fallen(self, claim_id: bytes) -> bool:
        """Whether a dispute against the claim was won."""
        return claim_id in self.fallen

    def is_drawn(self, claim_id: bytes, segment: int, verifier: str) -> bool:
        """Whether ``verifier`` was drawn for the segment."""
        return (claim_id, segment, verifier) in self.drawn

    def convict(self, claim_id: bytes, beneficiary: str) -> None:
        """The claim falls, once."""
        self.fallen.setdefault(claim_id, beneficiary)

    def finalise(self, claim_id: bytes, now: int) -> None:
        """What the market does at the end: Refusal unless nothing is open and the time is over."""
        facts = self.facts_of(claim_id)
        require(self.is_disputable(claim_id), "ClaimClosed", claim_id.hex())
        require(now >= facts.reveal_end, "RevealNotOver", facts.reveal_end, now)
        count = self.open_disputes[claim_id]
        require(count == 0, "DisputesOpen", count)
        self.finalised.add(claim_id)


@dataclass(slots=True)
class Vault:
    """Credits that their owners may withdraw, pots bound to a bond, and what was burned (wei)."""

    credits: Counter[str] = field(default_factory=Counter)
    pots: Counter[bytes] = field(default_factory=Counter)
    burned: int = 0

    @property
    def total(self) -> int:
        """All that came in and was not withdrawn."""
        return self.credits.total() + self.pots.total() + self.burned

    def take(self, account: str, pot: bytes, amount: int) -> None:
        """Credit to pot. Refusal InsufficientCredit."""
        if self.credits[account] < amount:
            raise Refusal("InsufficientCredit", account, amount, self.credits[account])
        self.credits[account] -= amount
        self.pots[pot] += amount

    def release(self, pot: bytes, account: str, amount: int) -> None:
        """Pot to credit."""
        assert self.pots[pot] >= amount, "the bond's pot holds the bond"
        self.pots[pot] -= amount
        self.credits[account] += amount

    def burn(self, pot: bytes, amount: int) -> None:
        """Pot to nobody."""
        assert self.pots[pot] >= amount, "the bond's pot holds the bond"
        self.pots[pot] -= amount
        self.burned += amount
