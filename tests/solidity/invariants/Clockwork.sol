// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ClaimFacts} from "../../../contracts/interfaces/IClaims.sol";
import {TaskView} from "../../../contracts/interfaces/IMarket.sol";
import {TaskPhase} from "../../../contracts/libraries/Phases.sol";
import {DisputeMoves} from "./DisputeMoves.sol";
import {BidGhost, ClaimGhost, Opening, Stage, TaskGhost} from "./Ghosts.sol";

/// @title Time, in which the honest keep their clocks
/// @notice Time passes only here. Before a deadline passes, whoever is not chosen to be silent makes its move, often
/// in the last second: so I1 and I2 speak about honest parties that are as late as they may be, and liars fall by
/// judgement, not by carelessness.
abstract contract Clockwork is DisputeMoves {
    enum Duty {
        NONE,
        REVEAL,
        ASSIGN,
        SUBMIT,
        OPEN,
        PLAY
    }

    struct Due {
        Duty duty;
        uint256 index;
        uint64 earliest;
        uint64 deadline; // to be done while now < deadline
    }

    /// @dev Goes on to a time; every duty that ends until then is done before.
    function _pass(uint64 time) internal {
        while (true) {
            Due memory due = _nextDue();
            if (due.duty == Duty.NONE || due.deadline > time) break;
            uint64 from = now_() > due.earliest ? now_() : due.earliest;
            uint64 when = due.deadline - 1;
            if (_chance(50)) when = from + uint64(_random(when - from + 1));
            _setTime(when);
            _do(due);
        }
        if (time > now_()) _setTime(time);
    }

    /// @dev Somewhere near the end of a phase or a turn: a second before, at, or after it.
    function _passToDeadline() internal {
        uint64 deadline = _chance(50) && pending.length != 0 ? _someTurnsEnd() : _somePhasesEnd();
        if (deadline == 0) return;
        uint64 time = deadline + uint64(_random(3)) - 1;
        if (time > now_()) _pass(time);
    }

    function _do(Due memory due) private {
        if (due.duty == Duty.REVEAL) _moveInRevealing(tasks[due.index]);
        else if (due.duty == Duty.ASSIGN) _moveInDecidable(tasks[due.index], 1);
        else if (due.duty == Duty.SUBMIT) _submit(tasks[due.index]);
        else if (due.duty == Duty.OPEN) _open(due.index);
        else _play(due.index, _sideOf(dispute.position(openings[due.index].id).state));
        _count("inTime");
    }

    function _nextDue() private view returns (Due memory next) {
        next.deadline = type(uint64).max;
        for (uint256 i = 0; i < active.length; ++i) {
            _earlier(next, _dueOfTask(active[i]));
        }
        for (uint256 i = 0; i < pending.length; ++i) {
            _earlier(next, _dueOfOpening(pending[i]));
        }
    }

    function _earlier(Due memory next, Due memory due) private pure {
        if (due.duty == Duty.NONE || due.deadline >= next.deadline) return;
        (next.duty, next.index, next.earliest, next.deadline) = (due.duty, due.index, due.earliest, due.deadline);
    }

    function _dueOfTask(uint256 i) private view returns (Due memory due) {
        TaskGhost storage t = tasks[i];
        TaskView memory v = market.taskView(t.id);
        (due.index, due.deadline) = (i, v.runEnd);
        if (v.phase <= TaskPhase.REVEALING && _unrevealed(t) != type(uint256).max) {
            (due.duty, due.earliest, due.deadline) = (Duty.REVEAL, v.bidEnd, v.revealEnd);
            return due;
        }
        if (v.phase == TaskPhase.RUNNING) {
            if (!t.noShow) due.duty = Duty.SUBMIT;
        } else if (v.phase == TaskPhase.REVEALING || v.phase == TaskPhase.DECIDABLE) {
            due.earliest = v.revealEnd;
            if (v.reveals == 0 || now_() >= v.runEnd) return due;
            // An honest winner does not wait for others to assign it; some liars do.
            BidGhost storage b = bids[_bidOf(t, v.solver)];
            if (b.honest || uint256(b.salt) % 4 != 0) due.duty = Duty.ASSIGN;
        }
    }

    function _dueOfOpening(uint256 i) private view returns (Due memory due) {
        Opening storage o = openings[i];
        ClaimGhost storage c = claimGhosts[o.claim];
        if (c.fallen) return due;
        due.index = i;
        if (o.stage == Stage.COMMITTED) {
            (due.earliest, due.deadline) = (o.committedAt + 1, claims.claimFacts(c.id).revealEnd);
            if (o.honest) due.duty = Duty.OPEN;
            return due;
        }
        Side side;
        (side, due.deadline) = dispute.clock(o.id);
        if (side == Side.SOLVER ? !c.silent : !o.silent) due.duty = Duty.PLAY;
    }

    function _someTurnsEnd() private returns (uint64 deadline) {
        Opening storage o = openings[pending[_random(pending.length)]];
        ClaimFacts memory f = claims.claimFacts(claimGhosts[o.claim].id);
        if (o.stage == Stage.LIVE) (, deadline) = dispute.clock(o.id);
        else deadline = _chance(50) ? f.windowEnd : f.revealEnd;
    }

    function _somePhasesEnd() private returns (uint64) {
        if (active.length == 0) return 0;
        TaskGhost storage t = tasks[active[_random(active.length)]];
        TaskView memory v = market.taskView(t.id);
        if (v.phase == TaskPhase.BIDDING) return v.bidEnd;
        if (v.phase == TaskPhase.REVEALING) return v.revealEnd;
        if (v.phase == TaskPhase.RUNNING || v.phase == TaskPhase.DECIDABLE) return v.runEnd;
        if (v.phase == TaskPhase.VACANT) return v.reopenEnd;
        if (v.phase != TaskPhase.SUBMITTED) return 0;
        ClaimFacts memory f = claims.claimFacts(v.claimId);
        return now_() < f.windowEnd ? f.windowEnd : f.revealEnd;
    }
}
