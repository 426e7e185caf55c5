"""An account's sealed openings of disputes: the salt is in the journal, all else on the chain.

The salt is written before the commitment is sent, so that a killed agent commits to the same again
and can open what it committed to.
"""

from __future__ import annotations

import secrets
from collections.abc import Container, Iterator
from dataclasses import dataclass

from protocol.agents.journal import Journal
from protocol.agents.sender import Sender
from protocol.agents.watch.reader import Reader
from protocol.chain.market import ClaimPhase
from protocol.dispute.moves import CommitOpen, Open, Reclaim
from protocol.dispute.state import commitment_of

OPENING = "opening"


@dataclass(frozen=True)
class Sealed:
    """An opening with its secret."""

    claim_id: bytes
    segment: int
    salt: bytes
    commitment: bytes


class Openings:
    """Commits to openings, opens them, or takes their bonds back, for one account."""

    def __init__(self, reader: Reader, sender: Sender, journal: Journal) -> None:
        self._reader = reader
        self._sender = sender
        self._journal = journal
        self._sealed: dict[bytes, Sealed] = {}  # by commitment
        self._of_segment: dict[bytes, Sealed] = {}  # by key
        self._strange: set[bytes] = set()  # commitments whose secret is not in the journal

    def is_committed(self, claim_id: bytes, segment: int) -> bool:
        """Whether the chain has the commitment, opened or not. Writes nothing."""
        sealed = self._of_segment.get(_key(claim_id, segment))
        return sealed is not None and self._is_on_chain(sealed)

    def commit(self, claim_id: bytes, segment: int) -> bool:
        """Commit to an opening, unless that is done or too late; whether it did."""
        key = _key(claim_id, segment)
        if key not in self._of_segment:
            salt = self._journal.remember(OPENING, key, secrets.token_bytes(32))
            self._add(key, salt)
        sealed = self._of_segment[key]
        if self._is_on_chain(sealed):
            return False
        if self._reader.claim(claim_id).phase is not ClaimPhase.WINDOW:
            return False
        self._sender.play(CommitOpen(claim_id, sealed.commitment), sealed.commitment)
        return True

    def pending(self) -> Iterator[Sealed]:
        """What is committed, and neither opened nor reclaimed."""
        commitments = list(self._reader.book.openings_of.get(self._sender.account, ()))
        unknown = set(commitments) - self._sealed.keys() - self._strange
        if unknown:  # of an earlier life
            for key, salt in self._journal.entries(OPENING):
                if self._commitment(key, salt) in unknown:
                    self._add(key, salt)
            self._strange |= unknown - self._sealed.keys()
        return (self._sealed[c] for c in commitments if c in self._sealed)

    def conclude(self, sealed: Sealed) -> bool:
        """Open, a block after the commitment; or take the bond back if that is out of reach."""
        claim_id, commitment, me = sealed.claim_id, sealed.commitment, self._sender.account
        book = self._reader.book
        if commitment not in book.openings_of.get(me, ()):
            return False
        _, reveal_end = book.windows[claim_id]
        if claim_id in book.fallen or self._reader.now() >= reveal_end:
            self._sender.play(Reclaim(claim_id, me, commitment), commitment)
            return True
        if self._reader.may_open(me, commitment):
            self._sender.play(Open(claim_id, sealed.segment, sealed.salt), commitment)
            return True
        return False

    def keep_only(self, claims: Container[bytes]) -> None:
        """Forget the openings of all other claims that lock no bond; the journal has them."""
        held = self._reader.book.openings_of.get(self._sender.account, {})
        for key, sealed in list(self._of_segment.items()):
            if sealed.claim_id not in claims and sealed.commitment not in held:
                del self._of_segment[key], self._sealed[sealed.commitment]

    def _is_on_chain(self, sealed: Sealed) -> bool:
        return self._reader.is_committed(self._sender.account, sealed.commitment)

    def _commitment(self, key: bytes, salt: bytes) -> bytes:
        segment = int.from_bytes(key[32:], "big")
        return commitment_of(key[:32], self._sender.account, segment, salt)

    def _add(self, key: bytes, salt: bytes) -> None:
        commitment = self._commitment(key, salt)
        sealed = Sealed(key[:32], int.from_bytes(key[32:], "big"), salt, commitment)
        self._of_segment[key] = self._sealed[commitment] = sealed


def _key(claim_id: bytes, segment: int) -> bytes:
    return claim_id + segment.to_bytes(8, "big")
