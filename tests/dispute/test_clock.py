"""Chess clocks at their edges; the contract's library is held to the same cases."""

from __future__ import annotations

import pytest

from protocol.dispute.clock import ChessClock
from protocol.dispute.state import Side

GRACE = 5
CLOCK = ChessClock(turn_start=1000, extra=20, solver_left=100, opener_left=70)


@pytest.mark.parametrize(("side", "deadline"), [(Side.SOLVER, 1125), (Side.OPENER, 1095)])
def test_deadline_is_start_extra_grace_and_budget(side: Side, deadline: int) -> None:
    assert CLOCK.deadline(side, GRACE) == deadline


@pytest.mark.parametrize(
    ("now", "left"),
    [(1000, 100), (1024, 100), (1025, 100), (1026, 99), (1124, 1)],
    ids=["at once", "in the free time", "at its end", "a second later", "last second"],
)
def test_passed_only_time_beyond_grace_and_extra_is_paid_from_the_budget(
    now: int, left: int
) -> None:
    after = CLOCK.passed(Side.SOLVER, GRACE, now)
    assert after == ChessClock(now, 0, left, 70)


@pytest.mark.parametrize("now", [1125, 1126, 10**9])
def test_passed_from_the_deadline_on_is_refused(now: int) -> None:
    with pytest.raises(ValueError, match="deadline was 1125"):
        CLOCK.passed(Side.SOLVER, GRACE, now)


def test_passed_unused_grace_and_extra_are_lost() -> None:
    """P20: a fast move banks nothing."""
    after = CLOCK.passed(Side.OPENER, GRACE, 1000)
    assert after.deadline(Side.SOLVER, GRACE) == 1000 + GRACE + 100


def test_passed_before_a_clock_start_that_lies_ahead_costs_nothing() -> None:
    assert CLOCK.passed(Side.SOLVER, GRACE, 900).solver_left == 100
