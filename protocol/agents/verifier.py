"""The verifier: re-runs what it was drawn for, attests or challenges, and plays its disputes.

The same agent is the open challenger that nobody drew: it re-runs whole tasks. Its verdicts and the
salts of its openings are in its journal, all else is read from the chain; so it can be killed at
any line.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from protocol.agents.attempts import Attempts
from protocol.agents.bundle import TaskRefused, TaskUnreachable
from protocol.agents.checking import Checker, UnsureError
from protocol.agents.duties import Duty, Verdict, claim_duty, verifier_duty
from protocol.agents.journal import Journal
from protocol.agents.reader import Reader
from protocol.agents.sender import Sender
from protocol.chain.market import ClaimPhase, ClaimView
from protocol.dispute import challenger
from protocol.dispute.moves import CommitOpen, Open, Reclaim, Refund, Timeout
from protocol.dispute.state import ClaimFacts, Side, commitment_of
from protocol.kernels.executor import Executor
from protocol.storage import ContentStore
from protocol.training.hooks import Hooks

__all__ = ["UnsureError", "Verifier"]

log = logging.getLogger(__name__)

VERDICT = "verdict"
OPENING = "opening"
AGREED = b"agreed"
UNDECIDED = b"undecided"


class Verifier:
    """Checks claims for one account.

    Args:
        reader: what is on the chain.
        sender: the account.
        journal: its memory, of this chain.
        store: where tasks and leaves are fetched from.
        checks_all: re-run every claim whole, drawn or not.
        hooks: changes what it computes; only a false accuser has any.
        folder: for its own copies of tasks; None: it fetches them again after a restart.
        executors: of the first and the second execution.
    """

    def __init__(
        self,
        reader: Reader,
        sender: Sender,
        journal: Journal,
        store: ContentStore,
        *,
        checks_all: bool = False,
        hooks: Hooks | None = None,
        folder: Path | None = None,
        executors: tuple[Executor, Executor] | None = None,
    ) -> None:
        self._reader = reader
        self._sender = sender
        self._journal = journal
        self._checks_all = checks_all
        self._checker = Checker(reader, store, folder, hooks, executors)
        self._attempts = Attempts(reader.now)

    @property
    def account(self) -> str:
        """Address of this verifier."""
        return self._sender.account

    def stake(self, amount: int) -> None:
        """Stake token wei out of the vault credit, to be drawn."""
        self._sender.registry("stake", amount)

    def tick(self) -> bool:
        """Do the first thing that is due; whether there was one."""
        openings = self._journal.entries(OPENING)
        for claim_id in list(self._reader.book.claims):
            own = [(key, salt) for key, salt in openings if key[:32] == claim_id]
            if (
                self._accuse(claim_id)
                or self._open(claim_id, own)
                or self._play(claim_id)
                or self._look_after(claim_id)
            ):
                return True
        return False

    # ------------------------------------------------------------------ checking

    def _look_after(self, claim_id: bytes) -> bool:
        return self._attempts.make(claim_id, partial(self._do_duty, claim_id))

    def _do_duty(self, claim_id: bytes) -> bool:
        book, me = self._reader.book, (claim_id, self.account)
        if claim_id in book.settled:
            return False
        if claim_id in book.finalised and (me not in book.attested or me in book.collected):
            return False
        claim = self._reader.claim(claim_id)
        over = self._reader.is_draw_over(claim_id, claim)
        common = claim_duty(claim, self._reader.block_number(), drawn=over)
        if common in (Duty.DRAW, Duty.SETTLE):
            self._sender.claims(common.value, claim_id)
            return True
        verdict, _ = _read_verdict(self._journal.recall(VERDICT, claim_id))
        duty = verifier_duty(
            claim,
            self.account,
            verdict,
            checks=self._checks_all and over,
            attested=me in book.attested,
            collected=me in book.collected,
        )
        match duty:
            case Duty.CHECK:
                self._check(claim_id, claim)
                return True
            case Duty.ATTEST:
                self._sender.claims("attest", claim_id)
                return True
            case Duty.COLLECT_FEE:
                self._sender.claims("collectFee", claim_id, self.account)
                return True
        return False

    def _check(self, claim_id: bytes, claim: ClaimView) -> None:
        """Re-run and write the verdict. TaskUnreachable: later, if the files come back."""
        facts = self._reader.facts(claim_id)
        try:
            drawn = () if self._checks_all else claim.segments_of(self.account)
            segments = self.find_false_segments(claim_id, facts, drawn)
        except TaskUnreachable:
            raise
        except (TaskRefused, UnsureError) as refusal:
            # Neither an attestation nor an accusation: somebody else may know better.
            log.error("claim 0x%s is left alone: %s", claim_id.hex(), refusal)
            self._journal.remember(VERDICT, claim_id, UNDECIDED)
            return
        verdict = b"".join(segment.to_bytes(8, "big") for segment in segments) or AGREED
        self._journal.remember(VERDICT, claim_id, verdict)

    def find_false_segments(
        self, claim_id: bytes, facts: ClaimFacts, drawn: Sequence[int]
    ) -> list[int]:
        """Segments to open a dispute with, as `Checker.find_false_segments` has them."""
        return self._checker.find_false_segments(claim_id, facts, drawn)

    # ------------------------------------------------------------------ disputes

    def _accuse(self, claim_id: bytes) -> bool:
        """Commit to openings, before anything else: the play of one must not delay the others."""
        _, segments = _read_verdict(self._journal.recall(VERDICT, claim_id))
        return any(
            self._attempts.make(
                claim_id + segment.to_bytes(8, "big"),
                partial(self._commit_opening, claim_id, segment),
            )
            for segment in segments
        )

    def _commit_opening(self, claim_id: bytes, segment: int) -> bool:
        """Commit to an opening, unless the chain has the commitment; whether it did."""
        key = claim_id + segment.to_bytes(8, "big")
        salt = self._journal.remember(OPENING, key, secrets.token_bytes(32))
        commitment = commitment_of(claim_id, self.account, segment, salt)
        if self._reader.is_committed(commitment):
            return False
        if self._reader.claim(claim_id).phase is not ClaimPhase.WINDOW:
            return False
        self._sender.play(CommitOpen(claim_id, commitment), commitment)
        return True

    def _open(self, claim_id: bytes, openings: Sequence[tuple[bytes, bytes]]) -> bool:
        """Open what was committed, a block later; take the bond back if that is out of reach."""
        for key, salt in openings:
            segment = int.from_bytes(key[32:], "big")
            commitment = commitment_of(claim_id, self.account, segment, salt)
            pending = (
                self._reader.is_committed(commitment)
                and commitment not in self._reader.book.disputes
            )
            reveal = partial(self._reveal_opening, claim_id, segment, salt, commitment)
            if pending and self._attempts.make(commitment, reveal):
                return True
        return False

    def _reveal_opening(
        self, claim_id: bytes, segment: int, salt: bytes, commitment: bytes
    ) -> bool:
        fallen = claim_id in self._reader.book.fallen
        late = self._reader.now() >= self._reader.facts(claim_id).reveal_end
        if fallen or late:
            self._sender.play(Reclaim(claim_id, self.account, commitment), commitment)
            return True
        if self._reader.may_open(self.account, commitment):
            self._sender.play(Open(claim_id, segment, salt), commitment)
            return True
        return False

    def _play(self, claim_id: bytes) -> bool:
        for record in self._reader.disputes_of(claim_id):
            own = record.opener == self.account and record.closed is None
            advance = partial(self._advance, claim_id, record.dispute_id)
            if own and self._attempts.make(record.dispute_id, advance):
                return True
        return False

    def _advance(self, claim_id: bytes, dispute_id: bytes) -> bool:
        if self._reader.claim(claim_id).phase is ClaimPhase.FALLEN:
            self._sender.play(Refund(), dispute_id)
            return True
        side, deadline = self._reader.clock(dispute_id)
        now = self._reader.now()
        if side is Side.SOLVER and now >= deadline:
            self._sender.play(Timeout(), dispute_id)
            return True
        if side is not Side.OPENER or now >= deadline:
            return False
        situation = self._reader.situation(dispute_id)
        prover = self._checker.prover(claim_id, situation.position.segment)
        move = challenger.next_move(situation, prover, self._checker.served)
        if move is None:
            return False
        self._sender.play(move, dispute_id)
        return True


def _read_verdict(stored: bytes | None) -> tuple[Verdict | None, list[int]]:
    """The verdict of a journal's row, and the false segments that it names."""
    if stored is None:
        return None, []
    if stored in (AGREED, UNDECIDED):
        return Verdict(stored.decode()), []
    return Verdict.FALSE, [
        int.from_bytes(stored[at : at + 8], "big") for at in range(0, len(stored), 8)
    ]
