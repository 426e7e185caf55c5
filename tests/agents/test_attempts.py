"""One failure stays alone, waits longer each time, and is forgotten after a success."""

from __future__ import annotations

import errno
import sqlite3
from functools import partial

import pytest

from protocol.agents.attempts import MAX_DELAY_SECONDS, Attempts
from protocol.agents.bundle import TaskRefused
from protocol.agents.duties import Due
from protocol.agents.journal import SecondRootError
from protocol.chain.endpoints import RpcUnreachable
from protocol.chain.outbox import InsufficientFunds
from protocol.chain.reverts import Reverted


class Clock:
    """The chain's time."""

    now = 1_000

    def __call__(self) -> int:
        return self.now


def fail(error: BaseException) -> bool:
    raise error


@pytest.mark.parametrize(
    ("error", "level"),
    [
        (Reverted("AlreadyDrawn"), "WARNING"),
        (TaskRefused("no"), "WARNING"),
        (SecondRootError(b"\1", b"\2", b"\3", b"\4"), "CRITICAL"),
        (ZeroDivisionError("a stranger's number"), "ERROR"),
    ],
)
def test_attempt_that_fails_is_logged_and_stops_no_other(error, level, caplog) -> None:
    attempts = Attempts(Clock())
    assert not attempts.make(b"bad", lambda: fail(error))
    assert attempts.make(b"good", lambda: True)
    assert [record.levelname for record in caplog.records] == [level]
    assert "0x626164" in caplog.text


def test_attempt_waits_longer_after_each_failure_and_not_after_a_success() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    tries: list[int] = []

    def act() -> bool:
        tries.append(clock.now)
        return fail(Reverted("Refused"))

    for clock.now in range(1_000, 1_250):
        attempts.make(b"key", act)
    assert tries == [1_000, 1_001, 1_005, 1_021, 1_085, 1_085 + MAX_DELAY_SECONDS, 1_213]
    clock.now = 2_000
    assert attempts.make(b"key", lambda: True)
    attempts.make(b"key", act)
    clock.now += 1
    assert attempts.make(b"key", lambda: True)


TROUBLE = [
    OSError(errno.ENOSPC, "No space left on device"),
    sqlite3.OperationalError("database or disk is full"),
    InsufficientFunds("what", "why", "todo"),
]


@pytest.mark.parametrize("error", TROUBLE, ids=lambda error: type(error).__name__)
def test_attempt_that_the_agents_own_trouble_fails_is_told_after_all_others(error) -> None:
    clock = Clock()
    attempts = Attempts(clock)
    done: list[str] = []

    def act(name: str) -> bool:
        done.append(name)
        return True

    dues = [
        Due(1, b"bad", lambda: fail(error)),
        Due(2, b"good", partial(act, "good")),
        Due(3, b"fine", partial(act, "fine")),
    ]
    with pytest.raises(type(error)):
        attempts.make_all(dues)
    assert done == ["good", "fine"]
    assert attempts.make_all(dues)  # it waits now: nobody else is held up by it
    clock.now += 1
    with pytest.raises(type(error)):
        attempts.make_all(dues)


def test_attempt_without_a_chain_stops_all_others_at_once() -> None:
    attempts = Attempts(Clock())
    down = RpcUnreachable([("http://127.0.0.1:9", OSError("refused"))])
    dues = [Due(1, b"first", lambda: fail(down)), Due(2, b"second", lambda: fail(KeyError()))]
    with pytest.raises(RpcUnreachable):
        attempts.make_all(dues)


def test_attempt_with_nothing_to_do_is_no_failure() -> None:
    attempts = Attempts(Clock())
    assert not attempts.make(b"key", lambda: False)
    assert attempts.make(b"key", lambda: True)


def test_attempt_postponed_is_not_made_before_its_time() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    attempts.postpone(b"key", 30)
    clock.now += 29
    assert not attempts.make(b"key", lambda: True)
    clock.now += 1
    assert attempts.make(b"key", lambda: True)


def test_attempt_interrupted_by_the_operator_is_not_held_up() -> None:
    with pytest.raises(KeyboardInterrupt):
        Attempts(Clock()).make(b"key", lambda: fail(KeyboardInterrupt()))
