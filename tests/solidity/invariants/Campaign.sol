// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {TaskView} from "../../../contracts/interfaces/IMarket.sol";
import {TaskPhase} from "../../../contracts/libraries/Phases.sol";
import {DisputeRefusals} from "./DisputeRefusals.sol";
import {TaskGhost} from "./Ghosts.sol";

/// @title A market under random moves: most must be accepted, some refused, and the invariants hold after each
/// @notice One call of `step` for each move; `end` brings everything to its end and takes all money out.
contract Campaign is DisputeRefusals {
    uint256 private constant MOST_STEPS_TO_THE_END = 20_000;

    uint256 public steps;

    constructor() {
        _setUp();
        // Verifiers from the beginning.
        for (uint256 i = 0; i < 12; ++i) {
            _moveMoney();
        }
    }

    /// @dev Longer than any claim of this campaign lives, and short enough to be awaited.
    function unbondingSeconds() internal pure override returns (uint64) {
        return 1 hours;
    }

    /// @notice One random move, and the checks.
    function step(uint256 seed) external {
        _seed(seed);
        _step();
    }

    /// @notice Everything ends: tasks, disputes, stakes; and the vault is left with nothing but what nobody owns.
    function end() external {
        windingDown = true;
        uint256 last = steps + MOST_STEPS_TO_THE_END;
        while (active.length != 0 || pending.length != 0) {
            require(steps < last, "I6: something does not end");
            _step();
        }
        for (uint256 i = 0; i < people.length; ++i) {
            _unbond(people[i]);
        }
        _pass(now_() + unbondingSeconds());
        _flush();
        for (uint256 i = 0; i < people.length; ++i) {
            _completeUnbond(people[i]);
            _withdraw(people[i], vault.credits(people[i]));
        }
        checkMoney();
        vm.assertEq(vault.totalCredits(), 0, "I3: no credit at the end");
        vm.assertEq(vault.totalPots(), 0, "I3: no pot at the end");
    }

    function acceptedKindCount() external view returns (uint256) {
        return acceptedKinds.length;
    }

    function refusedKindCount() external view returns (uint256) {
        return refusedKinds.length;
    }

    function _step() private {
        ++steps;
        _pass(now_() + uint64(_random(3)));
        if (pending.length != 0) _movePending(pending[_random(pending.length)]);
        uint256 dice = _random(100);
        if (dice < 65) _moveTask();
        else if (dice < 70) _moveMoney();
        else if (dice < 80) _refuseInMarket();
        else if (dice < 97) _refuseInDispute();
        else _passToDeadline();
        _check();
    }

    function _moveTask() private {
        if (active.length == 0 || _chance(15)) {
            _post();
            return;
        }
        uint256 i = active[_random(active.length)];
        TaskGhost storage t = tasks[i];
        TaskView memory v = market.taskView(t.id);
        if (_chance(10) && _reclaimBid(t)) return;
        if (v.phase == TaskPhase.BIDDING) _moveInBidding(t, v.commits);
        else if (v.phase == TaskPhase.REVEALING) _moveInRevealing(t);
        else if (v.phase == TaskPhase.DECIDABLE) _moveInDecidable(t, v.reveals);
        else if (v.phase == TaskPhase.RUNNING) _moveInRunning(t);
        else if (v.phase == TaskPhase.OVERDUE) _moveInOverdue(t);
        else if (v.phase == TaskPhase.VACANT || v.phase == TaskPhase.LAPSED) {
            _moveInVacant(t, v.phase == TaskPhase.LAPSED);
        } else if (v.phase == TaskPhase.SUBMITTED) {
            if (_chance(60)) _commitOpening(t);
            else _moveInSubmitted(t);
        } else {
            _moveInEnded(i);
        }
    }

    /// @dev What a move can touch is checked after it; here money, and something at random.
    function _check() private {
        checkMoney();
        if (tasks.length != 0) checkTask(_random(tasks.length));
        if (active.length != 0) checkTask(active[_random(active.length)]);
        if (ended.length != 0) checkDispute(ended[_random(ended.length)]);
        if (steps % 16 == 0) checkPots();
    }
}
