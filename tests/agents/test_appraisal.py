"""Time that a task needs, against what its terms allow."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.agents.appraisal import MARGIN, Rate, needs, require_enough_time
from protocol.agents.bundle import TaskRefused
from protocol.agents.requester import terms_of
from protocol.cli.demo.world import OFFER
from protocol.program.cost import step_work, trace_bytes
from protocol.training import Task

RATE = Rate(work=1e3, hashed_bytes=1e4, nodes=1e2)


def test_needs_of_run_segment_and_trace_add_up(task: Task) -> None:
    terms = terms_of(task, OFFER)
    program, state = task.program, task.manifest.state
    step = step_work(program) / 1e3 + 8 / 1e2
    hashed = (40 * 4 + 4 + 4 + 40 * 4 + 3) / 1e4
    run, segment, trace = needs(program, state, terms, RATE)
    assert run.needed == pytest.approx(11 * step + 3 * hashed)
    assert segment.needed == pytest.approx(4 * (step + hashed))
    assert trace.needed == pytest.approx(4 * step + trace_bytes(program) / 1e4 + hashed)
    allowed = (OFFER.run_seconds, OFFER.segment_seconds, OFFER.trace_seconds)
    assert (run.allowed, segment.allowed, trace.allowed) == allowed


def test_needs_of_a_run_shorter_than_its_interval_are_those_of_its_steps(task: Task) -> None:
    terms = replace(terms_of(task, OFFER), steps=2, interval=100)
    run, segment, _ = needs(task.program, task.manifest.state, terms, RATE)
    assert run.needed < segment.needed < 2 * run.needed


@pytest.mark.parametrize("field", ["run_seconds", "segment_seconds", "trace_seconds"])
def test_terms_below_the_need_are_refused_with_both_values(task: Task, field: str) -> None:
    terms, state = terms_of(task, OFFER), task.manifest.state
    wanted = {
        name: need.needed * MARGIN
        for name, need in zip(
            ("run_seconds", "segment_seconds", "trace_seconds"),
            needs(task.program, state, terms, RATE),
            strict=True,
        )
    }
    enough = replace(terms, **{name: int(value) + 1 for name, value in wanted.items()})
    require_enough_time(task.program, state, enough, RATE)
    short = replace(enough, **{field: int(wanted[field])})
    with pytest.raises(TaskRefused) as refused:
        require_enough_time(task.program, state, short, RATE)
    message = str(refused.value)
    assert f"{wanted[field]:.3g} s" in message
    assert f"allowed are {int(wanted[field])} s" in message
    assert message.count("allowed are") == 1


def test_rate_measured_gives_back_the_measured_step(task: Task) -> None:
    for seconds in (1e-3, 7.0):
        rate = Rate.measured(task.program, seconds)
        assert rate.step_seconds(task.program) == pytest.approx(seconds)
