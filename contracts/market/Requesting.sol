// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Constants, IMarket, Terms} from "../interfaces/IMarket.sol";
import {Auction} from "../libraries/Auction.sol";
import {Phases, TaskPhase} from "../libraries/Phases.sol";
import {Progress} from "../libraries/Progress.sol";
import {StakeFormula} from "../libraries/StakeFormula.sol";
import {TermRules} from "../libraries/TermRules.sol";
import {MarketBase} from "./MarketBase.sol";

/// @title The requester's moves: post, cancel, reopen, refund
abstract contract Requesting is MarketBase {
    /// @inheritdoc IMarket
    function post(Terms calldata terms, string calldata uri) external returns (bytes32 taskId) {
        TermRules.check(terms, _constants.maxSeconds, _constants.maxWindowSeconds);
        // The terms are in the id: a bid that a reorg moves to another posting finds no such task (P01).
        taskId = keccak256(
            abi.encode(block.chainid, address(this), msg.sender, _taskCount++, keccak256(abi.encode(terms)))
        );
        _terms[taskId] = terms;
        Task storage task = _tasks[taskId];
        task.requester = msg.sender;
        emit TaskPosted(taskId, msg.sender, terms, uri);
        _openRound(taskId, task);
        vault.take(msg.sender, taskId, _escrow(_terms[taskId]));
    }

    /// @inheritdoc IMarket
    function cancel(bytes32 taskId) external {
        Task storage task = _task(taskId);
        _requireRequester(task);
        if (task.stored != TaskPhase.BIDDING) revert WrongPhase(taskId, TaskPhase.BIDDING, _phase(task));
        if (task.book.commits != 0) revert BidsCommitted(taskId, task.book.commits);
        _refund(taskId, task);
    }

    /// @inheritdoc IMarket
    function reopen(bytes32 taskId) external {
        Task storage task = _taskIn(taskId, TaskPhase.VACANT);
        _requireRequester(task);
        ++task.round;
        _openRound(taskId, task);
    }

    /// @inheritdoc IMarket
    function refund(bytes32 taskId) external {
        Task storage task = _task(taskId);
        TaskPhase phase = _phase(task);
        if (phase == TaskPhase.VACANT) {
            if (msg.sender != task.requester) {
                revert ReopenTimeRuns(taskId, task.deadlines.reopenEnd, uint64(block.timestamp));
            }
        } else if (phase != TaskPhase.LAPSED) {
            revert WrongPhase(taskId, TaskPhase.VACANT, phase);
        }
        _refund(taskId, task);
    }

    /// @inheritdoc IMarket
    function quote(Terms calldata terms)
        external
        view
        returns (uint256 stake, uint256 deposit, uint256 bond, uint256 bondCeiling)
    {
        TermRules.check(terms, _constants.maxSeconds, _constants.maxWindowSeconds);
        stake = _computeStake(terms);
        deposit = _computeDeposit(terms.maxReward);
        bond = _computeBond(terms, stake);
        bondCeiling = stake * _constants.challengerWad / WAD / 2;
    }

    /// @dev The whole escrow returns; the pot ends at 0.
    function _refund(bytes32 taskId, Task storage task) internal {
        task.stored = TaskPhase.REFUNDED;
        uint256 amount = _escrow(_terms[taskId]);
        emit TaskRefunded(taskId, amount);
        _pay(taskId, task.requester, amount);
    }

    function _openRound(bytes32 taskId, Task storage task) private {
        Terms memory terms = _terms[taskId];
        uint64 bidEnd = uint64(block.timestamp) + terms.bidSeconds;
        uint64 revealEnd = bidEnd + terms.revealSeconds;
        task.stored = TaskPhase.BIDDING;
        task.book = Auction.Book(address(0), 0, 0, 0, 0);
        task.deadlines = Phases.TaskDeadlines(bidEnd, revealEnd, revealEnd + terms.runSeconds, 0);
        task.log = Progress.Log(0, 0);
        task.price = 0;
        task.deposit = uint128(_computeDeposit(terms.maxReward)); // a share of a uint128
        task.requiredStake = _computeStake(terms);
        task.claimId = 0;
        emit RoundOpened(
            taskId, task.round, task.requiredStake, task.deposit, bidEnd, revealEnd, task.deadlines.runEnd
        );
    }

    /// @dev With as many verifiers as could be drawn now: fewer samples need a larger stake.
    function _computeStake(Terms memory terms) private view returns (uint256) {
        uint256 drawable = registry.verifierCount();
        if (drawable > terms.verifiers) drawable = terms.verifiers;
        Constants memory c = _constants;
        return StakeFormula.requiredStake(
            StakeFormula.Sampling({
                segments: TermRules.segmentCount(terms.steps, terms.interval),
                perVerifier: terms.segmentsPerVerifier,
                verifiers: drawable,
                honestWad: c.honestWad,
                openCheckWad: c.openCheckWad
            }),
            _segmentCost(terms),
            terms.valueAtRisk,
            terms.maxReward,
            c.challengerWad
        );
    }

    function _computeDeposit(uint256 maxReward) private view returns (uint256) {
        return StakeFormula.ceilDiv(maxReward * _constants.depositWad, WAD);
    }
}
