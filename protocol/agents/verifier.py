"""The verifier: re-runs what it was drawn for, attests or challenges, and plays its disputes.

The same agent is the open challenger that nobody drew: it re-runs whole tasks. Its verdicts and the
salts of its openings are in its journal, all else is read from the chain; so it can be killed at
any line.

``tick`` does all that is due, the tightest deadline first, and then a slice of checks. So clocks
are looked at again after a slice and one training step, however long the checks take.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Generator, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from protocol.agents.attempts import Attempts
from protocol.agents.bundle import Source, TaskRefused, TaskUnreachable
from protocol.agents.checking import Checker, UnsureError
from protocol.agents.duties import NO_DEADLINE, Due, Duty, Verdict, claim_duty, verifier_duty
from protocol.agents.journal import Journal
from protocol.agents.moves import Moves
from protocol.agents.openings import OPENING, Openings
from protocol.agents.sender import Sender
from protocol.agents.watch.reader import Reader
from protocol.chain.market import ClaimView
from protocol.chain.reverts import Reverted
from protocol.dispute import challenger
from protocol.dispute.moves import PositionMove, Refund, Timeout
from protocol.dispute.state import ClaimFacts, Side
from protocol.kernels.devices import AnyExecutor
from protocol.storage import Store
from protocol.training.hooks import Hooks

__all__ = ["OPENING", "UnsureError", "Verifier"]

log = logging.getLogger(__name__)

VERDICT = "verdict"
AGREED = b"agreed"
UNDECIDED = b"undecided"

SLICE_SECONDS: Final = 1.0
"""Time for checks in one tick: clocks wait for it, and for the step that it ends in."""

SOON_SECONDS: Final = 60
"""Openings come before moves that have more time than this."""


class Verifier:
    """Checks claims for one account.

    Args:
        reader: what is on the chain.
        sender: the account.
        journal: its memory, of this chain.
        source: of a task: where it and what its solvers serve are fetched from; a store serves all.
        checks_all: re-run every claim whole, drawn or not.
        hooks: changes what it computes; only a false accuser has any.
        folder: for its own copies of tasks; None: it fetches them again after a restart.
        executors: of the first and the second execution.
        slice_seconds: of checking in one tick; 0: one training step.
    """

    def __init__(
        self,
        reader: Reader,
        sender: Sender,
        journal: Journal,
        source: Store | Source,
        *,
        checks_all: bool = False,
        hooks: Hooks | None = None,
        folder: Path | None = None,
        executors: tuple[AnyExecutor, AnyExecutor] | None = None,
        slice_seconds: float = SLICE_SECONDS,
    ) -> None:
        self._reader = reader
        self._sender = sender
        self._journal = journal
        self._checks_all = checks_all
        self._checker = Checker(reader, source, folder, hooks, executors)
        self._openings = Openings(reader, sender, journal)
        self._attempts = Attempts(reader.now)
        self._moves = Moves()
        self._slice_seconds = slice_seconds
        self._verdicts: dict[bytes, bytes] = {}  # of open claims; the journal has all
        self._searches: dict[bytes, Generator[None, None, Sequence[int]]] = {}
        self._to_check: dict[bytes, int] = {}  # claim: end of its window

    @property
    def account(self) -> str:
        """Address of this verifier."""
        return self._sender.account

    def stake(self, amount: int) -> None:
        """Stake token wei out of the vault credit, to be drawn."""
        self._sender.registry("stake", amount)

    def tick(self) -> bool:
        """Do all that is due, and a slice of checks; whether anything was done.

        Raises:
            ConnectionError: the chain cannot be read.
        """
        with self._reader.one_block():
            self._forget_ended()
            self._to_check.clear()
            dues = [*self._moves_due(), *self._openings_due(), *self._claims_due()]
            acted = self._attempts.make_all(dues, self._reader.refresh)
            return self._check() or acted

    # ------------------------------------------------------------------ what is due

    def _moves_due(self) -> Iterator[Due]:
        """Of its own disputes: its moves, the solver's missed clocks, and bonds that are free."""
        book, now = self._reader.book, self._reader.now()
        own = [book.disputes[d] for d in book.disputes_of_opener.get(self.account, ())]
        lost = [r for r in own if r.claim_id not in book.fallen and r.deadline <= now]
        mine = [r for r in own if r.side is Side.OPENER and r.deadline > now]
        self._reader.prefetch_situations(
            r.dispute_id for r in mine if r.claim_id not in book.fallen
        )
        freed = [r for r in own if r.claim_id in book.fallen]
        for record in {r.dispute_id: r for r in (*mine, *lost, *freed)}.values():
            deadline = NO_DEADLINE if record.claim_id in book.fallen else record.deadline
            act = partial(self._advance, record.claim_id, record.dispute_id)
            about = {"claim": record.claim_id, "dispute": record.dispute_id}
            yield Due(deadline, record.dispute_id, act, about)

    def _openings_due(self) -> Iterator[Due]:
        """Commitments for what it found false, and their openings: soon, whatever they allow.

        The play of one dispute must not delay the opening of others.
        """
        windows, soon = self._reader.book.windows, self._reader.now() + SOON_SECONDS
        for sealed in self._openings.pending():
            deadline = min(soon, windows[sealed.claim_id][1])
            about = {"claim": sealed.claim_id, "dispute": sealed.commitment}
            act = partial(self._openings.conclude, sealed)
            yield Due(deadline, sealed.commitment, act, about)
        for claim_id in self._reader.book.open_claims:
            _, segments = _read_verdict(self._verdict(claim_id))
            for segment in segments:
                if not self._openings.is_committed(claim_id, segment):
                    act = partial(self._openings.commit, claim_id, segment)
                    deadline = min(soon, windows[claim_id][0])
                    key = claim_id + segment.to_bytes(8, "big")
                    yield Due(deadline, key, act, {"claim": claim_id})

    def _claims_due(self) -> Iterator[Due]:
        book = self._reader.book
        fees = book.fees_of.get(self.account, {})
        claims = [*book.open_claims, *(c for c in fees if c in book.finalised)]
        self._reader.prefetch(claims=claims)
        for claim_id in claims:
            act = partial(self._do_duty, claim_id)
            yield Due(book.windows[claim_id][0], claim_id, act, {"claim": claim_id})

    def _forget_ended(self) -> None:
        """What is kept of claims is kept while they are open: an agent runs for months."""
        book = self._reader.book
        for kept in (self._verdicts, self._searches):
            for claim_id in [c for c in kept if c not in book.open_claims]:
                del kept[claim_id]
        self._checker.keep_only(book.open_claims)
        self._openings.keep_only(book.open_claims)
        self._moves.keep_only(book.disputes_of_opener.get(self.account, ()))

    # ------------------------------------------------------------------ checking

    def _do_duty(self, claim_id: bytes) -> bool:
        book, me = self._reader.book, (claim_id, self.account)
        if claim_id in book.settled:
            return False
        claim = self._reader.claim(claim_id)
        over = self._reader.is_draw_over(claim_id, claim)
        common = claim_duty(claim, self._reader.block_number(), drawn=over)
        if common in (Duty.DRAW, Duty.SETTLE):
            self._sender.claims(common.value, claim_id)
            return True
        verdict, _ = _read_verdict(self._verdict(claim_id))
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
                self._to_check[claim_id] = book.windows[claim_id][0]
            case Duty.ATTEST:
                self._sender.claims("attest", claim_id)
                return True
            case Duty.COLLECT_FEE:
                self._sender.claims("collectFee", claim_id, self.account)
                return True
        return False

    def _verdict(self, claim_id: bytes) -> bytes | None:
        """The journal's verdict, which is looked up until there is one."""
        if claim_id not in self._verdicts:
            stored = self._journal.recall(VERDICT, claim_id)
            if stored is None:
                return None
            self._verdicts[claim_id] = stored
        return self._verdicts[claim_id]

    def _check(self) -> bool:
        """A slice of checks: of those that have begun, then of the tightest window."""
        until, acted = time.monotonic() + self._slice_seconds, False
        order = sorted(self._to_check, key=lambda c: (c not in self._searches, self._to_check[c]))
        for claim_id in order:
            check = partial(self._check_on, claim_id, until)
            due = Due(self._to_check[claim_id], claim_id + b"check", check, {"claim": claim_id})
            acted |= self._attempts.carry_out(due)
            if time.monotonic() >= until:
                break
        return acted

    def _check_on(self, claim_id: bytes, until: float) -> bool:
        """Re-run for a while; write the verdict at the end. TaskUnreachable: later, perhaps."""
        if claim_id not in self._searches:
            claim, facts = self._reader.claim(claim_id), self._reader.facts(claim_id)
            self._searches[claim_id] = self._search(claim_id, claim, facts)
        search = self._searches[claim_id]
        try:
            next(search)
            while time.monotonic() < until:
                next(search)
        except StopIteration as end:
            verdict = b"".join(segment.to_bytes(8, "big") for segment in end.value) or AGREED
        except TaskUnreachable:
            del self._searches[claim_id]
            raise
        except (TaskRefused, UnsureError) as refusal:
            # Neither an attestation nor an accusation: somebody else may know better.
            log.error("claim 0x%s is left alone: %s", claim_id.hex(), refusal)
            verdict = UNDECIDED
        except Exception:
            del self._searches[claim_id]
            raise
        else:
            return True
        del self._searches[claim_id]
        self._verdicts[claim_id] = self._journal.remember(VERDICT, claim_id, verdict)
        if verdict in (AGREED, UNDECIDED):
            self._checker.forget(claim_id)
        return True

    def _search(
        self, claim_id: bytes, claim: ClaimView, facts: ClaimFacts
    ) -> Generator[None, None, Sequence[int]]:
        drawn = () if self._checks_all else claim.segments_of(self.account)
        return self.search(claim_id, facts, drawn)

    def search(
        self, claim_id: bytes, facts: ClaimFacts, drawn: Sequence[int]
    ) -> Generator[None, None, Sequence[int]]:
        """Segments to open a dispute with, as `Checker.search` has them."""
        return self._checker.search(claim_id, facts, drawn)

    # ------------------------------------------------------------------ disputes

    def _advance(self, claim_id: bytes, dispute_id: bytes) -> bool:
        book, now = self._reader.book, self._reader.now()
        if book.disputes[dispute_id].closed is not None:
            return False
        if claim_id in book.fallen:
            self._sender.play(Refund(), dispute_id)
            return True
        side, deadline = self._reader.clock(dispute_id)
        if side is Side.SOLVER and now >= deadline:
            self._sender.play(Timeout(), dispute_id)
            return True
        if side is not Side.OPENER or now >= deadline:
            return False
        situation = self._reader.situation(dispute_id)

        def choose() -> PositionMove | None:
            prover = self._checker.prover(claim_id, situation.position.segment)
            return challenger.next_move(
                situation, prover, self._checker.served(situation.facts.task_id)
            )

        move = self._moves.of(dispute_id, situation, choose)
        if move is None:
            return False
        try:
            self._sender.play(move, dispute_id)
        except Reverted:
            self._moves.forget(dispute_id)
            raise
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
