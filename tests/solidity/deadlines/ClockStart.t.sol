// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ClaimsHarness} from "../../../contracts/harness/ClaimsHarness.sol";
import {ClaimFacts} from "../../../contracts/interfaces/IClaims.sol";
import {IDispute, IDisputeTypes, IEndgame} from "../../../contracts/interfaces/IDispute.sol";
import {IVault} from "../../../contracts/interfaces/IVault.sol";
import {TestTree} from "../support/TestTree.sol";
import {Deadlines, Move} from "./Deadlines.sol";

/// @title A dispute whose clocks start later than it was opened
/// @notice The market's claims start their clocks at the submission, before any opening; the dispute contract allows
/// more, so that is tried on claims with facts of its own.
contract ClockStartTest is Deadlines, IDisputeTypes {
    bytes32 private constant CLAIM = bytes32("claim");
    uint64 private constant CLOCK_START = uint64(START_TIME + 1_000);

    bytes32 private _dispute;

    function setUp() public {
        setUpWorld();
        token = deployToken();
        address promised = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 3);
        address judge = deployArtifact("judgement/Judge.sol", "Judge", "");
        ClaimsHarness facts = ClaimsHarness(deployArtifact("harness/ClaimsHarness.sol", "ClaimsHarness", ""));
        bytes memory args = abi.encode(token, address(1), address(2), promised);
        vault = IVault(deployArtifact("market/Vault.sol", "Vault", args));
        args = abi.encode(facts, vault, judge, disputeParameters());
        dispute = IDispute(deployArtifact("dispute/Dispute.sol", "Dispute", args));
        require(address(dispute) == promised, "the dispute has another address than the vault was told");
        fundPeople();
        facts.register(CLAIM, _facts());
        _dispute = keccak256(abi.encode(CLAIM, challenger, uint64(0), SALT));
        vm.prank(challenger);
        dispute.commitOpen(CLAIM, _dispute);
        passTo(START_TIME + 1);
        vm.prank(challenger);
        dispute.open(CLAIM, 0, SALT);
    }

    function test_clockStart_isTheFirstSecondOfTheFirstMove() public {
        atEach(CLOCK_START, _checkStart);
        vm.assertEq(accepted, 2);
        vm.assertEq(refused, 1 + 3);
    }

    function _checkStart(uint256 start) private {
        if (isBefore(start)) {
            refuses("reveal", _reveal(), abi.encodeWithSelector(NotStarted.selector, start, now_()));
        } else {
            accepts("reveal", _reveal());
        }
        // Grace and budget begin with the clocks; before that nobody is on the clock.
        uint256 deadline = start + 30 + 600;
        (Side side, uint64 shown) = dispute.clock(_dispute);
        vm.assertEq(uint8(side), uint8(isBefore(start) ? Side.NONE : Side.SOLVER), "side");
        vm.assertEq(shown, isBefore(start) ? start : deadline, "the start, then the deadline");
        Move memory timeout = toDispute(stranger, abi.encodeCall(IDispute.timeout, (_dispute)));
        refuses("timeout", timeout, abi.encodeWithSelector(DeadlineNotReached.selector, deadline, now_()));
    }

    /// @notice And its deadline divides as any other.
    function test_deadline_ofTheFirstMove_dividesItFromTheTimeout() public {
        atEach(CLOCK_START + 30 + 600, _checkDeadline);
        vm.assertEq(accepted + refused, 6);
    }

    function _checkDeadline(uint256 deadline) private {
        either(
            deadline,
            _reveal(),
            abi.encodeWithSelector(DeadlinePassed.selector, deadline, now_()),
            toDispute(stranger, abi.encodeCall(IDispute.timeout, (_dispute))),
            abi.encodeWithSelector(DeadlineNotReached.selector, deadline, now_())
        );
    }

    function _reveal() private view returns (Move memory) {
        bytes32[] memory leaves = TestTree.leaves(logOf(plainTerms()));
        bytes32 expected = dispute.positionHash(_dispute);
        // Five leaves: each is a child of its own.
        return toDispute(solver, abi.encodeCall(IEndgame.reveal, (_dispute, expected, leaves)));
    }

    function _facts() private view returns (ClaimFacts memory f) {
        f.solver = solver;
        f.requester = requester;
        f.taskId = bytes32("task");
        f.logRoot = TestTree.root(TestTree.leaves(logOf(plainTerms())));
        f.programRoot = bytes32(uint256(1));
        (f.steps, f.interval) = (10, 3);
        (f.nodeCount, f.stateCount, f.dataCount) = (5, 3, 2);
        (f.segmentSeconds, f.traceSeconds) = (60, 30);
        f.windowEnd = uint64(START_TIME + 5_000);
        f.revealEnd = uint64(START_TIME + 6_000);
        f.clockStart = CLOCK_START;
        f.bond = 1_000;
    }
}
