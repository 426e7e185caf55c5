// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IClaims} from "../interfaces/IClaims.sol";
import {IDisputeTypes} from "../interfaces/IDispute.sol";
import {IJudge} from "../interfaces/IJudge.sol";
import {IVault} from "../interfaces/IVault.sol";
import {ChessClock} from "../libraries/ChessClock.sol";
import {Paths} from "./libraries/Paths.sol";
import {Sizes} from "./libraries/Sizes.sol";
import {Turns} from "./libraries/Turns.sol";
import {WorkQueue} from "./libraries/WorkQueue.sol";

/// @title What all moves share: the record, the checks at the door, the clock, the end
/// @dev `Dispute` and `Endgame` run on the same storage: this contract holds all that Endgame
/// uses, and both inherit it first.
abstract contract DisputeBase is IDisputeTypes {
    using ChessClock for ChessClock.Clock;

    /// @dev `depth` counts the roots in use: 1 segment, 2 trace, 3 fold.
    struct Record {
        bytes32 claimId;
        address opener;
        DisputeState state;
        Level level;
        uint8 kind;
        uint8 depth;
        uint32 turn;
        ChessClock.Clock clock;
        uint64 segment;
        uint64 step;
        uint64 element;
        uint64 term;
        uint32 node;
        uint32 binding;
        uint64 lo;
        uint64 size;
        bytes32 subroot;
        bytes32 descriptorHash;
        IJudge.NodeFacts shape;
        uint256 bond;
    }

    /// @dev What moves need of a claim, kept at its first opening: asking for it in each move
    /// would cost more than all else.
    struct Known {
        address solver;
        uint32 nodeCount;
        uint32 stateCount;
        uint32 dataCount;
        uint64 steps;
        uint64 interval;
        uint64 segmentSeconds;
        uint64 traceSeconds;
        bytes32 logRoot;
        bytes32 programRoot;
        bytes32 dataRoot;
    }

    struct StoredRoot {
        bytes32 root;
        bytes32 before;
        bytes32 after_;
    }

    uint8 internal constant ARITHMETIC = 0xff;
    uint256 internal constant ONE = 1e18;

    IClaims public immutable claims;
    IVault public immutable vault;
    IJudge public immutable judge;
    uint32 internal immutable _solverSeconds;
    uint32 internal immutable _openerSeconds;
    uint32 internal immutable _graceSeconds;
    uint64 internal immutable _coverShare;
    uint64 internal immutable _unrevealedShare;

    mapping(bytes32 disputeId => Record) internal _records;
    mapping(bytes32 claimId => Known) internal _known;
    mapping(bytes32 claimId => mapping(bytes32 path => StoredRoot)) internal _roots;
    mapping(bytes32 claimId => WorkQueue.Queue) internal _queues;
    /// @dev The dispute of the drawn verifier that opened first on a segment.
    mapping(bytes32 claimId => mapping(uint64 segment => bytes32 disputeId)) internal _drawn;

    constructor(
        IClaims claims_,
        IVault vault_,
        IJudge judge_,
        Parameters memory p
    ) {
        if (p.coverShare > ONE) revert ShareAboveOne(ONE, p.coverShare);
        if (p.unrevealedShare > ONE) revert ShareAboveOne(ONE, p.unrevealedShare);
        claims = claims_;
        vault = vault_;
        judge = judge_;
        _solverSeconds = p.solverSeconds;
        _openerSeconds = p.openerSeconds;
        _graceSeconds = p.graceSeconds;
        _coverShare = p.coverShare;
        _unrevealedShare = p.unrevealedShare;
    }

    // ------------------------------------------------------------------ the door

    /// @dev The checks of every move, cheap ones first (P15). The side on the clock pays for its
    /// time here, whoever moves; the move then sets the next state and ends with `_turn`.
    /// Neither function takes a literal: the optimizer would copy it for each one.
    function _enter(
        bytes32 id,
        bytes32 expected
    ) internal returns (Record storage d, Known storage f) {
        d = _records[id];
        DisputeState state = d.state;
        if (state == DisputeState.NONE) revert UnknownDispute(id);
        DisputeState required = Turns.requiredState(msg.sig, state);
        if (state != required) revert WrongState(required, state);
        bool solver = Turns.sideOf(state) == Side.SOLVER;
        if (!solver && msg.sender != d.opener) revert NotOpener(d.opener, msg.sender);
        ChessClock.Clock memory c = d.clock;
        uint64 time = uint64(block.timestamp);
        if (time < c.turnStart) revert NotStarted(c.turnStart, time);
        uint64 deadline = c.deadline(solver, _graceSeconds);
        if (time >= deadline) revert DeadlinePassed(deadline, time);
        bytes32 actual = keccak256(abi.encode(_position(d)));
        if (actual != expected) revert StalePosition(actual, expected);
        c.pass(solver, _graceSeconds, time);
        d.clock = c;
        if (claims.isDisputable(d.claimId)) return (d, _known[d.claimId]);
        revert ClaimNotDisputable(d.claimId);
    }

    /// @dev Ends the move: the state is to be answered, with `extra` seconds free.
    function _turn(bytes32 id, Record storage d, uint64 extra) internal {
        d.turn += 1;
        d.clock.extra = extra;
        _announce(id, d);
    }

    function _announce(bytes32 id, Record storage d) internal {
        Side side = Turns.sideOf(d.state);
        uint64 deadline = d.clock.deadline(side == Side.SOLVER, _graceSeconds);
        emit Turned(id, d.state, side, deadline);
    }

    // ------------------------------------------------------------------ ways down

    /// @dev The segment is known: which state comes next, from `start` on.
    function _afterSegment(
        bytes32 id,
        Record storage d,
        Known storage f,
        uint64 start
    ) internal returns (DisputeState next, uint64 extra) {
        _claimPrecedence(id, d);
        bytes32 path = Paths.segment(d.segment);
        if (_roots[d.claimId][path].root != 0) return _afterSegmentRoot(d, f, start);
        return (DisputeState.NEED_SEGMENT, _queue(d.claimId, path, start, f.segmentSeconds));
    }

    /// @dev The segment's root is known. A segment of one step needs no pointer (X07).
    function _afterSegmentRoot(
        Record storage d,
        Known storage f,
        uint64 start
    ) internal returns (DisputeState next, uint64 extra) {
        d.depth = 1;
        if (_segmentLength(d, f) > 1) return (DisputeState.POINT_STEP, 0);
        d.step = _firstStep(d, f);
        return _afterStep(d, f, start);
    }

    function _afterStep(
        Record storage d,
        Known storage f,
        uint64 start
    ) internal returns (DisputeState next, uint64 extra) {
        bytes32 path = Paths.trace(d.step);
        if (_roots[d.claimId][path].root != 0) {
            d.depth = 2;
            return (DisputeState.BRANCH, 0);
        }
        return (DisputeState.NEED_TRACE, _queue(d.claimId, path, start, f.traceSeconds));
    }

    /// @dev One element's fold is little work: the grace covers it, nothing is queued.
    function _afterElement(Record storage d) internal returns (DisputeState next) {
        if (_roots[d.claimId][Paths.fold(d.step, d.node, d.element)].root == 0) {
            return DisputeState.NEED_FOLD;
        }
        d.depth = 3;
        return DisputeState.POINT_TERM;
    }

    function _queue(
        bytes32 claimId,
        bytes32 path,
        uint64 start,
        uint64 needed
    ) private returns (uint64 extra) {
        uint64 finish;
        bool fresh;
        (extra, finish, fresh) = WorkQueue.waitFor(_queues[claimId], path, start, needed);
        if (fresh) emit WorkQueued(claimId, path, finish);
    }

    function _segmentLength(
        Record storage d,
        Known storage f
    ) internal view returns (uint64) {
        return Sizes.segmentLength(f.steps, f.interval, d.segment);
    }

    /// @dev The segment's first step, counted from 0 over the whole run.
    function _firstStep(Record storage d, Known storage f) internal view returns (uint64) {
        return f.interval * (d.segment - 1);
    }

    // ------------------------------------------------------------------ the end

    /// @dev A drawn verifier of the segment has precedence as beneficiary, unless its dispute is
    /// over or its clock has run out.
    function _claimPrecedence(bytes32 id, Record storage d) private {
        if (_canStillWin(_drawn[d.claimId][d.segment])) return;
        if (!claims.isDrawn(d.claimId, d.segment, d.opener)) return;
        _drawn[d.claimId][d.segment] = id;
    }

    function _canStillWin(bytes32 id) private view returns (bool) {
        Record storage d = _records[id];
        Side side = Turns.sideOf(d.state);
        if (side == Side.NONE) return false;
        if (side == Side.SOLVER) return true;
        return block.timestamp < d.clock.deadline(false, _graceSeconds);
    }

    /// @dev State first, then the calls to the deployment's own contracts, which call nobody.
    function _conclude(bytes32 id, Record storage d, bool solverWon) internal {
        bytes32 claimId = d.claimId;
        address beneficiary;
        if (!solverWon) {
            bytes32 drawn = _drawn[claimId][d.segment];
            beneficiary = _canStillWin(drawn) ? _records[drawn].opener : d.opener;
        }
        d.state = solverWon ? DisputeState.SOLVER_WON : DisputeState.CHALLENGER_WON;
        d.turn += 1;
        emit DisputeClosed(id, claimId, d.state, beneficiary);
        if (solverWon) {
            uint256 cover = (d.bond * _coverShare) / ONE;
            _pay(_pot(d.opener, id), _known[claimId].solver, cover);
            _burn(_pot(d.opener, id), d.bond - cover);
        } else {
            _pay(_pot(d.opener, id), d.opener, d.bond);
            claims.convict(claimId, beneficiary);
        }
        claims.disputeClosed(claimId);
    }

    /// @dev The claim fell by another dispute: nobody lost this one (P25).
    function _refund(bytes32 id, Record storage d) internal {
        bytes32 claimId = d.claimId;
        d.state = DisputeState.REFUNDED;
        d.turn += 1;
        emit DisputeClosed(id, claimId, DisputeState.REFUNDED, address(0));
        _pay(_pot(d.opener, id), d.opener, d.bond);
        claims.disputeClosed(claimId);
    }

    /// @dev The vault refuses moves of nothing.
    function _pay(bytes32 pot, address to, uint256 amount) internal {
        if (amount > 0) vault.release(pot, to, amount);
    }

    function _burn(bytes32 pot, uint256 amount) internal {
        if (amount > 0) vault.burn(pot, amount);
    }

    /// @dev The bond's pot in the vault, from the commitment on.
    function _pot(address opener, bytes32 commitment) internal pure returns (bytes32) {
        return keccak256(abi.encode(opener, commitment));
    }

    // ------------------------------------------------------------------ roots and position

    function _segmentRoot(Record storage d) internal view returns (StoredRoot storage) {
        return _roots[d.claimId][Paths.segment(d.segment)];
    }

    function _traceRoot(Record storage d) internal view returns (StoredRoot storage) {
        return _roots[d.claimId][Paths.trace(d.step)];
    }

    function _foldRoot(Record storage d) internal view returns (StoredRoot storage) {
        return _roots[d.claimId][Paths.fold(d.step, d.node, d.element)];
    }

    function _position(Record storage d) internal view returns (Position memory p) {
        p.claimId = d.claimId;
        p.opener = d.opener;
        p.state = d.state;
        p.level = d.level;
        p.kind = d.kind;
        p.turn = d.turn;
        p.segment = d.segment;
        p.step = d.step;
        p.node = d.node;
        p.binding = d.binding;
        p.element = d.element;
        p.term = d.term;
        p.lo = d.lo;
        p.size = d.size;
        p.subroot = d.subroot;
        p.descriptorHash = d.descriptorHash;
        if (d.depth > 0) p.segmentRoot = _segmentRoot(d).root;
        if (d.depth > 1) p.traceRoot = _traceRoot(d).root;
        if (d.depth > 2) p.foldRoot = _foldRoot(d).root;
    }
}
