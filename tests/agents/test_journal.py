"""The journal keeps what was written, for each account, and refuses a second root."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocol.agents.journal import Journal, SecondRootError

ALICE, BOB = "0x" + "aA" * 20, "0x" + "bb" * 20
CLAIM, PATH, ROOT, OTHER = bytes([1]) * 32, bytes([2]) * 32, bytes([3]) * 32, bytes([4]) * 32


def test_journal_reopened_knows_roots_and_notes_in_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "new folder" / "journal.sqlite", 1, ALICE)
    journal.bind_root(CLAIM, PATH, ROOT)
    journal.remember("salt", b"b", b"second key first")
    journal.remember("salt", b"a", b"x")
    # Not closed: the process was killed.
    again = Journal(tmp_path / "new folder" / "journal.sqlite", 1, ALICE)
    assert again.entries("salt") == [(b"b", b"second key first"), (b"a", b"x")]
    assert again.recall("salt", b"a") == b"x"
    assert again.recall("salt", b"c") is None
    again.bind_root(CLAIM, PATH, ROOT)
    with pytest.raises(SecondRootError):
        again.bind_root(CLAIM, PATH, OTHER)


def test_journal_second_root_is_refused_with_both_and_the_first_stays(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite", 1, ALICE)
    journal.bind_root(CLAIM, PATH, ROOT)
    with pytest.raises(SecondRootError, match=f"0x{ROOT.hex()}.*0x{OTHER.hex()}"):
        journal.bind_root(CLAIM, PATH, OTHER)
    journal.bind_root(CLAIM, PATH, ROOT)
    journal.bind_root(CLAIM, OTHER, OTHER)
    journal.bind_root(OTHER, PATH, OTHER)


def test_journal_note_written_twice_keeps_and_returns_the_first() -> None:
    journal = Journal(":memory:", 1, ALICE)
    assert journal.remember("salt", b"k", b"first") == b"first"
    assert journal.remember("salt", b"k", b"second") == b"first"
    assert journal.remember("other topic", b"k", b"second") == b"second"


def test_journal_of_two_accounts_or_chains_in_one_file_are_apart(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    alice, bob, elsewhere = Journal(path, 1, ALICE), Journal(path, 1, BOB), Journal(path, 2, ALICE)
    for journal, root in ((alice, ROOT), (bob, OTHER), (elsewhere, PATH)):
        journal.bind_root(CLAIM, PATH, root)
        journal.remember("salt", b"k", root)
    assert [j.recall("salt", b"k") for j in (alice, bob, elsewhere)] == [ROOT, OTHER, PATH]
    # The same account, whatever the case that its address is written in.
    assert Journal(path, 1, ALICE.lower()).recall("salt", b"k") == ROOT


def test_journal_writes_reach_the_disk_before_the_call_returns(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite", 1, ALICE)
    (mode,) = journal._db.execute("PRAGMA journal_mode").fetchone()
    (synchronous,) = journal._db.execute("PRAGMA synchronous").fetchone()
    assert (mode, synchronous) == ("wal", 2)
    assert not journal._db.in_transaction
    journal.close()


def test_journal_open_in_two_processes_stands_for_one_root(tmp_path: Path) -> None:
    """An operator that starts an agent twice by mistake is not convicted for it."""
    first, second = (Journal(tmp_path / "journal.sqlite", 1, ALICE) for _ in range(2))
    assert second.recall("salt", b"k") is None
    first.bind_root(CLAIM, PATH, ROOT)
    with pytest.raises(SecondRootError):
        second.bind_root(CLAIM, PATH, OTHER)
    assert second.remember("salt", b"k", b"its own") == b"its own"
    assert first.remember("salt", b"k", b"another") == b"its own"
