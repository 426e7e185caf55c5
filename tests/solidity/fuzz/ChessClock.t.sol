// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ChessClock} from "../../../contracts/libraries/ChessClock.sol";
import {Test} from "../support/Test.sol";

/// @title Chess clocks: what a turn costs, to whom, and what is never banked
contract ChessClockTest is Test {
    using ChessClock for ChessClock.Clock;

    struct Turn {
        uint64 start;
        uint64 extra;
        uint32 grace;
        uint32 solverLeft;
        uint32 openerLeft;
        bool solver;
        uint64 time;
    }

    function testFuzz_pass_inTime_costsWhatExceedsTheFreeTime(uint256 seed) public pure {
        Turn memory t = _turn(seed);
        ChessClock.Clock memory c = _clock(t);
        c.pass(t.solver, t.grace, t.time);
        // Counted in wide signed numbers: seconds after the start that were not free.
        int256 used = int256(uint256(t.time)) - int256(uint256(t.start));
        int256 spent = used - int256(uint256(t.extra)) - int256(uint256(t.grace));
        uint256 cost = spent > 0 ? uint256(spent) : 0;
        vm.assertEq(uint256(c.solverLeft) + (t.solver ? cost : 0), t.solverLeft, "solver's budget");
        vm.assertEq(uint256(c.openerLeft) + (t.solver ? 0 : cost), t.openerLeft, "opener's budget");
        vm.assertEq(c.turnStart, t.time, "the next turn begins now");
        vm.assertEq(c.extra, 0, "and has no extra yet");
    }

    /// @notice The deadline is the first second at which the budget would be overspent: at it, `pass` cannot pay.
    function testFuzz_deadline_isTheFirstSecondThatTheBudgetDoesNotCover(uint256 seed) public {
        Turn memory t = _turn(seed);
        uint64 deadline = _clock(t).deadline(t.solver, t.grace);
        ChessClock.Clock memory last = this.passed(_clock(t), t.solver, t.grace, deadline - 1);
        uint32 left = t.solver ? last.solverLeft : last.openerLeft;
        uint32 budget = t.solver ? t.solverLeft : t.openerLeft;
        // With a budget its last second is left; without one the deadline ends the free time.
        vm.assertEq(left, budget == 0 ? 0 : 1, "one second before the deadline");
        ChessClock.Clock memory at_ = this.passed(_clock(t), t.solver, t.grace, deadline);
        vm.assertEq(t.solver ? at_.solverLeft : at_.openerLeft, 0, "at the deadline nothing is left");
        vm.expectRevert(abi.encodeWithSignature("Panic(uint256)", 0x11));
        this.passed(_clock(t), t.solver, t.grace, deadline + 1);
    }

    function testFuzz_pass_withinTheFreeTime_costsNothingAndBanksNothing(uint256 seed, uint256 moves) public pure {
        Turn memory t = _turn(seed);
        ChessClock.Clock memory c = _clock(t);
        moves = bound(moves, 1, 30);
        uint64 time = t.start;
        for (uint256 i = 0; i < moves; ++i) {
            c.extra = uint32(derive(seed, i));
            time += uint64(bound(derive(seed, i + 100), 0, uint256(c.extra) + t.grace));
            c.pass(i % 2 == 0, t.grace, time);
            vm.assertEq(c.solverLeft, t.solverLeft, "solver's budget");
            vm.assertEq(c.openerLeft, t.openerLeft, "opener's budget");
            vm.assertEq(c.deadline(true, t.grace), time + t.grace + uint256(t.solverLeft), "no more than before");
        }
    }

    /// @notice Whatever the moves, a side never thinks longer than its budget and its free times together.
    function testFuzz_wholeGame_anyTimes_isBoundedByBudgetsAndFreeTime(uint256 seed) public pure {
        Turn memory t = _turn(seed);
        ChessClock.Clock memory c = _clock(t);
        c.extra = 0;
        uint256 thought = 0;
        uint64 time = t.start;
        for (uint256 i = 0; i < 20; ++i) {
            bool solver = i % 2 == 0;
            uint64 deadline = c.deadline(solver, t.grace);
            if (deadline == time) break; // neither grace nor budget: lost at once
            uint64 next = uint64(bound(derive(seed, i), time, deadline - 1));
            if (solver) thought += next - time;
            time = next;
            c.pass(solver, t.grace, time);
        }
        vm.assertLe(thought, uint256(t.solverLeft) + 10 * uint256(t.grace), "thinking time of the solver");
    }

    function test_turns_corpus_meetsEveryPartOfATurn() public {
        uint256[4] memory met; // before the start, in the free time, in the budget, an empty budget
        for (uint256 i = 0; i < 200; ++i) {
            Turn memory t = _turn(i);
            uint256 free = uint256(t.start) + t.extra + t.grace;
            if (t.time < t.start) ++met[0];
            else if (t.time <= free) ++met[1];
            else ++met[2];
            if ((t.solver ? t.solverLeft : t.openerLeft) == 0) ++met[3];
            testFuzz_pass_inTime_costsWhatExceedsTheFreeTime(i);
            testFuzz_deadline_isTheFirstSecondThatTheBudgetDoesNotCover(i);
        }
        for (uint256 k = 0; k < 4; ++k) {
            vm.assertGe(met[k], 10, string.concat("turns of kind ", vm.toString(k)));
        }
    }

    function passed(ChessClock.Clock memory c, bool solver, uint32 grace, uint64 time)
        external
        pure
        returns (ChessClock.Clock memory)
    {
        c.pass(solver, grace, time);
        return c;
    }

    /// @dev A turn and a time before its deadline.
    function _turn(uint256 seed) private pure returns (Turn memory t) {
        t.start = uint64(bound(derive(seed, 0), 1, type(uint40).max));
        t.extra = derive(seed, 1) % 3 == 0 ? 0 : uint64(uint32(derive(seed, 2)));
        t.grace = uint32(derive(seed, 3) % 1000 + 1);
        t.solverLeft = derive(seed, 4) % 4 == 0 ? 0 : uint32(derive(seed, 5));
        t.openerLeft = derive(seed, 6) % 4 == 0 ? 0 : uint32(derive(seed, 7));
        t.solver = derive(seed, 8) % 2 == 0;
        uint256 budget = t.solver ? t.solverLeft : t.openerLeft;
        uint256 free = uint256(t.start) + t.extra + t.grace;
        uint256 kind = derive(seed, 9) % 4;
        uint256 any = derive(seed, 10);
        if (kind == 0) t.time = uint64(bound(any, 0, t.start - 1));
        else if (kind == 1) t.time = uint64(bound(any, t.start, free - 1));
        else t.time = uint64(bound(any, t.start, free + budget - 1));
    }

    function _clock(Turn memory t) private pure returns (ChessClock.Clock memory) {
        return ChessClock.Clock(t.start, t.extra, t.solverLeft, t.openerLeft);
    }
}
