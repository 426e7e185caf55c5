// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {IDispute} from "../interfaces/IDispute.sol";
import {IJudge} from "../interfaces/IJudge.sol";
import {Merkle} from "../libraries/Merkle.sol";
import {Descent} from "./Descent.sol";
import {Paths} from "./libraries/Paths.sol";
import {Sizes} from "./libraries/Sizes.sol";
import {Words} from "./libraries/Words.sol";

/// @title New roots: each is linked to the level above by the solver and stored once per path
abstract contract Posting is Descent, IDispute, EIP712("Pinpoint", "1") {
    bytes32 private constant ROOT_TYPEHASH =
        keccak256("Root(bytes32 claimId,bytes32 path,bytes32 root)");

    function postSegment(
        bytes32 disputeId,
        bytes32 expected,
        bytes32 segmentRoot,
        bytes32 before,
        bytes32 after_,
        bytes32[] calldata proofBefore,
        bytes32[] calldata proofAfter,
        bytes32[] calldata proofEnd,
        bytes calldata signature
    ) external {
        (Record storage d, Known storage f) = _enter(disputeId, expected);
        uint64 m = d.segment;
        bytes32 path = Paths.segment(m);
        _authenticate(d.claimId, path, segmentRoot, f.solver, signature);
        {
            uint64 leaves = Sizes.segments(f.steps, f.interval) + 1;
            Merkle.verifyInclusion(
                f.logRoot,
                Merkle.leafHash(before),
                m - 1,
                leaves,
                proofBefore
            );
            Merkle.verifyInclusion(f.logRoot, Merkle.leafHash(after_), m, leaves, proofAfter);
        }
        uint64 length = _segmentLength(d, f);
        Merkle.verifyInclusion(segmentRoot, Merkle.leafHash(after_), length - 1, length, proofEnd);
        _store(disputeId, d.claimId, path, StoredRoot(segmentRoot, before, after_));
        emit SegmentPosted(disputeId, m, segmentRoot);
        uint64 extra;
        (d.state, extra) = _afterSegmentRoot(d, f, uint64(block.timestamp));
        _turn(disputeId, d, extra);
    }

    function postTrace(
        bytes32 disputeId,
        bytes32 expected,
        bytes32 traceRoot,
        bytes32 pre,
        bytes32 post,
        bytes32[] calldata proofPre,
        bytes32[] calldata proofPost,
        bytes calldata signature
    ) external {
        (Record storage d, Known storage f) = _enter(disputeId, expected);
        bytes32 path = Paths.trace(d.step);
        _authenticate(d.claimId, path, traceRoot, f.solver, signature);
        StoredRoot storage s = _segmentRoot(d);
        uint64 t = d.step - _firstStep(d, f);
        uint64 length = _segmentLength(d, f);
        bytes32 root = s.root;
        if (t > 0) {
            Merkle.verifyInclusion(root, Merkle.leafHash(pre), t - 1, length, proofPre);
        } else {
            if (pre != s.before) revert WrongPreState(s.before, pre);
            if (proofPre.length != 0) revert WrongLength(0, proofPre.length);
        }
        Merkle.verifyInclusion(root, Merkle.leafHash(post), t, length, proofPost);
        _store(disputeId, d.claimId, path, StoredRoot(traceRoot, pre, post));
        emit TracePosted(disputeId, d.step, traceRoot, pre, post);
        d.depth = 2;
        d.state = DisputeState.BRANCH;
        _turn(disputeId, d, 0);
    }

    function postFold(
        bytes32 disputeId,
        bytes32 expected,
        bytes32 foldRoot,
        bytes32 tensorRoot,
        bytes32[] calldata traceProof,
        bytes calldata chunk,
        bytes32[] calldata chunkProof,
        bytes calldata lastLeaf,
        bytes32[] calldata lastLeafProof,
        bytes calldata signature
    ) external {
        (Record storage d, Known storage f) = _enter(disputeId, expected);
        IJudge.NodeFacts memory shape = d.shape;
        _checkLastLeaf(d, shape, chunk, lastLeaf);
        bytes32 path = Paths.fold(d.step, d.node, d.element);
        _authenticate(d.claimId, path, foldRoot, f.solver, signature);
        Merkle.verifyInclusion(
            _traceRoot(d).root,
            Merkle.leafHash(tensorRoot),
            d.node,
            f.nodeCount,
            traceProof
        );
        Merkle.verifyInclusion(
            tensorRoot,
            Merkle.leafHashCalldata(chunk),
            Sizes.chunkOf(d.element, shape.width),
            Sizes.chunks(shape.numel, shape.width),
            chunkProof
        );
        Merkle.verifyInclusion(
            foldRoot,
            Merkle.leafHashCalldata(lastLeaf),
            shape.terms - 1,
            shape.terms,
            lastLeafProof
        );
        _store(disputeId, d.claimId, path, StoredRoot(foldRoot, 0, 0));
        emit FoldPosted(disputeId, d.step, d.node, d.element, foldRoot, tensorRoot);
        d.depth = 3;
        d.state = DisputeState.POINT_TERM;
        _turn(disputeId, d, 0);
    }

    function useRoot(bytes32 disputeId, bytes32 expected) external {
        (Record storage d, Known storage f) = _enter(disputeId, expected);
        uint64 extra;
        if (d.state == DisputeState.NEED_SEGMENT) {
            _checkStored(d.claimId, Paths.segment(d.segment));
            (d.state, extra) = _afterSegmentRoot(d, f, uint64(block.timestamp));
        } else if (d.state == DisputeState.NEED_TRACE) {
            _checkStored(d.claimId, Paths.trace(d.step));
            (d.state, d.depth) = (DisputeState.BRANCH, 2);
        } else {
            _checkStored(d.claimId, Paths.fold(d.step, d.node, d.element));
            (d.state, d.depth) = (DisputeState.POINT_TERM, 3);
        }
        _turn(disputeId, d, extra);
    }

    function _checkStored(bytes32 claimId, bytes32 path) private view {
        if (_roots[claimId][path].root == 0) revert RootNotStored(path);
    }

    function _checkLastLeaf(
        Record storage d,
        IJudge.NodeFacts memory shape,
        bytes calldata chunk,
        bytes calldata lastLeaf
    ) private view {
        uint64 e = d.element;
        uint64 length = Sizes.chunkLength(shape.numel, shape.width, Sizes.chunkOf(e, shape.width));
        if (chunk.length != length) revert WrongLength(length, chunk.length);
        length = Sizes.termLength(shape.loads);
        if (lastLeaf.length != length) revert WrongLength(length, lastLeaf.length);
        uint32 accumulator = Words.accumulator(lastLeaf);
        if (shape.dtype == Words.F32 && Words.canonical(accumulator) != accumulator) {
            revert AccumulatorNotCanonical(Words.canonical(accumulator), accumulator);
        }
        uint32 stored = Words.element(chunk, e, shape.width);
        // u8 keeps the low byte only: the stored words are compared, not the accumulators (X03).
        if ((shape.width == 1 ? accumulator & 0xff : accumulator) != stored) {
            revert WrongElement(stored, accumulator);
        }
    }

    /// @dev A root counts from the solver or with its signature, over the claim and the path.
    function _authenticate(
        bytes32 claimId,
        bytes32 path,
        bytes32 root,
        address solver,
        bytes calldata signature
    ) private view {
        if (root == 0) revert ZeroRoot();
        bytes32 stored = _roots[claimId][path].root;
        if (stored != 0) revert RootAlreadyStored(path, stored);
        if (msg.sender == solver) return;
        (address signer, , ) = ECDSA.tryRecoverCalldata(_digest(claimId, path, root), signature);
        if (signer == address(0) || signer != solver) revert NotSignedBySolver(solver, signer);
    }

    function _store(
        bytes32 id,
        bytes32 claimId,
        bytes32 path,
        StoredRoot memory stored
    ) private {
        _roots[claimId][path] = stored;
        emit RootStored(claimId, path, id, stored.root, stored.before, stored.after_);
    }

    function _digest(
        bytes32 claimId,
        bytes32 path,
        bytes32 root
    ) internal view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(ROOT_TYPEHASH, claimId, path, root)));
    }
}
