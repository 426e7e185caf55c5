// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IEndgame} from "../interfaces/IDispute.sol";
import {IJudge} from "../interfaces/IJudge.sol";
import {Merkle} from "../libraries/Merkle.sol";
import {Descent} from "./Descent.sol";
import {Sizes} from "./libraries/Sizes.sol";

/// @title Pointing without the leaves: the solver reveals sub-roots, the opener picks one
/// @notice Each round divides the range by 32; the leaf it ends at is opened by the solver.
abstract contract Bisection is Descent, IEndgame {
    function bisect(bytes32 disputeId, bytes32 expected, Level level) external {
        (Record storage d, Known storage f) = _enter(disputeId, expected);
        if (_stateOf(level) != d.state) revert WrongLevel(level, d.state);
        (d.size, d.subroot) = _tree(d, f, level);
        d.lo = 0;
        d.level = level;
        emit BisectionStarted(disputeId, level, d.size, d.subroot);
        _descend(disputeId, d, f);
    }

    function reveal(bytes32 disputeId, bytes32 expected, bytes32[] calldata children) external {
        (Record storage d, ) = _enter(disputeId, expected);
        _checkChildren(d, children);
        emit Revealed(disputeId, d.level, d.lo, d.size, children);
        d.state = DisputeState.PICK;
        _turn(disputeId, d, 0);
    }

    function pick(
        bytes32 disputeId,
        bytes32 expected,
        uint8 child,
        bytes32[] calldata children
    ) external {
        (Record storage d, Known storage f) = _enter(disputeId, expected);
        _checkChildren(d, children);
        (uint64 lo, uint64 size) = Merkle.childRange(d.lo, d.size, child);
        // Leaf 0 of the log is the initial state, checked at submission: no segment leads to it.
        if (d.level == Level.LOG && lo == 0 && size == 1) {
            revert SegmentOutOfRange(0, Sizes.segments(f.steps, f.interval));
        }
        d.lo = lo;
        d.size = size;
        d.subroot = children[child];
        emit Picked(disputeId, d.level, child, lo, size, children[child]);
        _descend(disputeId, d, f);
    }

    function openTensor(
        bytes32 disputeId,
        bytes32 expected,
        bytes32 tensorRoot,
        bytes32[] calldata traceProof
    ) external {
        (Record storage d, Known storage f) = _enter(disputeId, expected);
        Merkle.verifyInclusion(
            _traceRoot(d).root,
            Merkle.leafHash(tensorRoot),
            d.node,
            f.nodeCount,
            traceProof
        );
        IJudge.NodeFacts memory shape = d.shape;
        d.level = Level.TENSOR;
        d.lo = 0;
        d.size = Sizes.chunks(shape.numel, shape.width);
        d.subroot = tensorRoot;
        emit TensorOpened(disputeId, d.node, tensorRoot);
        d.state = DisputeState.POINT_CHUNK;
        _turn(disputeId, d, 0);
    }

    function openChunk(bytes32 disputeId, bytes32 expected, bytes calldata chunk) external {
        (Record storage d, ) = _enter(disputeId, expected);
        uint64 length = Sizes.chunkLength(d.shape.numel, d.shape.width, d.lo);
        _checkLeaf(d, length, chunk);
        emit ChunkOpened(disputeId, d.lo, chunk);
        d.state = DisputeState.POINT_ELEMENT;
        _turn(disputeId, d, 0);
    }

    function openTerm(bytes32 disputeId, bytes32 expected, bytes calldata leaf) external {
        (Record storage d, ) = _enter(disputeId, expected);
        _checkLeaf(d, Sizes.termLength(d.shape.loads), leaf);
        emit TermOpened(disputeId, d.term, leaf);
        d.state = DisputeState.POINT_KIND;
        _turn(disputeId, d, 0);
    }

    /// @dev The state in which a level may be bisected; LOG starts with the opening only.
    function _stateOf(Level level) private pure returns (DisputeState) {
        if (level == Level.SEGMENT) return DisputeState.POINT_STEP;
        if (level == Level.TRACE || level == Level.POST_STATE) return DisputeState.BRANCH;
        if (level == Level.TENSOR) return DisputeState.POINT_CHUNK;
        if (level == Level.FOLD) return DisputeState.POINT_TERM;
        return DisputeState.NONE;
    }

    /// @dev Size and root of the tree of a level.
    function _tree(
        Record storage d,
        Known storage f,
        Level level
    ) private view returns (uint64, bytes32) {
        if (level == Level.SEGMENT) return (_segmentLength(d, f), _segmentRoot(d).root);
        if (level == Level.TRACE) return (f.nodeCount, _traceRoot(d).root);
        if (level == Level.POST_STATE) return (f.stateCount, _traceRoot(d).after_);
        if (level == Level.TENSOR) return (d.size, d.subroot);
        return (d.shape.terms, _foldRoot(d).root);
    }

    /// @dev The next round, or the state after the last one.
    function _descend(bytes32 disputeId, Record storage d, Known storage f) private {
        uint64 extra;
        if (d.size > 1) d.state = DisputeState.REVEAL;
        else (d.state, extra) = _arrive(disputeId, d, f);
        _turn(disputeId, d, extra);
    }

    function _arrive(
        bytes32 disputeId,
        Record storage d,
        Known storage f
    ) private returns (DisputeState, uint64) {
        Level level = d.level;
        uint64 index = d.lo;
        uint64 time = uint64(block.timestamp);
        if (level == Level.LOG) {
            d.segment = index;
            return _afterSegment(disputeId, d, f, time);
        }
        if (level == Level.SEGMENT) {
            d.step = _firstStep(d, f) + index;
            return _afterStep(d, f, time);
        }
        // Indices of nodes and state tensors are below counts of 32 bits.
        if (level == Level.TRACE) {
            d.node = uint32(index);
            return (DisputeState.POINT_NODE, 0);
        }
        if (level == Level.POST_STATE) {
            d.binding = uint32(index);
            return (DisputeState.ANSWER_BINDING, 0);
        }
        if (level == Level.TENSOR) return (DisputeState.NEED_CHUNK, 0);
        d.term = index;
        return (DisputeState.NEED_TERM, 0);
    }

    /// @dev The children must be all of the range's frontier and give its root again (P03, I8).
    function _checkChildren(Record storage d, bytes32[] calldata children) private view {
        bytes32 got = Merkle.recombine(d.size, children);
        if (got != d.subroot) revert WrongSubroot(d.subroot, got);
    }

    /// @dev An opened leaf has its exact length (X18) and hashes to the bisected sub-root.
    function _checkLeaf(Record storage d, uint64 length, bytes calldata leaf) private view {
        if (leaf.length != length) revert WrongLength(length, leaf.length);
        bytes32 got = Merkle.leafHashCalldata(leaf);
        if (got != d.subroot) revert WrongSubroot(d.subroot, got);
    }
}
