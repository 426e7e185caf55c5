// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IMarket} from "../interfaces/IMarket.sol";
import {Payout} from "../libraries/Payout.sol";
import {TaskPhase} from "../libraries/Phases.sol";
import {Solving} from "./Solving.sol";

/// @title How a submitted task ends, called by the claims contract only
/// @dev A task has one claim a round and leaves SUBMITTED once, so each stake is settled once (I7, X14).
abstract contract Settling is Solving {
    modifier onlyClaims() {
        if (msg.sender != address(claims)) revert NotClaims(msg.sender, address(claims));
        _;
    }

    /// @inheritdoc IMarket
    function settleFallen(bytes32 taskId, address beneficiary)
        external
        onlyClaims
        returns (uint256 toChallenger, uint256 toRequester, uint256 burned)
    {
        Task storage task = _taskIn(taskId, TaskPhase.SUBMITTED);
        bytes32 key = _bidKey(taskId, task.round, task.book.winner);
        (toChallenger, toRequester, burned) = Payout.slash(
            _closeBid(key),
            beneficiary == address(0) ? 0 : _constants.challengerWad,
            _constants.requesterWad,
            task.price
        );
        _vacate(task);
        _pay(key, beneficiary, toChallenger);
        _pay(key, task.requester, toRequester);
        _burn(key, burned);
    }

    /// @inheritdoc IMarket
    /// @dev Price + stake + rest + fees = escrow + stake: once the fees are collected every pot is at 0.
    function settleFinalised(bytes32 taskId, uint256 attested)
        external
        onlyClaims
        returns (uint256 toSolver, uint256 toRequester, uint256 toVerifiers)
    {
        Task storage task = _taskIn(taskId, TaskPhase.SUBMITTED);
        task.stored = TaskPhase.FINALISED;
        address solver = task.book.winner;
        bytes32 key = _bidKey(taskId, task.round, solver);
        uint256 stake = _closeBid(key);
        toSolver = task.price + stake;
        toVerifiers = attested * _terms[taskId].verifierFee;
        toRequester = _escrow(_terms[taskId]) - task.price - toVerifiers;
        _pay(key, solver, stake);
        _pay(taskId, solver, task.price);
        _pay(taskId, task.requester, toRequester);
    }

    /// @inheritdoc IMarket
    function settleFee(bytes32 taskId, address verifier) external onlyClaims returns (uint256 fee) {
        _taskIn(taskId, TaskPhase.FINALISED);
        fee = _terms[taskId].verifierFee;
        _pay(taskId, verifier, fee);
    }
}
