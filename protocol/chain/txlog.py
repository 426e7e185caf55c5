"""The transactions of one account, on disk before they leave the process.

An *intent* is what shall happen, with the nonce that it takes; an *attempt* is one signed form of
it, and a receipt ends it. All attempts of an intent have its nonce, so at most one is ever mined.
SQLite with full synchronisation: what was sent is known after a power cut. Several processes may
share the file, an agent and a command of its operator for example: nonces are given out one by one.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from protocol.chain.fees import Offer


class Status(Enum):
    """How far an intent has come."""

    SENT = "sent"  # signed: may be mined at any time
    MINED = "mined"  # has a receipt that a reorganisation could still take away
    FINAL = "final"
    REPLACED = "replaced"  # another transaction took the nonce


@dataclass(frozen=True)
class Intent:
    """Something that an account wants done on chain."""

    number: int
    target: str  # "" creates a contract
    data: bytes
    value: int
    label: str
    urgent: bool
    nonce: int
    gas: int
    status: Status


@dataclass(frozen=True)
class Attempt:
    """A signed form of an intent."""

    tx_hash: bytes
    raw: bytes
    offer: Offer
    sent_at: float


@dataclass(frozen=True)
class Mined:
    """What a receipt said."""

    number: int  # of the intent
    tx_hash: bytes
    block_number: int
    block_hash: bytes
    succeeded: bool
    gas_used: int
    gas_price: int


_SCHEMA = """
CREATE TABLE IF NOT EXISTS intent (
    number INTEGER PRIMARY KEY, scope TEXT NOT NULL, target TEXT NOT NULL, data BLOB NOT NULL,
    value TEXT NOT NULL, label TEXT NOT NULL, urgent INTEGER NOT NULL, nonce INTEGER NOT NULL,
    gas INTEGER NOT NULL, status TEXT NOT NULL, at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS intent_by_status ON intent (scope, status);
CREATE INDEX IF NOT EXISTS intent_by_nonce ON intent (scope, nonce);
CREATE TABLE IF NOT EXISTS attempt (
    tx_hash BLOB PRIMARY KEY, intent INTEGER NOT NULL, raw BLOB NOT NULL, max_fee TEXT NOT NULL,
    tip TEXT NOT NULL, at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS attempt_by_intent ON attempt (intent);
CREATE TABLE IF NOT EXISTS receipt (
    intent INTEGER PRIMARY KEY, tx_hash BLOB NOT NULL, block_number INTEGER NOT NULL,
    block_hash BLOB NOT NULL, succeeded INTEGER NOT NULL, gas_used INTEGER NOT NULL,
    gas_price TEXT NOT NULL
);
"""
_COLUMNS = "number, target, data, value, label, urgent, nonce, gas, status"


class TransactionLog:
    """Durable record of one account's transactions on one chain.

    Args:
        path: the SQLite file, which an agent's journal may share; ``:memory:`` in tests.
        chain_id: of the chain.
        account: the sender.
        read_only: look at the file of another process, which must be there, and change nothing.
    """

    def __init__(
        self, path: Path | str, chain_id: int, account: str, *, read_only: bool = False
    ) -> None:
        self._scope = f"{chain_id}:{account.lower()}"
        if read_only:
            address = f"{Path(path).resolve().as_uri()}?mode=ro"
            self._db = sqlite3.connect(address, uri=True, isolation_level=None, timeout=30)
            return
        if path != ":memory:":
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(str(path), isolation_level=None, timeout=30)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def together(self) -> Iterator[None]:
        """All that is written within is written, or nothing; no other process writes meanwhile."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")  # fails too when the disk is full
        except BaseException:
            if self._db.in_transaction:  # SQLite may have taken it back by itself
                self._db.execute("ROLLBACK")
            raise

    def intend(
        self,
        target: str,
        data: bytes,
        value: int,
        label: str,
        nonce: int,
        gas: int,
        *,
        urgent: bool,
    ) -> Intent:
        """Write an intent down, `together` with its first signed form."""
        cursor = self._db.execute(
            "INSERT INTO intent (scope, target, data, value, label, urgent, nonce, gas, status, at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(self._scope, target, data, str(value), label, int(urgent), nonce, gas),
                *(Status.SENT.value, time.time()),
            ),
        )
        assert cursor.lastrowid is not None, "an inserted row has a number"
        return self.get(cursor.lastrowid)

    def attempt(
        self, intent: Intent, tx_hash: bytes, raw: bytes, offer: Offer, at: float
    ) -> Attempt:
        """Write a signed form down, before it is sent. ``at``: seconds since 1970."""
        self._db.execute(
            "INSERT OR REPLACE INTO attempt VALUES (?, ?, ?, ?, ?, ?)",
            (tx_hash, intent.number, raw, str(offer.max_fee), str(offer.tip), at),
        )
        return Attempt(tx_hash, raw, offer, at)

    def mined(self, receipt: Mined) -> None:
        """Write a receipt down."""
        with self.together():
            self._db.execute(
                "INSERT OR REPLACE INTO receipt VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    *(receipt.number, receipt.tx_hash, receipt.block_number, receipt.block_hash),
                    *(int(receipt.succeeded), receipt.gas_used, str(receipt.gas_price)),
                ),
            )
            self.mark(receipt.number, Status.MINED)

    def unmined(self, number: int) -> None:
        """A reorganisation took the receipt away: the intent waits again."""
        with self.together():
            self._db.execute("DELETE FROM receipt WHERE intent = ?", (number,))
            self.mark(number, Status.SENT)

    def mark(self, number: int, status: Status) -> None:
        """Set an intent's status."""
        self._db.execute("UPDATE intent SET status = ? WHERE number = ?", (status.value, number))

    def get(self, number: int) -> Intent:
        """An intent by its number."""
        row = self._db.execute(
            f"SELECT {_COLUMNS} FROM intent WHERE number = ?",  # noqa: S608 - constant text
            (number,),
        ).fetchone()
        return _intent(row)

    def with_status(self, *statuses: Status) -> list[Intent]:
        """Intents of these statuses, by nonce."""
        marks = ", ".join("?" for _ in statuses)
        rows = self._db.execute(
            f"SELECT {_COLUMNS} FROM intent WHERE scope = ? AND status IN ({marks})"  # noqa: S608
            " ORDER BY nonce, number",
            (self._scope, *(status.value for status in statuses)),
        )
        return [_intent(row) for row in rows]

    def find(self, status: Status, target: str, data: bytes, value: int) -> list[Intent]:
        """Intents of exactly this content and a status, by nonce."""
        rows = self._db.execute(
            f"SELECT {_COLUMNS} FROM intent WHERE scope = ? AND status = ? AND target = ?"  # noqa: S608
            " AND data = ? AND value = ? ORDER BY nonce, number",
            (self._scope, status.value, target, data, str(value)),
        )
        return [_intent(row) for row in rows]

    def nonces_from(self, least: int) -> set[int]:
        """Nonces not below ``least`` that intents hold, mined or not; not those that lost them."""
        rows = self._db.execute(
            "SELECT nonce FROM intent WHERE scope = ? AND nonce >= ? AND status != ?",
            (self._scope, least, Status.REPLACED.value),
        )
        return {int(nonce) for (nonce,) in rows}

    def attempts(self, number: int) -> list[Attempt]:
        """The signed forms of an intent, the first one first."""
        rows = self._db.execute(
            "SELECT tx_hash, raw, max_fee, tip, at FROM attempt WHERE intent = ?"
            " ORDER BY rowid",  # not by time: clocks are set back
            (number,),
        )
        return [Attempt(h, raw, Offer(int(fee), int(tip)), at) for h, raw, fee, tip, at in rows]

    def receipt(self, number: int) -> Mined | None:
        """What an intent's receipt said, if it has one."""
        row = self._db.execute("SELECT * FROM receipt WHERE intent = ?", (number,)).fetchone()
        if row is None:
            return None
        intent, tx_hash, block_number, block_hash, succeeded, gas_used, gas_price = row
        return Mined(
            intent, tx_hash, block_number, block_hash, bool(succeeded), gas_used, int(gas_price)
        )


def _intent(row: tuple[object, ...]) -> Intent:
    number, target, data, value, label, urgent, nonce, gas, status = row
    return Intent(
        number=int(str(number)),
        target=str(target),
        data=bytes(data),  # type: ignore[call-overload]
        value=int(str(value)),
        label=str(label),
        urgent=bool(urgent),
        nonce=int(str(nonce)),
        gas=int(str(gas)),
        status=Status(status),
    )
