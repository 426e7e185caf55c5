// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IMarket} from "../../../contracts/interfaces/IMarket.sol";
import {TaskPhase} from "../../../contracts/libraries/Phases.sol";
import {TestTree} from "../support/TestTree.sol";
import {Deadlines} from "./Deadlines.sol";

/// @title The deadlines of a task: bids, reveals, the run, the requester's time to reopen
contract TaskDeadlinesTest is Deadlines {
    bytes32 private _task;

    function setUp() public {
        setUpWorld();
        deployMarket(deployToken());
        fundPeople();
        _task = post(plainTerms());
    }

    // --- bidEnd: commit | reveal --------------------------------------------------------------------------------

    function test_bidEnd_dividesCommitsFromReveals() public {
        bid(_task, solver, 1);
        atEach(market.taskView(_task).bidEnd, _checkBidEnd);
        vm.assertEq(accepted + refused, 6);
    }

    function _checkBidEnd(uint256 deadline) private {
        either(
            deadline,
            toMarket(rival, abi.encodeCall(IMarket.commitBid, (_task, bytes32(uint256(9))))),
            _wrongPhase(TaskPhase.BIDDING, TaskPhase.REVEALING),
            toMarket(solver, abi.encodeCall(IMarket.revealBid, (_task, 1, SALT))),
            _wrongPhase(TaskPhase.REVEALING, TaskPhase.BIDDING)
        );
    }

    // --- revealEnd: reveal | assign, or void if nobody revealed ---------------------------------------------------

    function test_revealEnd_dividesRevealsFromTheAssignment() public {
        bid(_task, solver, 1);
        bid(_task, rival, 2);
        passTo(market.taskView(_task).bidEnd);
        revealBid(_task, solver, 1);
        atEach(market.taskView(_task).revealEnd, _checkRevealEnd);
        vm.assertEq(accepted + refused, 6);
    }

    function _checkRevealEnd(uint256 deadline) private {
        either(
            deadline,
            toMarket(rival, abi.encodeCall(IMarket.revealBid, (_task, 2, SALT))),
            _wrongPhase(TaskPhase.REVEALING, TaskPhase.DECIDABLE),
            toMarket(stranger, abi.encodeCall(IMarket.assign, (_task))),
            _wrongPhase(TaskPhase.DECIDABLE, TaskPhase.REVEALING)
        );
    }

    function test_revealEnd_withoutReveals_dividesRevealsFromTheVoid() public {
        bid(_task, rival, 2);
        passTo(market.taskView(_task).bidEnd);
        atEach(market.taskView(_task).revealEnd, _checkVoid);
        vm.assertEq(accepted + refused, 6);
    }

    function _checkVoid(uint256 deadline) private {
        either(
            deadline,
            toMarket(rival, abi.encodeCall(IMarket.revealBid, (_task, 2, SALT))),
            _wrongPhase(TaskPhase.REVEALING, TaskPhase.DECIDABLE),
            toMarket(stranger, abi.encodeCall(IMarket.void, (_task))),
            _wrongPhase(TaskPhase.DECIDABLE, TaskPhase.REVEALING)
        );
    }

    // --- runEnd: submit and report | expire -----------------------------------------------------------------------

    function test_runEnd_dividesSubmissionsFromTheNoShow() public {
        auction(_task, 0);
        atEach(market.taskView(_task).runEnd, _checkRunEnd);
        vm.assertEq(accepted + refused, 9);
    }

    function _checkRunEnd(uint256 deadline) private {
        bytes32[] memory values = logOf(plainTerms());
        bytes32[] memory leaves = TestTree.leaves(values);
        bytes32[] memory none = new bytes32[](0);
        bytes32 root = TestTree.root(leaves);
        bytes memory submission = abi.encodeCall(
            IMarket.submit, (_task, root, values[4], none, TestTree.inclusion(leaves, 0), TestTree.inclusion(leaves, 4))
        );
        bytes memory late = _wrongPhase(TaskPhase.RUNNING, TaskPhase.OVERDUE);
        either(
            deadline,
            toMarket(solver, submission),
            late,
            toMarket(stranger, abi.encodeCall(IMarket.expire, (_task))),
            _wrongPhase(TaskPhase.OVERDUE, TaskPhase.RUNNING)
        );
        onlyBefore(deadline, toMarket(solver, abi.encodeCall(IMarket.report, (_task, 5, root, none))), late);
    }

    // --- reopenEnd: reopen | anyone refunds -----------------------------------------------------------------------

    function test_reopenEnd_dividesReopeningFromAnybodysRefund() public {
        auction(_task, 0);
        passTo(market.taskView(_task).runEnd);
        market.expire(_task);
        atEach(market.taskView(_task).reopenEnd, _checkReopenEnd);
        vm.assertEq(accepted + refused, 9);
    }

    function _checkReopenEnd(uint256 deadline) private {
        bytes memory refund = abi.encodeCall(IMarket.refund, (_task));
        either(
            deadline,
            toMarket(requester, abi.encodeCall(IMarket.reopen, (_task))),
            _wrongPhase(TaskPhase.VACANT, TaskPhase.LAPSED),
            toMarket(stranger, refund),
            abi.encodeWithSelector(IMarket.ReopenTimeRuns.selector, _task, deadline, vm.getBlockTimestamp())
        );
        // The requester itself may refund on both sides.
        accepts("refund", toMarket(requester, refund));
    }

    function _wrongPhase(TaskPhase expected, TaskPhase actual) private view returns (bytes memory) {
        return abi.encodeWithSelector(IMarket.WrongPhase.selector, _task, expected, actual);
    }
}
