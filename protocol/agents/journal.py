"""What an agent must not forget: secrets, and the one root that it stands for on each path.

SQLite with full synchronisation. A row is written *before* the signature or transaction that
depends on it leaves the process, so that an agent killed at any line resumes to the same end and
never commits two roots for one task (trap X16).
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

LOCKED_S: Final = 30.0
"""How long to wait for another process, such as a command of the operator, to end its write."""


class SecondRootError(RuntimeError):
    """The agent was about to stand for a second root on a path that it has a root for."""

    def __init__(self, claim: bytes, path: bytes, stored: bytes, got: bytes) -> None:
        super().__init__(
            f"refusing a second root for path 0x{path.hex()} of claim 0x{claim.hex()}: "
            f"0x{stored.hex()} is in the journal, got 0x{got.hex()}; the execution is not "
            "deterministic on this machine or its files were changed: compare both runs"
        )


class Journal:
    """Durable memory of one account on one chain. ``path`` may be ``:memory:`` in tests."""

    def __init__(self, path: Path | str, chain_id: int, account: str) -> None:
        self._scope = f"{chain_id}:{account.lower()}"
        if path != ":memory:":
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(str(path), isolation_level=None, timeout=LOCKED_S)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS root (scope TEXT, claim BLOB, path BLOB, root BLOB NOT"
            " NULL, PRIMARY KEY (scope, claim, path))"
        )
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS note (scope TEXT, topic TEXT, key BLOB, value BLOB NOT"
            " NULL, PRIMARY KEY (scope, topic, key))"
        )

    def bind_root(self, claim: bytes, path: bytes, root: bytes) -> None:
        """Stand for ``root`` on (claim, path). SecondRootError if another root is written there."""
        self._db.execute(
            "INSERT OR IGNORE INTO root VALUES (?, ?, ?, ?)", (self._scope, claim, path, root)
        )
        row = self._db.execute(
            "SELECT root FROM root WHERE scope = ? AND claim = ? AND path = ?",
            (self._scope, claim, path),
        ).fetchone()
        stored: bytes = row[0]
        if stored != root:
            raise SecondRootError(claim, path, stored, root)

    def roots_of(self, claim: bytes) -> list[bytes]:
        """The roots that the agent stands for on a claim, of all paths."""
        rows = self._db.execute(
            "SELECT root FROM root WHERE scope = ? AND claim = ?", (self._scope, claim)
        )
        return [root for (root,) in rows]

    def remember(self, topic: str, key: bytes, value: bytes) -> bytes:
        """Write ``value`` once under (topic, key); the value that is there, first or now."""
        self._db.execute(
            "INSERT OR IGNORE INTO note VALUES (?, ?, ?, ?)", (self._scope, topic, key, value)
        )
        stored = self.recall(topic, key)
        assert stored is not None, "the row was written above"
        return stored

    def recall(self, topic: str, key: bytes) -> bytes | None:
        """The value under (topic, key), or None."""
        row = self._db.execute(
            "SELECT value FROM note WHERE scope = ? AND topic = ? AND key = ?",
            (self._scope, topic, key),
        ).fetchone()
        return None if row is None else row[0]

    def entries(self, topic: str) -> list[tuple[bytes, bytes]]:
        """All (key, value) of a topic, in the order of writing."""
        rows = self._db.execute(
            "SELECT key, value FROM note WHERE scope = ? AND topic = ? ORDER BY rowid",
            (self._scope, topic),
        ).fetchall()
        return [(key, value) for key, value in rows]

    def close(self) -> None:
        """Close the file."""
        self._db.close()
