// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IMarket, Terms} from "../interfaces/IMarket.sol";
import {NewClaim} from "../interfaces/IVerification.sol";
import {Payout} from "../libraries/Payout.sol";
import {TaskPhase} from "../libraries/Phases.sol";
import {Progress} from "../libraries/Progress.sol";
import {TermRules} from "../libraries/TermRules.sol";
import {Bidding} from "./Bidding.sol";

/// @title The solver's moves: report, submit; and what happens if it does not
abstract contract Solving is Bidding {
    using Progress for Progress.Log;

    /// @inheritdoc IMarket
    function report(bytes32 taskId, uint64 size, bytes32 root, bytes32[] calldata proof) external {
        Task storage task = _taskIn(taskId, TaskPhase.RUNNING);
        _requireSolver(task);
        uint64 least = task.log.size + 1;
        uint64 most = _logSize(_terms[taskId]);
        if (size < least || size > most) revert ReportOutOfRange(least, most, size);
        task.log.extend(size, root, proof);
        emit ProgressReported(taskId, task.round, size, root);
    }

    /// @inheritdoc IMarket
    function submit(
        bytes32 taskId,
        bytes32 logRoot,
        bytes32 resultRoot,
        bytes32[] calldata consistencyProof,
        bytes32[] calldata firstLeafProof,
        bytes32[] calldata lastLeafProof
    ) external returns (bytes32 claimId) {
        Task storage task = _taskIn(taskId, TaskPhase.RUNNING);
        _requireSolver(task);
        Terms memory terms = _terms[taskId];
        uint64 size = _logSize(_terms[taskId]);
        task.log.extend(size, logRoot, consistencyProof);
        Progress.requireLeaf(logRoot, terms.initialStateRoot, 0, size, firstLeafProof);
        Progress.requireLeaf(logRoot, resultRoot, size - 1, size, lastLeafProof);
        claimId = keccak256(
            abi.encode(block.chainid, address(this), taskId, task.round, msg.sender, logRoot, resultRoot)
        );
        task.stored = TaskPhase.SUBMITTED;
        task.claimId = claimId;
        uint64 windowEnd = uint64(block.timestamp) + terms.windowSeconds;
        claims.openClaim(
            claimId,
            NewClaim({
                taskId: taskId,
                solver: msg.sender,
                round: task.round,
                logRoot: logRoot,
                resultRoot: resultRoot,
                windowEnd: windowEnd,
                revealEnd: windowEnd + _constants.openRevealSeconds,
                targetBlock: uint64(block.number) + _constants.drawDelayBlocks,
                bond: _computeBond(terms, task.requiredStake)
            })
        );
    }

    /// @inheritdoc IMarket
    function expire(bytes32 taskId) external {
        Task storage task = _taskIn(taskId, TaskPhase.OVERDUE);
        address solver = task.book.winner;
        bytes32 key = _bidKey(taskId, task.round, solver);
        (uint256 returned, uint256 toRequester, uint256 burned) =
            Payout.noShow(_closeBid(key), _constants.noShowWad, _terms[taskId].maxReward);
        _vacate(task);
        emit NoShow(taskId, solver, returned, toRequester, burned);
        _pay(key, solver, returned);
        _pay(key, task.requester, toRequester);
        _burn(key, burned);
    }

    function _logSize(Terms storage terms) private view returns (uint64) {
        return TermRules.segmentCount(terms.steps, terms.interval) + 1;
    }
}
