"""The loop goes on whatever the world does, tells it, and ends for what no waiting mends."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable, Iterable

import pytest
import requests
from web3.exceptions import Web3RPCError

from protocol.agents.journal import SecondRootError
from protocol.agents.process.daemon import MAX_PAUSE_S, Daemon
from protocol.chain.endpoints import RpcUnreachable
from protocol.chain.heads import Head, HeadNotTrusted
from protocol.chain.outbox import InsufficientFunds, Outcome
from protocol.chain.rpc import WrongChain
from protocol.chain.txlog import Intent, Mined, Status

INTENT = Intent(1, "0xto", b"", 0, "assign", False, 3, 21_000, Status.SENT)
MINED = Mined(1, b"\1" * 32, 9, b"\2" * 32, True, 21_000, 7)


class Patience:
    """The operator's wish, and the pauses that were made."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self.stopped = False

    def __call__(self) -> bool:
        return self.stopped

    def wait(self, seconds: float) -> bool:
        self.pauses.append(seconds)
        return self.stopped


class Script:
    """Agent, guard, outbox and watcher that do what the next line says."""

    def __init__(self, lines: Iterable[bool | Exception]) -> None:
        self.lines = list(lines)
        self.heard: list[str] = []
        self.outcomes: list[Outcome] = []
        self.guard_fails: Exception | None = None
        self.ticks = 0

    def tick(self) -> bool:
        self.ticks += 1
        line = self.lines.pop(0)
        if isinstance(line, Exception):
            raise line
        return line

    def check(self) -> Head:
        if self.guard_fails is not None:
            raise self.guard_fails
        return Head(7, "0xhash", 100)

    def pump(self) -> list[Outcome]:
        found, self.outcomes = self.outcomes, []
        return found

    def looked(self, head: Head) -> None:
        self.heard.append(f"looked {head.number}")

    def became(self, outcome: Outcome) -> None:
        self.heard.append(f"became {outcome.mined is not None}")

    def failed(self, error: Exception) -> None:
        self.heard.append(f"failed {type(error).__name__}")

    def progress(self) -> None:
        self.heard.append("progress")


def run(
    script: Script, *, poll_s: float = 2.0, chores: tuple[Callable[[], None], ...] = ()
) -> list[float]:
    """Run until the script ends; the pauses."""
    stop = Patience()
    daemon = Daemon(script, script, script, stop, poll_s=poll_s, watcher=script, chores=chores)
    daemon.run(lambda: not script.lines)
    return stop.pauses


PASSING = [
    RpcUnreachable([("http://127.0.0.1:9", ConnectionRefusedError("refused"))]),
    HeadNotTrusted("what", "why", "todo"),
    InsufficientFunds("what", "why", "todo"),
    ConnectionError("reset"),
    TimeoutError("slow"),
    OSError(errno.ENOSPC, "No space left on device"),
    sqlite3.OperationalError("database or disk is full"),
    sqlite3.OperationalError("database is locked"),
    requests.ReadTimeout("slow"),
    Web3RPCError("internal error"),
]


@pytest.mark.parametrize("error", PASSING, ids=lambda error: f"{type(error).__name__}: {error}")
def test_failure_that_may_pass_is_told_and_waited_out(error: Exception, caplog) -> None:
    caplog.set_level("INFO")
    script = Script([error, True])
    assert run(script) == [2.0]
    assert script.heard == ["looked 7", f"failed {type(error).__name__}", "looked 7", "progress"]
    assert f"trying again in 2.0 s: {error}" in caplog.text
    assert caplog.text.count("all is well again") == 1


def test_pauses_grow_to_the_longest_and_start_anew_after_a_success() -> None:
    down = ConnectionError("down")
    script = Script([*[down] * 8, True, down, True])
    assert run(script) == [2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0, 30.0, 2.0]
    assert MAX_PAUSE_S == 30.0


def test_minutes_without_a_chain_send_nothing_and_count_as_no_progress() -> None:
    script = Script([True])
    script.guard_fails = RpcUnreachable([("http://127.0.0.1:9", OSError("refused"))])
    stop = Patience()
    daemon = Daemon(script, script, script, stop, watcher=script)
    daemon.run(lambda: len(stop.pauses) == 20)
    assert script.ticks == 0
    assert script.heard == ["failed RpcUnreachable"] * 20
    assert sum(stop.pauses) > 8 * 60
    script.guard_fails = None
    daemon.run(lambda: not script.lines)
    assert script.ticks == 1
    assert script.heard[-1] == "progress"


@pytest.mark.parametrize(
    "error",
    [
        SecondRootError(b"\1", b"\2", b"\3", b"\4"),
        WrongChain("what", "why", "todo"),
        ZeroDivisionError("a bug"),
    ],
)
def test_what_no_waiting_mends_ends_the_loop(error: Exception) -> None:
    script = Script([error, True])
    with pytest.raises(type(error)):
        run(script)
    assert script.ticks == 1


def test_rounds_that_act_follow_at_once_and_others_after_the_pause() -> None:
    script = Script([True, True, False, True])
    (pause,) = run(script, poll_s=2.0)
    assert 0 < pause <= 2.0


def test_outcomes_are_told_before_the_agent_acts(caplog) -> None:
    caplog.set_level("INFO")
    script = Script([True])
    script.outcomes = [Outcome(INTENT, MINED), Outcome(INTENT, None)]
    run(script)
    assert script.heard == ["looked 7", "became True", "became False", "progress"]
    assert "assign with nonce 3 mined in block 9, 21000 gas" in caplog.text


def test_chores_come_after_the_agent_and_may_fail_like_it() -> None:
    script = Script([True, True, True])
    calls: list[int] = []

    def chore() -> None:
        calls.append(script.ticks)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")

    run(script, chores=(chore,))
    assert calls == [1, 2, 3]
    assert script.heard.count("failed OSError") == 1


def test_wish_to_stop_ends_after_the_round_that_it_came_in() -> None:
    stop = Patience()
    script = Script([True, True])

    def tick() -> bool:
        stop.stopped = True
        return True

    script.tick = tick
    Daemon(script, script, script, stop, watcher=script).run()
    assert script.heard == ["looked 7", "progress"]


def test_end_that_cannot_be_asked_for_is_no_end() -> None:
    script = Script([True, False])
    answers = iter([ConnectionError("down"), False, True])

    def over() -> bool:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    Daemon(script, script, script, Patience()).run(over)
    assert script.ticks == 2
