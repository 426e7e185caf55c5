// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @notice Phases of a task. BIDDING, RUNNING, SUBMITTED, VACANT, FINALISED and REFUNDED are stored; time alone
/// leads from BIDDING to REVEALING to DECIDABLE, from RUNNING to OVERDUE, and from VACANT to LAPSED.
enum TaskPhase {
    NONE,
    BIDDING,
    REVEALING,
    DECIDABLE, // reveals are over: assign or void
    RUNNING,
    OVERDUE, // nothing submitted in time: expire
    SUBMITTED,
    VACANT, // the solver failed: the requester reopens or refunds
    LAPSED, // it did neither in time: anyone refunds
    FINALISED,
    REFUNDED
}

/// @notice Phases of a claim. WINDOW, FALLEN and FINALISED are stored; time alone leads from WINDOW to REVEALS
/// to DECIDED (finalisable once no dispute is live).
enum ClaimPhase {
    NONE,
    WINDOW,
    REVEALS, // committed openings may still be revealed
    DECIDED,
    FALLEN,
    FINALISED
}

/// @title Which phase it is: pure functions of what is stored and the time
/// @dev The only place that compares a deadline of the market with the time: `now < deadline` may move (P18).
library Phases {
    struct TaskDeadlines {
        uint64 bidEnd;
        uint64 revealEnd;
        uint64 runEnd;
        uint64 reopenEnd;
    }

    function ofTask(TaskPhase stored, TaskDeadlines memory deadlines, uint256 timestamp)
        internal
        pure
        returns (TaskPhase)
    {
        if (stored == TaskPhase.BIDDING) {
            if (timestamp < deadlines.bidEnd) return TaskPhase.BIDDING;
            return timestamp < deadlines.revealEnd ? TaskPhase.REVEALING : TaskPhase.DECIDABLE;
        }
        if (stored == TaskPhase.RUNNING && timestamp >= deadlines.runEnd) return TaskPhase.OVERDUE;
        if (stored == TaskPhase.VACANT && timestamp >= deadlines.reopenEnd) return TaskPhase.LAPSED;
        return stored;
    }

    function ofClaim(ClaimPhase stored, uint64 windowEnd, uint64 revealEnd, uint256 timestamp)
        internal
        pure
        returns (ClaimPhase)
    {
        if (stored != ClaimPhase.WINDOW || timestamp < windowEnd) return stored;
        return timestamp < revealEnd ? ClaimPhase.REVEALS : ClaimPhase.DECIDED;
    }
}
