"""Waiting in a town: a chain that does not answer for once is asked again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from protocol.chain.endpoints import RpcUnreachable
from scripts.devnet.town import Town, TownError

NOBODY: Any = None
SILENT = RpcUnreachable([("http://127.0.0.1:1", TimeoutError("no answer"))])


@pytest.fixture
def people(tmp_path: Path) -> Town:
    return Town(tmp_path, NOBODY, NOBODY, NOBODY)


def answers(*given: bool | Exception) -> Callable[[], bool]:
    """Gives one after the other, and the last one from then on."""
    left = list(given)

    def over() -> bool:
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return over


def test_wait_on_a_chain_that_is_silent_for_once_goes_on(people: Town) -> None:
    over = answers(SILENT, False, True)
    people.wait("the end", over, 60)
    assert over()


def test_wait_on_a_chain_that_stays_silent_ends(people: Town) -> None:
    with pytest.raises(TownError, match="the end has not happened after 0 s"):
        people.wait("the end", answers(SILENT), 0)


def test_wait_on_any_other_failure_ends_at_once(people: Town) -> None:
    with pytest.raises(LookupError, match="no such claim"):
        people.wait("the end", answers(LookupError("no such claim")), 60)


def test_wait_beside_a_dead_process_tells_its_last_words(people: Town) -> None:
    (people.folder / "solver.log").write_text("last words", encoding="utf-8")
    dead = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
    dead.wait()
    people.processes["solver"] = dead
    with pytest.raises(TownError, match="solver ended with 3 while waiting for the end:\nlast"):
        people.wait("the end", answers(SILENT), 60)
