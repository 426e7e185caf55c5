"""Time that a task needs, against what its terms allow."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from protocol.agents.appraisal import (
    MARGIN,
    SUBNORMAL_WORK,
    Need,
    Rate,
    dispute_needs,
    needs,
    require_enough_time,
    warnings_for,
)
from protocol.agents.bundle import TaskRefused
from protocol.agents.requester import terms_of
from protocol.cli.demo.world import OFFER
from protocol.cli.offer import read_offer
from protocol.program.cost import float_work, step_work, trace_bytes
from protocol.training import Task
from scripts.load.crowd import OFFER as CROWD_OFFER

DIGITS = Path(__file__).parents[2] / "examples" / "digits"
RATE = Rate(work=1e3, hashed_bytes=1e4, nodes=1e2, subnormal_work=10.0)
SECONDS = ("run_seconds", "segment_seconds", "trace_seconds")


def enough(task: Task, rate: Rate, *, risks_subnormals: bool = False):
    """Terms that allow what is wanted, rounded up."""
    terms = terms_of(task, OFFER)
    found = needs(task.program, task.manifest.state, terms, rate, risks_subnormals=risks_subnormals)
    return replace(
        terms, **{name: int(n.wanted) + 1 for name, n in zip(SECONDS, found, strict=True)}
    )


def test_needs_of_run_segment_and_trace_add_up(task: Task) -> None:
    terms = terms_of(task, OFFER)
    program, state = task.program, task.manifest.state
    step = step_work(program) / 1e3 + 8 / 1e2
    worst = step + float_work(program) / 10
    hashed = (40 * 4 + 4 + 4 + 40 * 4 + 3) / 1e4
    run, segment, trace = needs(program, state, terms, RATE)
    assert run.needed == pytest.approx(11 * step + 3 * hashed), "the run at the expected time"
    assert segment.needed == pytest.approx(4 * (worst + hashed))
    assert trace.needed == pytest.approx(4 * worst + trace_bytes(program) / 1e4 + hashed)
    assert (run.allowed, segment.allowed, trace.allowed) == tuple(
        getattr(OFFER, name) for name in SECONDS
    )
    assert [need.term for need in (run, segment, trace)] == [n.replace("_", "-") for n in SECONDS]


def test_needs_of_who_risks_subnormals_are_those_of_ordinary_numbers(task: Task) -> None:
    terms, state = terms_of(task, OFFER), task.manifest.state
    plain = needs(task.program, state, terms, RATE, risks_subnormals=True)
    step = RATE.step_seconds(task.program)
    assert plain[1:] == dispute_needs(task.program, state, terms, RATE, step)
    assert plain[0] == needs(task.program, state, terms, RATE)[0]


def test_needs_of_a_run_shorter_than_its_interval_are_those_of_its_steps(task: Task) -> None:
    terms = replace(terms_of(task, OFFER), steps=2, interval=100)
    run, segment, _ = needs(task.program, task.manifest.state, terms, RATE, risks_subnormals=True)
    assert run.needed < segment.needed < 2 * run.needed


@pytest.mark.parametrize("field", SECONDS)
def test_terms_below_the_need_are_refused_with_both_values(task: Task, field: str) -> None:
    state = task.manifest.state
    wanted = {
        name: need.wanted
        for name, need in zip(
            SECONDS, needs(task.program, state, terms_of(task, OFFER), RATE), strict=True
        )
    }
    terms = enough(task, RATE)
    require_enough_time(task.program, state, terms, RATE)
    short = replace(terms, **{field: int(wanted[field])})
    with pytest.raises(TaskRefused) as refused:
        require_enough_time(task.program, state, short, RATE)
    message = str(refused.value)
    assert f"{wanted[field]:.3g} s" in message
    assert f"allowed are {int(wanted[field])} s" in message
    assert message.count("allowed are") == 1
    assert "docs/operate/solver.md" in message


def test_terms_that_only_subnormals_could_miss_are_refused_with_what_to_do(task: Task) -> None:
    state, terms = task.manifest.state, enough(task, RATE, risks_subnormals=True)
    with pytest.raises(TaskRefused) as refused:
        require_enough_time(task.program, state, terms, RATE)
    message = str(refused.value)
    step, worst = RATE.step_seconds(task.program), RATE.worst_step_seconds(task.program)
    assert f"expected are {step:.3g} s for a step, at worst {worst:.3g} s" in message
    assert "--risk-subnormals" in message
    assert "to run the task" not in message
    require_enough_time(task.program, state, terms, RATE, risks_subnormals=True)
    quick = replace(RATE, subnormal_work=1e12)
    require_enough_time(task.program, state, replace(terms, segment_seconds=10**6), quick)


def test_terms_too_short_for_ordinary_numbers_are_refused_whatever_is_risked(task: Task) -> None:
    terms = replace(enough(task, RATE), segment_seconds=1)
    with pytest.raises(TaskRefused, match="with a faster machine only"):
        require_enough_time(task.program, task.manifest.state, terms, RATE, risks_subnormals=True)


def test_margin_is_applied_to_what_is_needed() -> None:
    need = Need("trace one step", "trace-seconds", 15.0, 30)
    assert need.wanted == 15.0 * MARGIN == 30.0
    assert need.is_met
    assert not replace(need, needed=15.1).is_met


def test_rate_measured_gives_back_the_measured_step(task: Task) -> None:
    for seconds in (1e-3, 7.0):
        rate = Rate.measured(task.program, seconds)
        assert rate.step_seconds(task.program) == pytest.approx(seconds)
        assert rate.subnormal_work == SUBNORMAL_WORK, "microcode does not get faster with it"


def test_worst_step_is_never_shorter_than_the_expected_one(task: Task) -> None:
    for rate in (Rate(), RATE, Rate(subnormal_work=1e30)):
        assert rate.worst_step_seconds(task.program) >= rate.step_seconds(task.program)


# ---------------------------------------------------------------------------- requesters


def test_requester_is_warned_of_each_clock_with_the_figure_to_give(task: Task) -> None:
    long = replace(
        terms_of(task, OFFER), steps=10**6, interval=10**6, run_seconds=10**6, trace_seconds=10**6
    )
    state, rate = task.manifest.state, Rate()
    _, plain, _ = needs(task.program, state, long, rate, risks_subnormals=True)
    _, worst, _ = needs(task.program, state, long, rate)
    between = replace(long, segment_seconds=int((plain.wanted + worst.wanted) / 2))
    (warning,) = warnings_for(task.program, state, between)
    assert "slow with subnormal numbers" in warning
    figure = int(warning.rpartition("--segment-seconds ")[2])
    assert worst.wanted <= figure < worst.wanted + 1
    assert not list(warnings_for(task.program, state, replace(long, segment_seconds=figure)))
    (warning,) = warnings_for(task.program, state, replace(long, segment_seconds=1))
    assert "on slow machines will refuse" in warning
    assert f"--segment-seconds {int(plain.wanted) + 1}" in warning


# 140 times slower than the default rate, which is far below what any known machine takes.
SLOWEST = Rate(subnormal_work=2e8 / 140)


@pytest.mark.parametrize("rate", [Rate(), SLOWEST], ids=["default", "140 times"])
@pytest.mark.parametrize(
    "offer", [OFFER, CROWD_OFFER, read_offer(DIGITS, {})], ids=["demo", "load", "examples/digits"]
)
def test_offers_of_demo_and_devnet_are_taken_by_machines_slow_with_subnormals(
    offer, rate: Rate, task: Task
) -> None:
    for each in (task, Task.load(DIGITS)):
        terms = terms_of(each, offer)
        require_enough_time(each.program, each.manifest.state, terms, rate)
        assert not list(warnings_for(each.program, each.manifest.state, terms))
