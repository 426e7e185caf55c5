// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ClaimFacts} from "../interfaces/IClaims.sol";
import {IDispute} from "../interfaces/IDispute.sol";
import {ChessClock} from "../libraries/ChessClock.sol";
import {Descent} from "./Descent.sol";
import {Sizes} from "./libraries/Sizes.sol";
import {Turns} from "./libraries/Turns.sol";

/// @title Commitment, opening and the ends that need no judgement
abstract contract Opening is Descent, IDispute {
    using ChessClock for ChessClock.Clock;

    struct Commitment {
        bytes32 claimId;
        uint256 bond;
        uint64 committedAt;
    }

    mapping(address opener => mapping(bytes32 commitment => Commitment)) internal _commitments;

    function commitOpen(bytes32 claimId, bytes32 commitment) external {
        if (
            _commitments[msg.sender][commitment].committedAt != 0 ||
            _records[commitment].state != DisputeState.NONE
        ) revert CommitmentExists(msg.sender, commitment);
        if (!claims.isDisputable(claimId)) revert ClaimNotDisputable(claimId);
        ClaimFacts memory f = claims.claimFacts(claimId);
        uint64 time = uint64(block.timestamp);
        if (time >= f.windowEnd) revert OpeningOver(f.windowEnd, time);
        _commitments[msg.sender][commitment] = Commitment(claimId, f.bond, time);
        emit OpeningCommitted(claimId, msg.sender, commitment, f.bond);
        if (f.bond > 0) vault.take(msg.sender, _pot(msg.sender, commitment), f.bond);
    }

    function open(
        bytes32 claimId,
        uint64 segment,
        bytes32 salt
    ) external returns (bytes32 disputeId) {
        disputeId = keccak256(abi.encode(claimId, msg.sender, segment, salt));
        Commitment memory c = _commitments[msg.sender][disputeId];
        // The commitment may have been made for another claim: its bond is another one.
        if (c.committedAt == 0 || c.claimId != claimId) {
            revert UnknownCommitment(msg.sender, disputeId);
        }
        uint64 time = uint64(block.timestamp);
        // Blocks have distinct times or the same block: a later time is a later block (P14, P21).
        if (time <= c.committedAt) revert CommitmentTooYoung(c.committedAt, time);
        if (!claims.isDisputable(claimId)) revert ClaimNotDisputable(claimId);
        ClaimFacts memory f = claims.claimFacts(claimId);
        if (time >= f.revealEnd) revert RevealOver(f.revealEnd, time);
        uint64 count = Sizes.segments(f.steps, f.interval);
        if (segment > count) revert SegmentOutOfRange(segment, count);
        delete _commitments[msg.sender][disputeId];

        Record storage d = _records[disputeId];
        d.claimId = claimId;
        d.opener = msg.sender;
        d.segment = segment;
        d.bond = c.bond;
        emit DisputeOpened(disputeId, claimId, msg.sender, segment);
        _start(disputeId, d, _keep(claimId, f), time > f.clockStart ? time : f.clockStart);
        claims.disputeOpened(claimId);
    }

    /// @dev Facts of a claim never change, the ends of its phases excepted, which are not kept.
    function _keep(bytes32 claimId, ClaimFacts memory f) private returns (Known storage known) {
        known = _known[claimId];
        if (known.steps != 0) return known;
        known.solver = f.solver;
        known.nodeCount = f.nodeCount;
        known.stateCount = f.stateCount;
        known.dataCount = f.dataCount;
        known.steps = f.steps;
        known.interval = f.interval;
        known.segmentSeconds = f.segmentSeconds;
        known.traceSeconds = f.traceSeconds;
        known.logRoot = f.logRoot;
        known.programRoot = f.programRoot;
        known.dataRoot = f.dataRoot;
    }

    /// @dev The first state, with fresh clocks from `start` on.
    function _start(bytes32 id, Record storage d, Known storage f, uint64 start) private {
        DisputeState state;
        uint64 extra;
        if (d.segment == 0) {
            d.level = Level.LOG;
            d.size = Sizes.segments(f.steps, f.interval) + 1;
            d.subroot = f.logRoot;
            state = DisputeState.REVEAL;
            emit BisectionStarted(id, Level.LOG, d.size, f.logRoot);
        } else {
            (state, extra) = _afterSegment(id, d, f, start);
        }
        d.state = state;
        d.clock = ChessClock.Clock(start, extra, _solverSeconds, _openerSeconds);
        _announce(id, d);
    }

    function reclaim(bytes32 claimId, address opener, bytes32 commitment) external {
        Commitment memory c = _commitments[opener][commitment];
        if (c.committedAt == 0 || c.claimId != claimId) {
            revert UnknownCommitment(opener, commitment);
        }
        uint256 burned;
        if (!claims.isFallen(claimId)) {
            uint64 time = uint64(block.timestamp);
            uint64 revealEnd = claims.claimFacts(claimId).revealEnd;
            if (time < revealEnd) revert RevealNotOver(revealEnd, time);
            burned = (c.bond * _unrevealedShare) / ONE;
        }
        delete _commitments[opener][commitment];
        emit CommitmentReclaimed(claimId, opener, commitment, c.bond - burned, burned);
        _pay(_pot(opener, commitment), opener, c.bond - burned);
        _burn(_pot(opener, commitment), burned);
    }

    function timeout(bytes32 disputeId) external {
        Record storage d = _live(disputeId);
        if (claims.isFallen(d.claimId)) {
            _refund(disputeId, d);
            return;
        }
        bool solver = Turns.sideOf(d.state) == Side.SOLVER;
        uint64 time = uint64(block.timestamp);
        uint64 deadline = d.clock.deadline(solver, _graceSeconds);
        if (time < deadline) revert DeadlineNotReached(deadline, time);
        _conclude(disputeId, d, !solver);
    }

    function refund(bytes32 disputeId) external {
        Record storage d = _live(disputeId);
        if (!claims.isFallen(d.claimId)) revert ClaimNotFallen(d.claimId);
        _refund(disputeId, d);
    }

    function _live(bytes32 id) private view returns (Record storage d) {
        d = _records[id];
        if (d.state == DisputeState.NONE) revert UnknownDispute(id);
        if (!Turns.isLive(d.state)) revert DisputeOver(d.state);
    }
}
