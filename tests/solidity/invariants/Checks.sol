// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {ClaimFacts} from "../../../contracts/interfaces/IClaims.sol";
import {TaskView} from "../../../contracts/interfaces/IMarket.sol";
import {ClaimView} from "../../../contracts/interfaces/IVerification.sol";
import {ClaimPhase, TaskPhase} from "../../../contracts/libraries/Phases.sol";
import {TestTree} from "../support/TestTree.sol";
import {BidGhost, ClaimGhost, Ghosts, Opening, Stage, TaskGhost} from "./Ghosts.sol";
import {CounterProgram as P} from "./CounterProgram.sol";

/// @title The invariants, each with its number
abstract contract Checks is Ghosts {
    uint256 internal constant JUDGEMENT_GAS_CAP = 400_000;
    /// @dev Moves of the longest dispute: two for each round of bisection (log, segment, step, tensor, and two of the
    /// fold), four that start one, and postSegment, postTrace, pointNode, openTensor, openChunk, pointBoundElement,
    /// postFold, openTerm, pointKind and the judgement.
    uint256 internal constant MOST_MOVES = 2 * (1 + 1 + 1 + 1 + 2) + 4 + 10;

    // --- money -----------------------------------------------------------------------------------------------

    /// @notice I3: the tokens are exactly what the books owe plus what nobody deposited.
    function checkMoney() public view {
        uint256 credits = vault.totalCredits();
        uint256 balance = IERC20(token).balanceOf(address(vault));
        vm.assertEq(balance, credits + vault.totalPots() + donated, "I3: tokens cover the books");
        uint256 sum = vault.credits(BURN_ADDRESS);
        for (uint256 i = 0; i < people.length; ++i) {
            sum += vault.credits(people[i]);
        }
        vm.assertEq(sum, credits, "I3: credits add up");
    }

    /// @notice I3, I9: every pot holds what the ghosts say, and there is no other.
    function checkPots() public view {
        uint256 sum;
        for (uint256 i = 0; i < people.length; ++i) {
            (uint256 unbonding,) = registry.unbondingOf(people[i]);
            uint256 bonded = registry.stakeOf(people[i]) + unbonding;
            bytes32 key = bytes32(uint256(uint160(people[i])));
            vm.assertEq(vault.pots(address(registry), key), bonded, "I9: a verifier's stake");
            sum += bonded;
        }
        for (uint256 i = 0; i < active.length; ++i) {
            sum += _checkTaskPots(tasks[active[i]]);
        }
        for (uint256 i = 0; i < pending.length; ++i) {
            Opening storage o = openings[pending[i]];
            bytes32 key = keccak256(abi.encode(o.opener, o.id));
            vm.assertEq(vault.pots(address(dispute), key), o.bond, "I9: a challenger's bond");
            sum += o.bond;
        }
        vm.assertEq(sum, vault.totalPots(), "I3: pots add up");
    }

    function _checkTaskPots(TaskGhost storage t) private view returns (uint256 sum) {
        TaskPhase phase = market.taskView(t.id).phase;
        if (phase == TaskPhase.FINALISED) sum = claimGhosts[t.claim].uncollected * t.fee;
        else if (phase != TaskPhase.REFUNDED) sum = t.escrow;
        vm.assertEq(vault.pots(address(market), t.id), sum, "I3: a task's escrow");
        for (uint256 i = 0; i < t.bids.length; ++i) {
            BidGhost storage b = bids[t.bids[i]];
            uint256 held = b.open ? b.stake + (b.revealed ? 0 : b.deposit) : 0;
            vm.assertEq(vault.pots(address(market), bidKey(b)), held, "I9: a bidder's stake");
            sum += held;
        }
    }

    function bidKey(BidGhost storage b) internal view returns (bytes32) {
        return keccak256(abi.encode(tasks[b.task].id, b.round, b.bidder));
    }

    // --- tasks and claims ------------------------------------------------------------------------------------

    /// @notice I1, I2, I7, I10 for one task and its claim.
    function checkTask(uint256 i) public view {
        TaskGhost storage t = tasks[i];
        TaskView memory v = market.taskView(t.id);
        vm.assertEq(v.round, t.round, "I10: round");
        bool terminal = v.phase == TaskPhase.FINALISED || v.phase == TaskPhase.REFUNDED;
        if (t.retired) require(terminal, "I7: an ended task came back");
        if (!t.submitted) return;
        ClaimGhost storage c = claimGhosts[t.claim];
        ClaimView memory claim = claims.claimView(c.id);
        vm.assertEq(v.claimId, c.id, "I10: claim of the task");
        vm.assertEq(claim.openDisputes, c.live, "I10: open disputes");
        bool fallen = claim.phase == ClaimPhase.FALLEN;
        vm.assertEq(fallen, c.fallen, "I7: a claim falls by a lost dispute only, and for ever");
        vm.assertEq(claims.isFallen(c.id), fallen, "I10: isFallen");
        require(!(fallen && c.honest), "I1: an honest solver's claim fell");
        if (claim.phase == ClaimPhase.FINALISED) {
            require(!(c.isFalse && c.challenged), "I2: a challenged false claim became final");
            require(v.phase == TaskPhase.FINALISED, "I10: task of a final claim");
        }
        bool disputable = uint8(claim.phase) < uint8(ClaimPhase.FALLEN);
        vm.assertEq(claims.isDisputable(c.id), disputable, "I10: isDisputable");
    }

    // --- disputes --------------------------------------------------------------------------------------------

    /// @notice I4, I5, I6, I8, I10 for one live dispute.
    function checkDispute(uint256 i) public view {
        Opening storage o = openings[i];
        ClaimGhost storage c = claimGhosts[o.claim];
        Position memory p = dispute.position(o.id);
        vm.assertEq(dispute.positionHash(o.id), keccak256(abi.encode(p)), "I10: positionHash");
        vm.assertEq(p.claimId, c.id, "I10: claim of a dispute");
        vm.assertEq(p.opener, o.opener, "I10: opener");
        (Side side, uint64 deadline) = dispute.clock(o.id);
        if (o.stage == Stage.ENDED) {
            vm.assertEq(uint8(side), uint8(Side.NONE), "I4: nobody is on the clock at the end");
            vm.assertEq(endHash(o.id), o.finalHash, "I7: an ended dispute changed");
            return;
        }
        if (c.fallen) {
            vm.assertEq(uint8(side), uint8(Side.NONE), "I4: nobody is on the clock of a fallen claim");
            return;
        }
        vm.assertEq(uint8(side), uint8(_sideOf(p.state)), "I4: one side is on the clock");
        require(side == Side.SOLVER || side == Side.OPENER, "I4: a live dispute has a side on the clock");
        vm.assertLe(o.moves, MOST_MOVES, "I5: moves of a dispute");
        ClaimFacts memory f = claims.claimFacts(c.id);
        vm.assertLe(deadline, o.openedAt + longestDispute(f), "I6: a dispute's longest life");
        vm.assertLt(o.openedAt, f.revealEnd, "I6: openings end");
        if (p.state == DisputeState.REVEAL || p.state == DisputeState.PICK) {
            bytes32[] memory hashes = answers.levelHashes(c.run, p);
            vm.assertLe(p.lo + p.size, hashes.length, "I8: the range lies in the tree");
            bytes32 subroot = TestTree.rootOf(hashes, p.lo, p.lo + p.size);
            vm.assertEq(p.subroot, subroot, "I8: the node is the committed one");
        }
    }

    /// @notice Both budgets, the grace of each turn, and all re-execution that can be queued.
    function longestDispute(ClaimFacts memory f) internal view returns (uint64) {
        Parameters memory k = disputeParameters();
        uint64 queue = P.SEGMENTS * f.segmentSeconds + P.STEPS * f.traceSeconds;
        return k.solverSeconds + k.openerSeconds + uint64(MOST_MOVES) * k.graceSeconds + queue;
    }

    /// @notice What must not change once a dispute has ended.
    function endHash(bytes32 id) internal view returns (bytes32) {
        (uint32 solverLeft, uint32 openerLeft) = dispute.remaining(id);
        return keccak256(abi.encode(dispute.positionHash(id), solverLeft, openerLeft));
    }

    /// @notice I11: everything about the other disputes that a move could touch.
    /// @dev Side and deadline change where the claim falls, and only there.
    function othersHash(uint256 except, bool clocks) internal view returns (bytes32 hash) {
        for (uint256 i = 0; i < pending.length; ++i) {
            Opening storage o = openings[pending[i]];
            if (pending[i] == except || o.stage != Stage.LIVE) continue;
            hash = keccak256(abi.encode(hash, endHash(o.id)));
            if (!clocks) continue;
            (Side side, uint64 deadline) = dispute.clock(o.id);
            hash = keccak256(abi.encode(hash, side, deadline));
        }
    }

    /// @notice I5: a number that every move lowers; the way from the log down to the judgement.
    function measureOf(Position memory p) internal pure returns (uint256) {
        if (p.state >= DisputeState.SOLVER_WON) return 0;
        if (p.state == DisputeState.REVEAL || p.state == DisputeState.PICK) {
            uint256 rounds;
            for (uint64 size = p.size; size > 1; size = (size + 31) / 32) ++rounds;
            return _bisectionBase(p.level) + 2 * rounds - (p.state == DisputeState.PICK ? 1 : 0);
        }
        if (p.state == DisputeState.NEED_SEGMENT) return 800;
        if (p.state == DisputeState.POINT_STEP) return 790;
        if (p.state == DisputeState.NEED_TRACE) return 690;
        if (p.state == DisputeState.BRANCH) return 680;
        if (p.state == DisputeState.POINT_NODE) return 590;
        if (p.state == DisputeState.NEED_TENSOR) return 580;
        if (p.state == DisputeState.POINT_CHUNK) return 570;
        if (p.state == DisputeState.NEED_CHUNK) return 490;
        if (p.state == DisputeState.POINT_ELEMENT) return 480;
        if (p.state == DisputeState.NEED_FOLD) return 470;
        if (p.state == DisputeState.POINT_TERM) return 460;
        if (p.state == DisputeState.NEED_TERM) return 390;
        if (p.state == DisputeState.POINT_KIND) return 380;
        return 370; // JUDGE, ANSWER_BINDING
    }

    function _bisectionBase(Level level) private pure returns (uint256) {
        if (level == Level.LOG) return 900;
        if (level == Level.SEGMENT) return 700;
        if (level == Level.TRACE || level == Level.POST_STATE) return 600;
        return level == Level.TENSOR ? 500 : 400;
    }

    /// @dev The table of docs/PROTOCOL.md, not the library's.
    function _sideOf(DisputeState s) internal pure returns (Side) {
        if (s == DisputeState.NONE || s >= DisputeState.SOLVER_WON) return Side.NONE;
        bool solver = s == DisputeState.NEED_SEGMENT || s == DisputeState.NEED_TRACE
            || s == DisputeState.ANSWER_BINDING || s == DisputeState.NEED_TENSOR || s == DisputeState.NEED_CHUNK
            || s == DisputeState.NEED_FOLD || s == DisputeState.NEED_TERM || s == DisputeState.JUDGE
            || s == DisputeState.REVEAL;
        return solver ? Side.SOLVER : Side.OPENER;
    }
}
