// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IEndgame} from "../interfaces/IDispute.sol";
import {IJudge} from "../interfaces/IJudge.sol";
import {Merkle} from "../libraries/Merkle.sol";
import {Sizes} from "./libraries/Sizes.sol";
import {Words} from "./libraries/Words.sol";
import {Verdict} from "./Verdict.sol";

/// @title The last move: open both sides, compare, and the dispute is over
/// @notice Anyone may send it; the solver is on the clock, since it committed to what is opened.
abstract contract Judgement is Verdict, IEndgame {
    uint8 private constant NODE = 0;
    uint8 private constant STATE = 1;

    function answerBinding(
        bytes32 disputeId,
        bytes32 expected,
        bytes calldata bindingBytes,
        bytes32[] calldata programProof,
        bytes32 postLeaf,
        bytes32[] calldata postProof,
        bytes32 sourceLeaf,
        bytes32[] calldata sourceProof
    ) external {
        (Record storage d, Known storage f) = _enter(disputeId, expected);
        uint32 q = d.binding;
        Merkle.verifyInclusion(
            f.programRoot,
            Merkle.leafHashCalldata(bindingBytes),
            uint64(f.nodeCount) + q,
            uint64(f.nodeCount) + f.stateCount,
            programProof
        );
        Merkle.verifyInclusion(
            _traceRoot(d).after_,
            Merkle.leafHash(postLeaf),
            q,
            f.stateCount,
            postProof
        );
        (uint8 kind, uint32 index, , ) = judge.binding(bindingBytes);
        _checkSource(d, f, kind, index, sourceLeaf, sourceProof);
        emit BindingJudged(disputeId, postLeaf, sourceLeaf);
        _conclude(disputeId, d, postLeaf == sourceLeaf);
    }

    function judgeArithmetic(
        bytes32 disputeId,
        bytes32 expected,
        bytes calldata node,
        bytes calldata leaf,
        bytes32[] calldata leafProof,
        bytes calldata previousLeaf,
        bytes32[] calldata previousProof
    ) external {
        (Record storage d, ) = _enter(disputeId, expected);
        if (d.kind != ARITHMETIC) revert WrongKind(d.kind, ARITHMETIC);
        IJudge.NodeFacts memory shape = d.shape;
        uint64 r = d.term;
        _checkDescriptor(d, node);
        _checkTerm(d, shape, r, leaf, leafProof);
        uint32 previous = shape.init;
        if (r > 0) {
            _checkTerm(d, shape, r - 1, previousLeaf, previousProof);
            previous = Words.accumulator(previousLeaf);
        } else {
            _checkAbsent(previousLeaf, previousProof);
        }
        uint32 computed = judge.arithmetic(node, d.element, r, previous, Words.loads(leaf));
        uint32 claimed = Words.accumulator(leaf);
        emit ArithmeticJudged(disputeId, computed, claimed);
        _conclude(disputeId, d, computed == claimed);
    }

    function judgeLoad(
        bytes32 disputeId,
        bytes32 expected,
        bytes calldata node,
        bytes calldata leaf,
        bytes32[] calldata leafProof,
        bytes32 tensorRoot,
        bytes32[] calldata tensorProof,
        bytes calldata chunk,
        bytes32[] calldata chunkProof
    ) external {
        (Record storage d, Known storage f) = _enter(disputeId, expected);
        uint8 load = d.kind;
        if (load == ARITHMETIC) revert WrongKind(load, 0);
        _checkDescriptor(d, node);
        _checkTerm(d, d.shape, d.term, leaf, leafProof);
        uint32[] memory words = Words.loads(leaf);
        IJudge.Located memory source = judge.locate(node, d.element, d.term, load, words);
        uint32 stored = source.fill;
        if (source.inBounds) {
            _checkSource(d, f, source.kind, source.index, tensorRoot, tensorProof);
            stored = _openWord(source, tensorRoot, chunk, chunkProof);
        } else {
            if (tensorRoot != 0) revert WrongSubroot(0, tensorRoot);
            if (tensorProof.length != 0) revert WrongLength(0, tensorProof.length);
            _checkAbsent(chunk, chunkProof);
        }
        emit LoadJudged(disputeId, load, stored, words[load]);
        _conclude(disputeId, d, stored == words[load]);
    }

    /// @dev The tensor root of an operand or a binding's source, in the tree of its kind.
    function _checkSource(
        Record storage d,
        Known storage f,
        uint8 kind,
        uint32 index,
        bytes32 leaf,
        bytes32[] calldata proof
    ) private view {
        bytes32 root;
        uint32 count;
        if (kind == NODE) {
            // A node reads earlier nodes only; a binding may name any.
            if (d.state == DisputeState.JUDGE && index >= d.node) {
                revert OperandNotEarlier(d.node, index);
            }
            (root, count) = (_traceRoot(d).root, f.nodeCount);
        } else if (kind == STATE) {
            (root, count) = (_traceRoot(d).before, f.stateCount);
        } else {
            // Data: the decoder knows no fourth kind, and no binding to data.
            (root, count) = (f.dataRoot, f.dataCount);
        }
        if (index >= count) revert SourceOutOfRange(kind, index, count);
        Merkle.verifyInclusion(root, Merkle.leafHash(leaf), index, count, proof);
    }

    /// @dev The word that a load in bounds reads, out of the operand's chunk.
    function _openWord(
        IJudge.Located memory source,
        bytes32 tensorRoot,
        bytes calldata chunk,
        bytes32[] calldata chunkProof
    ) private view returns (uint32 word) {
        uint8 width = Words.widthOf(source.dtype);
        uint64 c = Sizes.chunkOf(source.address_, width);
        uint64 length = Sizes.chunkLength(source.numel, width, c);
        if (chunk.length != length) revert WrongLength(length, chunk.length);
        Merkle.verifyInclusion(
            tensorRoot,
            Merkle.leafHashCalldata(chunk),
            c,
            Sizes.chunks(source.numel, width),
            chunkProof
        );
        word = Words.element(chunk, source.address_, width);
        if (source.dtype == Words.F32) word = Words.canonical(word);
    }

    function _checkDescriptor(Record storage d, bytes calldata node) private view {
        bytes32 got = keccak256(node);
        if (got != d.descriptorHash) revert WrongDescriptor(d.descriptorHash, got);
    }

    /// @dev Leaf r of the fold, exact length.
    function _checkTerm(
        Record storage d,
        IJudge.NodeFacts memory shape,
        uint64 r,
        bytes calldata leaf,
        bytes32[] calldata proof
    ) private view {
        uint64 length = Sizes.termLength(shape.loads);
        if (leaf.length != length) revert WrongLength(length, leaf.length);
        Merkle.verifyInclusion(_foldRoot(d).root, Merkle.leafHashCalldata(leaf), r, shape.terms, proof);
    }

    /// @dev What is not needed must not be there.
    function _checkAbsent(bytes calldata leaf, bytes32[] calldata proof) private pure {
        if (leaf.length != 0) revert WrongLength(0, leaf.length);
        if (proof.length != 0) revert WrongLength(0, proof.length);
    }
}
