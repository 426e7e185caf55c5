// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IClaims} from "../interfaces/IClaims.sol";
import {IEndgame} from "../interfaces/IDispute.sol";
import {IJudge} from "../interfaces/IJudge.sol";
import {IVault} from "../interfaces/IVault.sol";
import {ChessClock} from "../libraries/ChessClock.sol";
import {DisputeBase} from "./DisputeBase.sol";
import {Endgame} from "./Endgame.sol";
import {Opening} from "./Opening.sol";
import {Pointing} from "./Pointing.sol";
import {Posting} from "./Posting.sol";
import {Turns} from "./libraries/Turns.sol";

/// @title Disputes about claims; rules and moves are described in IDispute
/// @notice Nobody owns it and nothing in it can be exchanged. Moves live in the contracts it is
/// made of, in the order of play: Opening, Posting, Pointing, and Endgame (Bisection, Judgement).
contract Dispute is Opening, Posting, Pointing {
    using ChessClock for ChessClock.Clock;

    /// @notice The code of the forwarded moves, created here with the same constants.
    Endgame public immutable endgame;

    constructor(
        IClaims claims_,
        IVault vault_,
        IJudge judge_,
        Parameters memory p
    ) DisputeBase(claims_, vault_, judge_, p) {
        endgame = new Endgame(claims_, vault_, judge_, p);
    }

    // ------------------------------------------------------------------ forwarded moves

    /// @inheritdoc IEndgame
    function bisect(bytes32, bytes32, Level) external {
        _forward();
    }

    /// @inheritdoc IEndgame
    function reveal(bytes32, bytes32, bytes32[] calldata) external {
        _forward();
    }

    /// @inheritdoc IEndgame
    function pick(bytes32, bytes32, uint8, bytes32[] calldata) external {
        _forward();
    }

    /// @inheritdoc IEndgame
    function openTensor(bytes32, bytes32, bytes32, bytes32[] calldata) external {
        _forward();
    }

    /// @inheritdoc IEndgame
    function openChunk(bytes32, bytes32, bytes calldata) external {
        _forward();
    }

    /// @inheritdoc IEndgame
    function openTerm(bytes32, bytes32, bytes calldata) external {
        _forward();
    }

    /// @inheritdoc IEndgame
    function answerBinding(
        bytes32,
        bytes32,
        bytes calldata,
        bytes32[] calldata,
        bytes32,
        bytes32[] calldata,
        bytes32,
        bytes32[] calldata
    ) external {
        _forward();
    }

    /// @inheritdoc IEndgame
    function judgeArithmetic(
        bytes32,
        bytes32,
        bytes calldata,
        bytes calldata,
        bytes32[] calldata,
        bytes calldata,
        bytes32[] calldata
    ) external {
        _forward();
    }

    /// @inheritdoc IEndgame
    function judgeLoad(
        bytes32,
        bytes32,
        bytes calldata,
        bytes calldata,
        bytes32[] calldata,
        bytes32,
        bytes32[] calldata,
        bytes calldata,
        bytes32[] calldata
    ) external {
        _forward();
    }

    /// @dev Runs the same call on this storage with Endgame's code; sender and selector stay.
    function _forward() private {
        (bool ok, bytes memory result) = address(endgame).delegatecall(msg.data);
        if (ok) return;
        // Passes the reason on: the same custom errors as if the code were here.
        assembly ("memory-safe") {
            revert(add(result, 32), mload(result))
        }
    }

    // ------------------------------------------------------------------ views

    function position(bytes32 disputeId) external view returns (Position memory) {
        return _position(_records[disputeId]);
    }

    function positionHash(bytes32 disputeId) external view returns (bytes32) {
        return keccak256(abi.encode(_position(_records[disputeId])));
    }

    function clock(bytes32 disputeId) external view returns (Side side, uint64 deadline) {
        Record storage d = _records[disputeId];
        side = Turns.sideOf(d.state);
        if (side == Side.NONE || claims.isFallen(d.claimId)) return (Side.NONE, 0);
        if (block.timestamp < d.clock.turnStart) return (Side.NONE, d.clock.turnStart);
        deadline = d.clock.deadline(side == Side.SOLVER, _graceSeconds);
    }

    function remaining(bytes32 disputeId) external view returns (uint32, uint32) {
        ChessClock.Clock storage c = _records[disputeId].clock;
        return (c.solverLeft, c.openerLeft);
    }

    function shape(
        bytes32 disputeId
    ) external view returns (uint8, uint8, uint64, uint64, uint8, uint32) {
        IJudge.NodeFacts storage s = _records[disputeId].shape;
        return (s.dtype, s.width, s.numel, s.terms, s.loads, s.init);
    }

    function roots(
        bytes32 claimId,
        bytes32 path
    ) external view returns (bytes32, bytes32, bytes32) {
        StoredRoot storage s = _roots[claimId][path];
        return (s.root, s.before, s.after_);
    }

    function workFinish(bytes32 claimId, bytes32 path) external view returns (uint64) {
        return _queues[claimId].finish[path];
    }

    function queueEnd(bytes32 claimId) external view returns (uint64) {
        return _queues[claimId].end;
    }

    function commitmentOf(
        address opener,
        bytes32 commitment
    ) external view returns (bytes32, uint256, uint64) {
        Commitment storage c = _commitments[opener][commitment];
        return (c.claimId, c.bond, c.committedAt);
    }

    function rootDigest(
        bytes32 claimId,
        bytes32 path,
        bytes32 root
    ) external view returns (bytes32) {
        return _digest(claimId, path, root);
    }

    function parameters() external view returns (Parameters memory) {
        return
            Parameters(
                _solverSeconds,
                _openerSeconds,
                _graceSeconds,
                _coverShare,
                _unrevealedShare
            );
    }
}
