// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Chess clocks of a dispute
/// @notice Each side has a budget of seconds for the whole dispute. A turn first uses its grace and
/// its extra time (queued re-execution), then the budget. What a turn leaves of grace and extra is
/// lost, so that fast moves cannot bank it. All times are Unix seconds.
library ChessClock {
    /// @param turnStart When the turn began; may lie ahead before the clocks start.
    /// @param extra Free time of this turn beside the grace.
    /// @param solverLeft The solver's budget at `turnStart`.
    /// @param openerLeft The opener's budget at `turnStart`.
    struct Clock {
        uint64 turnStart;
        uint64 extra;
        uint32 solverLeft;
        uint32 openerLeft;
    }

    /// @notice First second at which the side on the clock has lost: it may move while now < deadline.
    function deadline(Clock memory c, bool solver, uint32 grace) internal pure returns (uint64) {
        return c.turnStart + c.extra + grace + (solver ? c.solverLeft : c.openerLeft);
    }

    /// @notice Ends the turn at `time` and begins the next one, which has no extra yet.
    /// @dev The caller has checked `time < deadline`: the budget covers what is spent.
    function pass(Clock memory c, bool solver, uint32 grace, uint64 time) internal pure {
        uint64 free = c.turnStart + c.extra + grace;
        // At most the budget, which is a uint32.
        uint32 spent = time > free ? uint32(time - free) : 0;
        if (solver) c.solverLeft -= spent;
        else c.openerLeft -= spent;
        c.turnStart = time;
        c.extra = 0;
    }
}
