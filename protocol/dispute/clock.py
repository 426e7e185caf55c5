"""Chess clocks, the twin of ``contracts/libraries/ChessClock.sol``. All times are Unix seconds.

Each side owns a budget for the whole dispute. A turn first uses its grace and its extra time
(queued re-execution), then the budget; what a turn leaves of grace and extra is lost, so that
fast moves cannot bank it (P20). The side on the clock may move while ``now < deadline``; from the
deadline on it has lost, however late the timeout is claimed (P18, P19).
"""

from __future__ import annotations

from dataclasses import dataclass

from protocol.dispute.state import Side


@dataclass(frozen=True, slots=True)
class ChessClock:
    """The clocks of one dispute.

    Attributes:
        turn_start: when the turn began; may lie ahead before the clocks start.
        extra: free seconds of this turn beside the grace.
        solver_left: the solver's budget at ``turn_start``.
        opener_left: the opener's budget at ``turn_start``.
    """

    turn_start: int
    extra: int
    solver_left: int
    opener_left: int

    def left(self, side: Side) -> int:
        """Budget of a side at the start of the turn."""
        return self.solver_left if side is Side.SOLVER else self.opener_left

    def deadline(self, side: Side, grace: int) -> int:
        """First second at which ``side``, being on the clock, has lost."""
        return self.turn_start + self.extra + grace + self.left(side)

    def passed(self, side: Side, grace: int, now: int) -> ChessClock:
        """The clocks after ``side`` ended its turn at ``now``; the next turn has no extra yet.

        Raises:
            ValueError: the side had run out of time; the caller checks that first.
        """
        deadline = self.deadline(side, grace)
        if now >= deadline:
            raise ValueError(f"turn ended at {now}, its deadline was {deadline}: claim a timeout")
        spent = max(0, now - (self.turn_start + self.extra + grace))
        return ChessClock(
            now,
            0,
            self.solver_left - (spent if side is Side.SOLVER else 0),
            self.opener_left - (spent if side is not Side.SOLVER else 0),
        )
