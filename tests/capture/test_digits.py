"""The demo's task: valid, quick, and worth its money."""

from __future__ import annotations

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
