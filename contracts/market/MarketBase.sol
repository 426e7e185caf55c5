// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Constants, IMarket, Terms} from "../interfaces/IMarket.sol";
import {IRegistry} from "../interfaces/IRegistry.sol";
import {IVault} from "../interfaces/IVault.sol";
import {IVerification} from "../interfaces/IVerification.sol";
import {Auction} from "../libraries/Auction.sol";
import {Phases, TaskPhase} from "../libraries/Phases.sol";
import {Progress} from "../libraries/Progress.sol";
import {StakeFormula} from "../libraries/StakeFormula.sol";
import {TermRules} from "../libraries/TermRules.sol";

/// @title What all of the market's moves stand on: constants, storage, phases, pots
/// @dev Money: the escrow of a task lies in the pot `taskId` from posting to its end; the stake (and the deposit
/// of a sealed bid) in the pot `_bidKey(taskId, round, bidder)`. A move empties a pot by what it really holds.
abstract contract MarketBase is IMarket {
    struct Task {
        address requester;
        TaskPhase stored;
        uint32 round;
        Auction.Book book; // winner = solver once RUNNING
        Phases.TaskDeadlines deadlines;
        Progress.Log log;
        uint128 price;
        uint128 deposit;
        uint256 requiredStake;
        bytes32 claimId;
    }

    /// @dev Stands in place of the commitment of a revealed bid.
    bytes32 internal constant REVEALED = bytes32(type(uint256).max);
    uint256 internal constant WAD = 1e18;

    IVault public immutable vault;
    IRegistry public immutable registry;
    IVerification public immutable claims;

    Constants internal _constants;
    uint256 internal _taskCount;
    mapping(bytes32 taskId => Terms) internal _terms;
    mapping(bytes32 taskId => Task) internal _tasks;
    mapping(bytes32 bidKey => bytes32 commitment) internal _bids;

    constructor(IVault vault_, IRegistry registry_, IVerification claims_, Constants memory constants_) {
        TermRules.check(constants_);
        vault = vault_;
        registry = registry_;
        claims = claims_;
        _constants = constants_;
    }

    function _task(bytes32 taskId) internal view returns (Task storage task) {
        task = _tasks[taskId];
        if (task.stored == TaskPhase.NONE) revert UnknownTask(taskId);
    }

    function _phase(Task storage task) internal view returns (TaskPhase) {
        return Phases.ofTask(task.stored, task.deadlines, block.timestamp);
    }

    /// @dev The task, if it is in this phase now.
    function _taskIn(bytes32 taskId, TaskPhase expected) internal view returns (Task storage task) {
        task = _task(taskId);
        TaskPhase actual = _phase(task);
        if (actual != expected) revert WrongPhase(taskId, expected, actual);
    }

    function _requireRequester(Task storage task) internal view {
        if (msg.sender != task.requester) revert NotRequester(msg.sender, task.requester);
    }

    function _requireSolver(Task storage task) internal view {
        if (msg.sender != task.book.winner) revert NotSolver(msg.sender, task.book.winner);
    }

    /// @dev c, the cost of a segment: the reward spread over the segments, rounded up.
    function _segmentCost(Terms memory terms) internal pure returns (uint256) {
        return StakeFormula.ceilDiv(terms.maxReward, TermRules.segmentCount(terms.steps, terms.interval));
    }

    function _computeBond(Terms memory terms, uint256 stake) internal view returns (uint256) {
        Constants memory c = _constants;
        return StakeFormula.bond(
            _segmentCost(terms),
            stake,
            StakeFormula.BondRates({
                gasCover: uint256(c.solverGas) * c.weiPerGas,
                hashingWad: c.hashingWad,
                traceWad: c.traceWad,
                clockMissWad: c.clockMissWad,
                rewardWad: uint256(c.challengerWad) + c.requesterWad
            })
        );
    }

    function _escrow(Terms storage terms) internal view returns (uint256) {
        return terms.maxReward + uint256(terms.verifiers) * terms.verifierFee;
    }

    function _bidKey(bytes32 taskId, uint32 round, address bidder) internal pure returns (bytes32) {
        return keccak256(abi.encode(taskId, round, bidder));
    }

    /// @dev What the pot of a bid holds; the bid ends here, so that it is settled once.
    function _closeBid(bytes32 key) internal returns (uint256 amount) {
        delete _bids[key];
        amount = vault.pots(address(this), key);
    }

    /// @dev The solver is out: the requester has its time to reopen or refund.
    function _vacate(Task storage task) internal {
        task.stored = TaskPhase.VACANT;
        task.deadlines.reopenEnd = uint64(block.timestamp) + _constants.reopenSeconds;
    }

    function _pay(bytes32 key, address account, uint256 amount) internal {
        if (amount != 0) vault.release(key, account, amount);
    }

    function _burn(bytes32 key, uint256 amount) internal {
        if (amount != 0) vault.burn(key, amount);
    }
}
