"""The model and the contracts side by side: every move is played on both, and both must agree."""

from __future__ import annotations

from collections import Counter

from protocol.dispute.claims import Claims
from protocol.dispute.model import Model, Recover, no_signatures
from protocol.dispute.moves import Move
from protocol.dispute.refusal import Refusal
from protocol.dispute.state import ClaimFacts, segment_path, trace_path
from tests.dispute.evm import DisputeChain
from tests.dispute.games import PARAMETERS, START


class Twin(Model):
    """A model whose every move is also sent to the contracts."""

    def __init__(
        self,
        claims: dict[bytes, ClaimFacts],
        recover: Recover = no_signatures,
        chain: DisputeChain | None = None,
    ) -> None:
        super().__init__(PARAMETERS, Claims(dict(claims)), recover=recover)
        self.chain = chain or DisputeChain(PARAMETERS, START)
        for claim_id, facts in claims.items():
            self.chain.register(claim_id, facts)
        self.accepted: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()

    def deposit(self, account: str, amount: int) -> None:
        """Vault credit on both sides."""
        super().deposit(account, amount)
        self.chain.fund(account, amount)

    def draw(self, claim_id: bytes, segment: int, verifier: str) -> None:
        """Make an account the drawn verifier of a segment, on both sides."""
        self.claims.drawn.add((claim_id, segment, verifier))
        self.chain.claims.send(verifier, "setDrawn", claim_id, segment, verifier)

    def apply(self, dispute_id: bytes, move: Move, sender: str, now: int) -> None:
        """Play on both; the same refusal or the same new state."""
        expected = _outcome(super().apply, dispute_id, move, sender, now)
        got = _outcome(self.chain.apply, dispute_id, move, sender, now)
        name = type(move).__name__
        assert (expected and expected.reason) == (got and got.reason), (
            f"{name} by {sender} at {now}: the model says {expected}, the contracts say {got}"
        )
        if expected is not None:
            self.refused[f"{name} {expected.reason}"] += 1
            raise expected
        self.accepted[name] += 1
        self.compare(dispute_id, now)

    def compare(self, dispute_id: bytes, now: int) -> None:
        """Position, clocks and stored roots of one dispute agree."""
        if dispute_id not in self.records:
            return
        d, chain = self.records[dispute_id], self.chain
        position = self.position(dispute_id)
        assert chain.position(dispute_id) == position
        assert chain.dispute.view("positionHash", dispute_id) == position.hash()
        assert chain.clock(dispute_id, now) == self.clock(dispute_id, now)
        left = (d.clock.solver_left, d.clock.opener_left)
        assert chain.dispute.view("remaining", dispute_id) == left
        queue = self.queues.get(d.claim_id)
        assert chain.dispute.view("queueEnd", d.claim_id) == (queue.end if queue else 0)
        for path in (segment_path(d.segment), trace_path(d.step)):
            stored = self.root(d.claim_id, path)
            expected = (stored.root, stored.before, stored.after)
            assert chain.dispute.view("roots", d.claim_id, path) == expected

    def compare_money(self, accounts: list[str]) -> None:
        """Credits, burned tokens, open disputes and beneficiaries agree (I3)."""
        chain = self.chain
        for account in accounts:
            assert chain.vault.view("credits", account) == self.vault.credits[account], account
        assert chain.vault.view("totalBurned") == self.vault.burned
        assert chain.vault.view("totalPots") == self.vault.pots.total()
        for claim_id in self.claims.facts:
            count = self.claims.open_disputes[claim_id]
            assert chain.claims.view("openDisputes", claim_id) == count
            fallen = self.claims.is_fallen(claim_id)
            assert chain.claims.view("isFallen", claim_id) == fallen
            if fallen:
                beneficiary = chain.claims.view("beneficiary", claim_id)
                assert beneficiary == self.claims.fallen[claim_id]


def _outcome(apply: object, dispute_id: bytes, move: Move, sender: str, now: int) -> Refusal | None:
    try:
        apply(dispute_id, move, sender, now)  # type: ignore[operator]
    except Refusal as refusal:
        return refusal
    return None
