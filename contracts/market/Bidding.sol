// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IMarket} from "../interfaces/IMarket.sol";
import {Auction} from "../libraries/Auction.sol";
import {TaskPhase} from "../libraries/Phases.sol";
import {Requesting} from "./Requesting.sol";

/// @title The sealed auction: commit, reveal, assign or void, reclaim
abstract contract Bidding is Requesting {
    using Auction for Auction.Book;

    /// @inheritdoc IMarket
    function commitBid(bytes32 taskId, bytes32 commitment) external {
        Task storage task = _taskIn(taskId, TaskPhase.BIDDING);
        if (commitment == 0 || commitment == REVEALED) revert EmptyCommitment();
        uint32 round = task.round;
        bytes32 key = _bidKey(taskId, round, msg.sender);
        if (_bids[key] != 0) revert AlreadyCommitted(taskId, round, msg.sender);
        _bids[key] = commitment;
        ++task.book.commits;
        emit BidCommitted(taskId, round, msg.sender, commitment);
        vault.take(msg.sender, key, task.requiredStake + task.deposit);
    }

    /// @inheritdoc IMarket
    function revealBid(bytes32 taskId, uint256 price, bytes32 salt) external {
        Task storage task = _taskIn(taskId, TaskPhase.REVEALING);
        uint32 round = task.round;
        bytes32 key = _bidKey(taskId, round, msg.sender);
        bytes32 commitment = _bids[key];
        if (commitment == 0) revert NoSuchBid(taskId, round, msg.sender);
        if (commitment == REVEALED) revert AlreadyRevealed(taskId, round, msg.sender);
        bytes32 revealed = bidCommitment(taskId, round, msg.sender, price, salt);
        if (revealed != commitment) revert CommitmentMismatch(commitment, revealed);
        uint128 maxReward = _terms[taskId].maxReward;
        if (price > maxReward) revert PriceAboveMaximum(maxReward, price);
        _bids[key] = REVEALED;
        task.book.enter(msg.sender, uint128(price)); // at most maxReward
        emit BidRevealed(taskId, round, msg.sender, price);
        _pay(key, msg.sender, task.deposit);
    }

    /// @inheritdoc IMarket
    function assign(bytes32 taskId) external {
        Task storage task = _taskIn(taskId, TaskPhase.DECIDABLE);
        if (task.book.reveals == 0) revert WrongReveals(taskId, 0);
        task.stored = TaskPhase.RUNNING;
        task.price = task.book.clearingPrice(_terms[taskId].maxReward);
        emit TaskAssigned(taskId, task.round, task.book.winner, task.price);
    }

    /// @inheritdoc IMarket
    function void(bytes32 taskId) external {
        Task storage task = _taskIn(taskId, TaskPhase.DECIDABLE);
        if (task.book.reveals != 0) revert WrongReveals(taskId, task.book.reveals);
        _refund(taskId, task);
    }

    /// @inheritdoc IMarket
    function reclaim(bytes32 taskId, uint32 round, address bidder) external {
        Task storage task = _task(taskId);
        bytes32 key = _bidKey(taskId, round, bidder);
        bytes32 commitment = _bids[key];
        if (commitment == 0) revert NoSuchBid(taskId, round, bidder);
        // In the running round the winner is not known before assign; afterwards only its stake stays (I9).
        // Of earlier rounds, and once the task ended, the winner's bid is closed already.
        if (round == task.round) {
            TaskPhase phase = _phase(task);
            if (task.stored == TaskPhase.BIDDING) revert WrongPhase(taskId, TaskPhase.RUNNING, phase);
            if (bidder == task.book.winner) revert StakeBound(taskId, round, bidder);
        }
        uint256 returned = _closeBid(key);
        uint256 burned = 0;
        if (commitment != REVEALED) {
            burned = task.deposit; // the same in every round
            returned -= burned;
        }
        emit BidReclaimed(taskId, round, bidder, returned, burned);
        _burn(key, burned);
        _pay(key, bidder, returned);
    }

    /// @inheritdoc IMarket
    function bidOf(bytes32 taskId, uint32 round, address bidder)
        external
        view
        returns (bytes32 commitment, bool revealed)
    {
        commitment = _bids[_bidKey(taskId, round, bidder)];
        if (commitment == REVEALED) return (0, true);
    }

    /// @inheritdoc IMarket
    function bidCommitment(bytes32 taskId, uint32 round, address bidder, uint256 price, bytes32 salt)
        public
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(taskId, round, bidder, price, salt));
    }
}
