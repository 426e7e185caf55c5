// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IDispute} from "../interfaces/IDispute.sol";
import {Merkle} from "../libraries/Merkle.sol";
import {Descent} from "./Descent.sol";
import {Sizes} from "./libraries/Sizes.sol";

/// @title The opener says where: pointers carry no proof but the bytes of the node, which are public
abstract contract Pointing is Descent, IDispute {
    function pointStep(bytes32 disputeId, bytes32 expected, uint64 t) external {
        (Record storage d, Known storage f) = _enter(disputeId, expected);
        uint64 length = _segmentLength(d, f);
        if (t >= length) revert StepOutOfRange(t, length);
        d.step = _firstStep(d, f) + t;
        emit StepPointed(disputeId, d.step);
        uint64 extra;
        (d.state, extra) = _afterStep(d, f, uint64(block.timestamp));
        _turn(disputeId, d, extra);
    }

    function pointBinding(bytes32 disputeId, bytes32 expected, uint32 q) external {
        (Record storage d, Known storage f) = _enter(disputeId, expected);
        if (q >= f.stateCount) revert BindingOutOfRange(q, f.stateCount);
        d.binding = q;
        emit BindingPointed(disputeId, q);
        d.state = DisputeState.ANSWER_BINDING;
        _turn(disputeId, d, 0);
    }

    function pointElement(
        bytes32 disputeId,
        bytes32 expected,
        uint32 j,
        uint64 e,
        bytes calldata node,
        bytes32[] calldata programProof
    ) external {
        (Record storage d, Known storage f) = _enter(disputeId, expected);
        _bindNode(d, f, j, node, programProof);
        _pointElement(disputeId, d, e);
    }

    function pointNode(
        bytes32 disputeId,
        bytes32 expected,
        uint32 j,
        bytes calldata node,
        bytes32[] calldata programProof
    ) external {
        (Record storage d, Known storage f) = _enter(disputeId, expected);
        if (d.state == DisputeState.POINT_NODE && j != d.node) revert WrongNode(d.node, j);
        _bindNode(d, f, j, node, programProof);
        emit NodePointed(disputeId, j);
        d.state = DisputeState.NEED_TENSOR;
        _turn(disputeId, d, 0);
    }

    function pointBoundElement(bytes32 disputeId, bytes32 expected, uint64 e) external {
        (Record storage d, ) = _enter(disputeId, expected);
        // The range is the whole tensor, or the one chunk that was opened.
        uint64 chunk = Sizes.chunkOf(e, d.shape.width);
        if (chunk < d.lo || chunk - d.lo >= d.size) revert ChunkOutsideRange(chunk, d.lo, d.size);
        _pointElement(disputeId, d, e);
    }

    function pointTerm(bytes32 disputeId, bytes32 expected, uint64 r, uint8 kind) external {
        (Record storage d, ) = _enter(disputeId, expected);
        if (r >= d.shape.terms) revert TermOutOfRange(r, d.shape.terms);
        d.term = r;
        _pointKind(disputeId, d, kind);
    }

    function pointKind(bytes32 disputeId, bytes32 expected, uint8 kind) external {
        (Record storage d, ) = _enter(disputeId, expected);
        _pointKind(disputeId, d, kind);
    }

    /// @dev The judge decodes the whole node: only a canonical node (no binding) passes.
    function _bindNode(
        Record storage d,
        Known storage f,
        uint32 j,
        bytes calldata node,
        bytes32[] calldata programProof
    ) private {
        if (j >= f.nodeCount) revert NodeOutOfRange(j, f.nodeCount);
        Merkle.verifyInclusion(
            f.programRoot,
            Merkle.leafHashCalldata(node),
            j,
            uint64(f.nodeCount) + f.stateCount,
            programProof
        );
        d.node = j;
        d.descriptorHash = keccak256(node);
        d.shape = judge.facts(node);
    }

    function _pointElement(bytes32 disputeId, Record storage d, uint64 e) private {
        if (e >= d.shape.numel) revert ElementOutOfRange(e, d.shape.numel);
        d.element = e;
        emit ElementPointed(disputeId, d.node, e);
        d.state = _afterElement(d);
        _turn(disputeId, d, 0);
    }

    function _pointKind(bytes32 disputeId, Record storage d, uint8 kind) private {
        uint8 loads = d.shape.loads;
        if (kind != ARITHMETIC && kind >= loads) revert KindOutOfRange(kind, loads);
        d.kind = kind;
        emit TermPointed(disputeId, d.term, kind);
        d.state = DisputeState.JUDGE;
        _turn(disputeId, d, 0);
    }
}
