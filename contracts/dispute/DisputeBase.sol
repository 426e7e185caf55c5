// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IClaims} from "../interfaces/IClaims.sol";
import {IDisputeTypes} from "../interfaces/IDispute.sol";
import {IJudge} from "../interfaces/IJudge.sol";
import {IVault} from "../interfaces/IVault.sol";
import {ChessClock} from "../libraries/ChessClock.sol";
import {Paths} from "./libraries/Paths.sol";
import {Turns} from "./libraries/Turns.sol";
import {WorkQueue} from "./libraries/WorkQueue.sol";

/// @title What all moves share: the record, the checks at the door, the clock, the position
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
    /// The needed state follows from the selector: as an argument it would be a literal, and the
    /// optimizer copies a function for each literal.
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
