// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Constants, IMarket, TaskView, Terms} from "../interfaces/IMarket.sol";
import {IRegistry} from "../interfaces/IRegistry.sol";
import {IVault} from "../interfaces/IVault.sol";
import {IVerification} from "../interfaces/IVerification.sol";
import {MarketBase} from "./MarketBase.sol";
import {Settling} from "./Settling.sol";

/// @title The market: the life of tasks and their money; what it promises and its errors are in IMarket
/// @dev Read in this order: MarketBase (storage), Requesting, Bidding, Solving, Settling. No owner; vault,
/// registry and claims are fixed at construction, the last by its computed CREATE address.
contract Market is Settling {
    constructor(IVault vault_, IRegistry registry_, IVerification claims_, Constants memory constants_)
        MarketBase(vault_, registry_, claims_, constants_)
    {}

    /// @inheritdoc IMarket
    function announceStore(string calldata url) external {
        emit StoreAnnounced(msg.sender, url);
    }

    /// @inheritdoc IMarket
    function constants() external view returns (Constants memory) {
        return _constants;
    }

    /// @inheritdoc IMarket
    function taskTerms(bytes32 taskId) external view returns (Terms memory) {
        _task(taskId);
        return _terms[taskId];
    }

    /// @inheritdoc IMarket
    function requesterOf(bytes32 taskId) external view returns (address) {
        return _task(taskId).requester;
    }

    /// @inheritdoc IMarket
    function taskView(bytes32 taskId) external view returns (TaskView memory v) {
        Task storage task = _task(taskId);
        v.requester = task.requester;
        v.phase = _phase(task);
        v.round = task.round;
        v.commits = task.book.commits;
        v.reveals = task.book.reveals;
        v.solver = task.book.winner;
        v.bidEnd = task.deadlines.bidEnd;
        v.revealEnd = task.deadlines.revealEnd;
        v.runEnd = task.deadlines.runEnd;
        v.reopenEnd = task.deadlines.reopenEnd;
        v.price = task.price;
        v.requiredStake = task.requiredStake;
        v.deposit = task.deposit;
        v.reportedSize = task.log.size;
        v.reportedRoot = task.log.root;
        v.claimId = task.claimId;
    }
}
