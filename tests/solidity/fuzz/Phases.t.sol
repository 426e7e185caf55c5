// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ClaimPhase, Phases, TaskPhase} from "../../../contracts/libraries/Phases.sol";
import {Test} from "../support/Test.sol";

/// @title Phases: half-open intervals of time, one after the other
contract PhasesTest is Test {
    /// @notice Written as a list of half-open intervals: the phase is the one whose interval holds the time.
    function testFuzz_ofTask_anyTime_isTheIntervalThatHoldsIt(uint256 seed, uint256 stored) public pure {
        TaskPhase phase = TaskPhase(bound(stored, 0, uint256(type(TaskPhase).max)));
        Phases.TaskDeadlines memory d = _deadlines(seed);
        uint256 time = _near(derive(seed, 9), [d.bidEnd, d.revealEnd, d.runEnd, d.reopenEnd]);
        TaskPhase expected = phase;
        if (phase == TaskPhase.BIDDING) {
            if (time >= d.bidEnd && time < d.revealEnd) expected = TaskPhase.REVEALING;
            if (time >= d.revealEnd) expected = TaskPhase.DECIDABLE;
        }
        if (phase == TaskPhase.RUNNING && time >= d.runEnd) expected = TaskPhase.OVERDUE;
        if (phase == TaskPhase.VACANT && time >= d.reopenEnd) expected = TaskPhase.LAPSED;
        vm.assertEq(uint8(Phases.ofTask(phase, d, time)), uint8(expected));
    }

    function testFuzz_ofClaim_anyTime_isTheIntervalThatHoldsIt(uint256 seed, uint256 stored) public pure {
        ClaimPhase phase = ClaimPhase(bound(stored, 0, uint256(type(ClaimPhase).max)));
        Phases.TaskDeadlines memory d = _deadlines(seed);
        (uint64 windowEnd, uint64 revealEnd) = (d.bidEnd, d.revealEnd);
        uint256 time = _near(derive(seed, 9), [windowEnd, revealEnd, windowEnd, revealEnd]);
        ClaimPhase expected = phase;
        if (phase == ClaimPhase.WINDOW && time >= windowEnd) {
            expected = time >= revealEnd ? ClaimPhase.DECIDED : ClaimPhase.REVEALS;
        }
        vm.assertEq(uint8(Phases.ofClaim(phase, windowEnd, revealEnd, time)), uint8(expected));
    }

    /// @notice Time alone never leads back: a later phase of a task or claim has a higher number.
    function testFuzz_phases_laterTime_neverGoesBack(uint256 seed, uint256 earlier, uint256 later) public pure {
        Phases.TaskDeadlines memory d = _deadlines(seed);
        earlier = bound(earlier, 0, type(uint64).max);
        later = bound(later, earlier, type(uint64).max);
        for (uint256 p = 0; p <= uint256(type(TaskPhase).max); ++p) {
            TaskPhase stored = TaskPhase(p);
            vm.assertLe(uint8(Phases.ofTask(stored, d, earlier)), uint8(Phases.ofTask(stored, d, later)));
        }
        for (uint256 p = 0; p <= uint256(type(ClaimPhase).max); ++p) {
            ClaimPhase stored = ClaimPhase(p);
            vm.assertLe(
                uint8(Phases.ofClaim(stored, d.bidEnd, d.revealEnd, earlier)),
                uint8(Phases.ofClaim(stored, d.bidEnd, d.revealEnd, later))
            );
        }
    }

    function test_phases_corpus_meetsEveryPhaseAndEveryEdge() public pure {
        uint256[11] memory tasks;
        uint256[6] memory phasesOfClaims;
        for (uint256 i = 0; i < 400; ++i) {
            testFuzz_ofTask_anyTime_isTheIntervalThatHoldsIt(i, i % 11);
            testFuzz_ofClaim_anyTime_isTheIntervalThatHoldsIt(i, i % 6);
            Phases.TaskDeadlines memory d = _deadlines(i);
            uint256 time = _near(derive(i, 9), [d.bidEnd, d.revealEnd, d.runEnd, d.reopenEnd]);
            ++tasks[uint8(Phases.ofTask(TaskPhase(i % 11), d, time))];
            ++phasesOfClaims[uint8(Phases.ofClaim(ClaimPhase(i % 6), d.bidEnd, d.revealEnd, time))];
        }
        for (uint256 p = 0; p < 11; ++p) {
            vm.assertGe(tasks[p], 3, string.concat("tasks in phase ", vm.toString(p)));
        }
        for (uint256 p = 0; p < 6; ++p) {
            vm.assertGe(phasesOfClaims[p], 3, string.concat("claims in phase ", vm.toString(p)));
        }
    }

    function _deadlines(uint256 seed) private pure returns (Phases.TaskDeadlines memory d) {
        d.bidEnd = uint64(bound(derive(seed, 0), 1, type(uint56).max));
        d.revealEnd = d.bidEnd + uint64(derive(seed, 1) % (1 << 40)) + 1;
        d.runEnd = d.revealEnd + uint64(derive(seed, 2) % (1 << 40)) + 1;
        d.reopenEnd = uint64(bound(derive(seed, 3), 1, type(uint56).max));
    }

    /// @dev A deadline, the second before or after it, or any time.
    function _near(uint256 seed, uint64[4] memory deadlines) private pure returns (uint256) {
        uint256 kind = seed % 4;
        seed /= 4;
        if (kind == 3) return uint64(seed);
        return deadlines[seed % 4] - 1 + kind;
    }
}
