"""Hostile task folders are refused, in bounded time and memory, and nothing of them is executed."""

from __future__ import annotations

import json
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fuzz import watched
from tests.fuzz.mutations import MUTATIONS, mutate
from tests.training.regression import regression_task

ROOT = Path(__file__).parents[2]
EXPECTED = {"refused TaskError", "refused TensorError", "refused InvalidProgram", "ran", "valid"}


def tried(first: int, count: int) -> list[dict[str, Any]]:
    """What came of the seeds; a process died, or did what it must not, if that is not EXPECTED."""
    command = [sys.executable, "-m", "tests.fuzz.watched", str(first), str(count)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    cases = [json.loads(line) for line in done.stdout.splitlines()]
    assert [case["seed"] for case in cases] == list(range(first, first + count))
    return cases


def check(cases: list[dict[str, Any]]) -> Counter[str]:
    """How often each outcome came; every single one is expected."""
    wrong = [case for case in cases if case["outcome"] not in EXPECTED]
    assert wrong == []
    assert {case["mutation"] for case in cases} == {m.__name__ for m in MUTATIONS}
    assert {case["door"] for case in cases} == watched.DOORS.keys()
    return Counter(case["outcome"] for case in cases)


def test_hostile_folders_are_refused_or_run_and_nothing_of_them_is_executed() -> None:
    outcomes = check(tried(0, 150))
    assert outcomes["refused InvalidProgram"] >= 15, "mutations reach the rules of programs"
    assert outcomes["refused TensorError"] >= 10, "and those of tensors"
    assert outcomes["ran"] >= 3, "some are valid, and then they run"


@pytest.mark.slow
def test_thousands_of_hostile_folders_are_refused_or_run() -> None:
    outcomes = check(tried(1_000_000, 4_000))
    assert min(outcomes[name] for name in EXPECTED) >= 100


def say(read: int) -> str:
    """The outcome that a watched process wrote."""
    with os.fdopen(read) as lines:
        return str(json.loads(lines.read())["outcome"])


CRIMES: dict[str, Callable[[Path], object]] = {
    "exec": lambda _folder: exec(NOTHING),
    "compile": lambda _folder: compile("1", "", "eval"),
    "import": lambda _folder: __import__("this"),
    "pickle.find_class": lambda _folder: pickle.loads(b"cposix\nsystem\n."),
    "subprocess.Popen": lambda _folder: subprocess.run(["true"], check=False),
    "os.system": lambda _folder: os.system("true"),
    "socket.__new__": lambda _folder: socket.socket(),
    "open": lambda _folder: Path("made").open("w"),  # noqa: SIM115
}
NOTHING = compile("1", "", "eval")


@pytest.mark.parametrize("event", CRIMES)
def test_watch_catches_what_it_looks_for(event: str, tmp_path: Path, monkeypatch) -> None:
    """Else the suite could not fail."""
    monkeypatch.chdir(tmp_path)
    assert watched.watch(tmp_path, CRIMES[event])["outcome"].startswith(f"FORBIDDEN {event}")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("conduct", "outcome"),
    [
        (lambda _folder: bytearray(1 << 31), "CRASH MemoryError"),
        (lambda _folder: 1 // 0, "CRASH ZeroDivisionError"),
        (lambda _folder: os.kill(os.getpid(), signal.SIGKILL), "DIED of signal 9"),
    ],
)
def test_watch_tells_of_other_ends(conduct, outcome: str, tmp_path: Path) -> None:
    assert watched.watch(tmp_path, conduct)["outcome"].startswith(outcome)


def test_mutation_of_a_seed_is_always_the_same(tmp_path: Path, monkeypatch) -> None:
    written = []
    for name in ("one", "two"):
        for seed in (0, 1, 2, 3, 5, 7):
            folder = tmp_path / name / str(seed)
            regression_task().save(folder)
            monkeypatch.chdir(folder)
            mutate(seed, folder)
            written.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert written[:6] == written[6:]
