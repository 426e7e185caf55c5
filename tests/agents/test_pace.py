"""How fast a run went: what is kept of it, what is run again, and what follows for its claim."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from protocol.agents import pace as pace_module
from protocol.agents.appraisal import MARGIN, Rate
from protocol.agents.journal import Journal
from protocol.agents.pace import Defence, Pace
from protocol.agents.requester import terms_of
from protocol.cli.demo.world import OFFER
from protocol.kernels import Executor
from protocol.training import Task, Trainer
from protocol.training.checkpoints import CheckpointFolder
from protocol.training.trainer import Progress

TASK_ID = bytes([7]) * 32
RATE = Rate(hashed_bytes=1e12)
ALLOWED = 80  # seconds for a segment of four steps: 10 s for a step, with the margin


def never() -> bool:
    """No pause."""
    return False


@pytest.fixture
def journal() -> Journal:
    return Journal(":memory:", 1, "0xabc")


@pytest.fixture
def trained(task: Task, tmp_path: Path) -> Iterator[CheckpointFolder]:
    """The checkpoints of the whole run."""
    Trainer(task, tmp_path / "run").run()
    with CheckpointFolder(task, tmp_path / "run") as checkpoints:
        yield checkpoints


@pytest.fixture
def pace(journal: Journal, task: Task, trained: CheckpointFolder) -> Pace:
    return Pace(journal, TASK_ID, task, trained, Executor(1))


@pytest.fixture
def terms(task: Task):
    return replace(terms_of(task, OFFER), segment_seconds=ALLOWED, trace_seconds=10**6)


def see(pace: Pace, steps: Iterable[int], seconds: float) -> None:
    """Train these steps (from 0), so many seconds each, without a stop."""
    for step in steps:
        pace.saw(Progress(step + 1, 11, None, seconds, None))
    pace.keep()


def see_all(pace: Pace, seconds: float) -> None:
    for steps in (range(4), range(4, 8), range(8, 11)):
        see(pace, steps, seconds)


def clock_of(monkeypatch: pytest.MonkeyPatch, step_s: float) -> list[float]:
    """Let every step that is run again take so long; the readings of the clock."""
    readings = [0.0]

    def read() -> float:
        # Read before and after each step.
        readings.append(readings[-1] + (step_s if len(readings) % 2 == 0 else 0.0))
        return readings[-1]

    monkeypatch.setattr(time, "perf_counter", read)
    return readings


def test_pace_of_a_segment_is_the_mean_of_its_steps(pace: Pace) -> None:
    see(pace, range(3), 1.0)
    see(pace, [3], 5.0)
    assert pace.step_seconds(1) == pytest.approx(2.0)
    assert pace.step_seconds(2) == math.inf


def test_pace_of_a_segment_that_was_seen_in_part_is_unknown(pace: Pace) -> None:
    see(pace, range(4, 7), 1.0)
    assert pace.step_seconds(2) == math.inf
    see(pace, [7], 1.0)
    assert pace.step_seconds(2) == pytest.approx(1.0)
    see(pace, range(8, 10), 1.0)
    assert pace.step_seconds(3) == math.inf
    see(pace, [10], 1.0)
    assert pace.step_seconds(3) == pytest.approx(1.0), "the last segment has three steps"


def test_pace_outlives_the_process(
    pace: Pace, journal: Journal, task: Task, trained: CheckpointFolder
) -> None:
    see_all(pace, 3.0)
    reborn = Pace(journal, TASK_ID, task, trained)
    assert [reborn.step_seconds(segment) for segment in (1, 2, 3)] == [3.0, 3.0, 3.0]
    other = Pace(journal, bytes(32), task, trained)
    assert other.step_seconds(1) == math.inf, "another task's run"


def test_pace_of_steps_that_were_trained_twice_counts_them_once(pace: Pace) -> None:
    """A damaged checkpoint makes a run go back; stretches then overlap."""
    see(pace, range(3), 2.0)
    see(pace, range(4), 4.0)
    assert pace.step_seconds(1) == pytest.approx((3 * 2.0 + 4 * 4.0) / 7)


def test_checkpoint_ends_a_stretch(pace: Pace) -> None:
    """A run that has to make a damaged checkpoint again goes through two segments at a stretch."""
    for step in range(8):
        done = step + 1
        seconds = 1.0 if step < 4 else 3.0
        checkpoint = None if done % 4 else done // 4
        pace.saw(Progress(done, 11, None, seconds, checkpoint))
    assert [pace.step_seconds(segment) for segment in (1, 2)] == [1.0, 3.0]


def test_pace_without_a_step_keeps_nothing(pace: Pace, journal: Journal) -> None:
    pace.keep()
    assert journal.entries(f"pace of 0x{TASK_ID.hex()}") == []


def test_run_that_was_quick_is_defended_without_another_look(
    pace: Pace, terms, monkeypatch
) -> None:
    see_all(pace, 9.0)
    monkeypatch.setattr(pace, "_run_again", lambda *_: pytest.fail("run again"))
    assert pace.defence(terms, RATE, never) == Defence(9.0, [])


def test_segment_that_was_slow_once_is_run_again_before_the_claim_is_given_up(
    pace: Pace, terms, monkeypatch
) -> None:
    see(pace, range(4), 1.0)
    see(pace, range(4, 8), 1e4)
    see(pace, range(8, 11), 1.0)
    readings = clock_of(monkeypatch, 2.0)
    assert pace.defence(terms, RATE, never) == Defence(2.0, [])
    assert len(readings) == 1 + 2 * 4, "the slow segment alone"


def test_segment_that_stays_slow_makes_the_claim_indefensible(
    pace: Pace, terms, monkeypatch
) -> None:
    see_all(pace, 11.0)
    readings = clock_of(monkeypatch, 12.5)
    defence = pace.defence(terms, RATE, never)
    assert defence is not None
    (need,) = defence.unmet
    assert (need.term, need.allowed) == ("segment-seconds", ALLOWED)
    assert need.wanted == pytest.approx(4 * 12.5 * MARGIN)
    assert defence.step_seconds == 12.5
    assert len(readings) == 1 + 2 * 4, "one is enough"
    text = defence.refusal(stake_wei=77, run_end=1234)
    for part in (
        "not submitted: a dispute could not be answered in time",
        "the whole stake of 77 wei",
        "a step took 12.5 s, so to run one segment again takes up to 100 s, allowed are 80 s",
        "costs a no-show",
        "start the agent again before 1234",
        "docs/operate/solver.md",
    ):
        assert part in text


def test_slow_trace_makes_the_claim_indefensible_as_well(pace: Pace, terms, monkeypatch) -> None:
    see_all(pace, 9.0)
    clock_of(monkeypatch, 9.0)
    defence = pace.defence(replace(terms, trace_seconds=71), RATE, never)
    assert defence is not None
    assert [need.term for need in defence.unmet] == ["trace-seconds"]


def test_run_that_nobody_timed_is_run_again_as_a_dispute_would(
    pace: Pace, terms, task: Task, monkeypatch
) -> None:
    """Also the last step of each segment, whose state is on disk."""
    readings = clock_of(monkeypatch, 3.0)
    computed = []
    run = pace_module.Replay.state

    def state(self, step: int):
        computed.append(step)
        return run(self, step)

    monkeypatch.setattr(pace_module.Replay, "state", state)
    assert pace.defence(terms, RATE, never) == Defence(3.0, [])
    assert computed == list(range(1, task.manifest.steps + 1))
    assert len(readings) == 1 + 2 * task.manifest.steps


def test_step_whose_state_is_on_disk_is_computed_and_not_read(
    pace: Pace, terms, trained: CheckpointFolder, monkeypatch
) -> None:
    read: list[int] = []
    state = trained.state
    monkeypatch.setattr(trained, "state", lambda index: read.append(index) or state(index))
    assert pace.defence(terms, RATE, never) is not None
    assert read == [0, 1, 2], "where the segments start"


def test_pause_stops_the_second_run_and_the_next_look_goes_on(
    pace: Pace, terms, task: Task, monkeypatch
) -> None:
    readings = clock_of(monkeypatch, 1.0)
    for done in range(task.manifest.steps - 1):
        asked = iter([False, True])
        assert pace.defence(terms, RATE, lambda asked=asked: next(asked)) is None
        assert len(readings) == 1 + 2 * (done + 1)
    assert pace.defence(terms, RATE, never) == Defence(1.0, [])
