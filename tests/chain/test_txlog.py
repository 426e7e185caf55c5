"""What an account has sent is on disk before it leaves, and stays whole whatever happens."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from protocol.chain.fees import Offer
from protocol.chain.txlog import Intent, Mined, Status, TransactionLog

ME, OTHER = "0x" + "aB" * 20, "0x" + "cd" * 20
HUGE = 2**255


@pytest.fixture
def txlog(tmp_path: Path) -> TransactionLog:
    return TransactionLog(tmp_path / "journal.sqlite", 1, ME)


def write(log: TransactionLog, nonce: int, value: int = 0, data: bytes = b"\1") -> Intent:
    with log.together():
        intent = log.intend("0xto", data, value, "label", nonce, 21_000, urgent=True)
        log.attempt(intent, bytes([nonce]) * 32, b"raw", Offer(HUGE, 7), 12.5)
    return intent


def receipt(intent: Intent, block: int = 9) -> Mined:
    return Mined(intent.number, bytes([intent.nonce]) * 32, block, b"\2" * 32, True, 21_000, HUGE)


def test_intent_and_attempt_come_back_as_they_were_written(
    txlog: TransactionLog, tmp_path: Path
) -> None:
    intent = write(txlog, 4, value=HUGE)
    txlog.close()
    again = TransactionLog(tmp_path / "journal.sqlite", 1, ME.lower())
    assert again.get(intent.number) == intent
    assert (intent.value, intent.nonce, intent.urgent, intent.status) == (
        HUGE,
        4,
        True,
        Status.SENT,
    )
    (attempt,) = again.attempts(intent.number)
    assert (attempt.raw, attempt.offer, attempt.sent_at) == (b"raw", Offer(HUGE, 7), 12.5)


def test_receipt_moves_an_intent_on_and_a_reorganisation_back(txlog: TransactionLog) -> None:
    intent = write(txlog, 0)
    txlog.mined(receipt(intent))
    assert txlog.receipt(intent.number) == receipt(intent)
    assert txlog.get(intent.number).status is Status.MINED
    txlog.mined(receipt(intent, block=11))
    assert txlog.receipt(intent.number) == receipt(intent, block=11)
    txlog.unmined(intent.number)
    assert txlog.receipt(intent.number) is None
    assert txlog.with_status(Status.SENT) == [intent]


def test_intents_of_another_account_or_chain_are_not_seen(txlog: TransactionLog, tmp_path) -> None:
    write(txlog, 0)
    for chain_id, account in ((2, ME), (1, OTHER)):
        stranger = TransactionLog(tmp_path / "journal.sqlite", chain_id, account)
        assert not stranger.with_status(*Status)
        assert not stranger.find(Status.SENT, "0xto", b"\1", 0)
        assert not stranger.nonces_from(0)


def test_intents_are_listed_by_nonce_and_found_by_content(txlog: TransactionLog) -> None:
    late, early = write(txlog, 8, value=1), write(txlog, 3, value=2)
    assert txlog.with_status(Status.SENT) == [early, late]
    assert txlog.find(Status.SENT, "0xto", b"\1", 1) == [late]
    assert not txlog.find(Status.SENT, "0xto", b"\1", 3)
    assert not txlog.find(Status.MINED, "0xto", b"\1", 1)


def test_nonces_that_intents_hold_include_mined_and_final_ones_not_lost_ones(
    txlog: TransactionLog,
) -> None:
    mined, final, lost = write(txlog, 2), write(txlog, 3), write(txlog, 4)
    write(txlog, 5)
    txlog.mined(receipt(mined))
    txlog.mark(final.number, Status.FINAL)
    txlog.mark(lost.number, Status.REPLACED)
    assert txlog.nonces_from(0) == {2, 3, 5}
    assert txlog.nonces_from(3) == {3, 5}


def test_attempts_are_in_the_order_of_signing_when_the_clock_is_set_back(
    txlog: TransactionLog,
) -> None:
    intent = write(txlog, 0)
    txlog.attempt(intent, b"\7" * 32, b"dearer", Offer(HUGE + 1, 8), -100.0)
    assert [attempt.raw for attempt in txlog.attempts(intent.number)] == [b"raw", b"dearer"]


def test_writes_together_are_all_taken_back_by_a_failure(txlog: TransactionLog) -> None:
    def write_half() -> None:
        with txlog.together():
            txlog.intend("0xto", b"", 0, "half", 0, 1, urgent=False)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half()
    assert not txlog.with_status(*Status)
    write(txlog, 0)
    assert len(txlog.with_status(Status.SENT)) == 1


def test_full_disk_takes_back_what_was_written_together_and_passes(txlog: TransactionLog) -> None:
    """SQLite's own limit on pages stands for the disk: the same error at the same places."""
    write(txlog, 0)
    pages = txlog._db.execute("PRAGMA page_count").fetchone()[0]
    txlog._db.execute(f"PRAGMA max_page_count = {pages}")
    for _ in range(3):  # each failure leaves the log usable
        with pytest.raises(sqlite3.OperationalError, match="full"):
            write(txlog, 1, data=bytes(100_000))
        assert [intent.nonce for intent in txlog.with_status(*Status)] == [0]
    txlog._db.execute("PRAGMA max_page_count = 100000")
    write(txlog, 1, data=bytes(100_000))
    assert [intent.nonce for intent in txlog.with_status(*Status)] == [0, 1]


def test_failure_to_commit_leaves_no_transaction_open(txlog: TransactionLog) -> None:
    class FullAtCommit:
        """The connection, at whose first COMMIT the disk is full."""

        failed = False

        def __getattr__(self, name):
            return getattr(db, name)

        def execute(self, statement, *arguments):
            if statement == "COMMIT" and not self.failed:
                self.failed = True
                raise sqlite3.OperationalError("database or disk is full")
            return db.execute(statement, *arguments)

    db, txlog._db = txlog._db, FullAtCommit()
    with pytest.raises(sqlite3.OperationalError, match="disk is full"):
        write(txlog, 0)
    assert not txlog.with_status(*Status)
    write(txlog, 0)
    assert [intent.nonce for intent in txlog.with_status(*Status)] == [0]


def test_other_process_waits_until_what_is_written_together_is_written(
    txlog: TransactionLog, tmp_path: Path
) -> None:
    other = TransactionLog(tmp_path / "journal.sqlite", 1, ME)
    other._db.execute("PRAGMA busy_timeout = 20")
    with txlog.together():
        with pytest.raises(sqlite3.OperationalError, match="locked"), other.together():
            raise AssertionError("two processes within")
        assert not other.with_status(Status.SENT)  # reading is free, and sees nothing of it
    write(other, 0)
    assert len(txlog.with_status(Status.SENT)) == 1


def test_log_and_journal_share_a_file(tmp_path: Path) -> None:
    from protocol.agents.journal import Journal

    path = tmp_path / "home" / "journal.sqlite"
    journal, txlog = Journal(path, 1, ME), TransactionLog(path, 1, ME)
    waits = [each._db.execute("PRAGMA busy_timeout").fetchone() for each in (journal, txlog)]
    assert waits == [(30_000,), (30_000,)]  # for each other's processes: a node may be slow
    journal.bind_root(b"claim", b"path", b"root")
    write(txlog, 0)
    assert Journal(path, 1, ME).recall("topic", b"key") is None
    assert len(TransactionLog(path, 1, ME).with_status(Status.SENT)) == 1
