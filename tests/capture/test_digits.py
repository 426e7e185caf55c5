"""The demo's task: valid, quick, and worth its money."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from protocol.capture.examples import digits
from protocol.training.task import Task
from tests.capture.running import states


def test_digits_task_is_valid_and_the_same_each_time() -> None:
    first, second = (Task.create(**digits.make_task().parts()) for _ in range(2))
    assert first.manifest.to_bytes() == second.manifest.to_bytes()
    assert (first.manifest.steps, first.manifest.interval) == (48, 8)


def test_digits_task_trains_to_a_classifier() -> None:
    captured = digits.make_task()
    before = digits.accuracy(captured.state)
    *_, after = states(captured)
    assert before < 0.3
    assert digits.accuracy(after.items()) > 0.85


def test_digits_task_is_the_same_in_another_process_with_other_hashes() -> None:
    code = (
        "from protocol.capture.examples.digits import make_task\n"
        "from protocol.training.task import Task\n"
        "print(Task.create(**make_task().parts()).manifest.root.hex())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "12345", "OMP_NUM_THREADS": "1"}
    other = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    own = Task.create(**digits.make_task().parts()).manifest.root.hex()
    assert other.stdout.strip() == own
