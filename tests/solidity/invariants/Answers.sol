// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Paths} from "../../../contracts/dispute/libraries/Paths.sol";
import {IDispute, IDisputeTypes, IEndgame} from "../../../contracts/interfaces/IDispute.sol";
import {Test} from "../support/Test.sol";
import {TestTree} from "../support/TestTree.sol";
import {CounterProgram as P} from "./CounterProgram.sol";
import {CounterRuns} from "./CounterRuns.sol";

/// @title A solver's move in any position, out of its run
/// @notice Everything is opened as the run committed to it; a liar's answers are as well formed as an honest one's.
contract Answers is Test, IDisputeTypes {
    /// @dev The arguments of postFold: too many for the stack.
    struct Fold {
        bytes32 root;
        bytes32 tensorRoot;
        bytes32[] traceProof;
        bytes chunk;
        bytes32[] chunkProof;
        bytes lastLeaf;
        bytes32[] lastLeafProof;
        bytes signature;
    }

    CounterRuns private immutable _runs;
    IDispute private immutable _dispute;

    constructor(CounterRuns runs, IDispute dispute) {
        _runs = runs;
        _dispute = dispute;
    }

    /// @notice The calldata of the solver's move.
    /// @param key The solver's, where another account is to post a new root; else 0.
    function answer(uint256 run, bytes32 id, Position memory p, uint256 key) external view returns (bytes memory) {
        bytes32 expected = keccak256(abi.encode(p));
        if (isStored(p)) return abi.encodeCall(IDispute.useRoot, (id, expected));
        if (p.state == DisputeState.NEED_SEGMENT) return _postSegment(run, id, expected, p, key);
        if (p.state == DisputeState.NEED_TRACE) return _postTrace(run, id, expected, p, key);
        if (p.state == DisputeState.NEED_FOLD) return _postFold(run, id, expected, p, key);
        if (p.state == DisputeState.REVEAL) {
            return abi.encodeCall(IEndgame.reveal, (id, expected, children(run, p)));
        }
        if (p.state == DisputeState.NEED_TENSOR) {
            bytes32[] memory tensors = _runs.traceLeaves(run, p.step);
            return abi.encodeCall(IEndgame.openTensor, (id, expected, tensors[p.node], _path(tensors, p.node)));
        }
        if (p.state == DisputeState.NEED_CHUNK) {
            bytes[] memory chunks = _runs.chunks(_runs.output(run, p.step, p.node));
            return abi.encodeCall(IEndgame.openChunk, (id, expected, chunks[p.lo]));
        }
        if (p.state == DisputeState.NEED_TERM) {
            bytes memory term = _runs.foldLeaves(run, p.step, p.node, p.element)[p.term];
            return abi.encodeCall(IEndgame.openTerm, (id, expected, term));
        }
        if (p.state == DisputeState.ANSWER_BINDING) return _answerBinding(run, id, expected, p);
        if (p.kind == P.ARITHMETIC) return _judgeArithmetic(run, id, expected, p);
        return _judgeLoad(run, id, expected, p);
    }

    /// @notice Whether the root that the position waits for was posted in another dispute meanwhile.
    function isStored(Position memory p) public view returns (bool) {
        bytes32 path = pathOf(p);
        if (path == 0) return false;
        (bytes32 root,,) = _dispute.roots(p.claimId, path);
        return root != 0;
    }

    /// @notice Name of the root that the position waits for; 0 if it waits for none.
    function pathOf(Position memory p) public pure returns (bytes32) {
        if (p.state == DisputeState.NEED_SEGMENT) return Paths.segment(p.segment);
        if (p.state == DisputeState.NEED_TRACE) return Paths.trace(p.step);
        if (p.state == DisputeState.NEED_FOLD) return Paths.fold(p.step, p.node, p.element);
        return 0;
    }

    /// @notice The sub-roots below the position's node.
    function children(uint256 run, Position memory p) public view returns (bytes32[] memory list) {
        bytes32[] memory hashes = levelHashes(run, p);
        uint64 width = childWidth(p.size);
        list = new bytes32[]((p.size - 1) / width + 1);
        for (uint64 i = 0; i < list.length; ++i) {
            uint64 lo = p.lo + i * width;
            uint64 hi = lo + width < p.lo + p.size ? lo + width : p.lo + p.size;
            list[i] = TestTree.rootOf(hashes, lo, hi);
        }
    }

    /// @notice Leaves under each child of a node: the power of two that leaves at most 32 children.
    function childWidth(uint64 size) public pure returns (uint64 width) {
        width = 1;
        while (32 * width < size) width *= 2;
    }

    /// @notice The hashes of all leaves of the tree that the position bisects.
    function levelHashes(uint256 run, Position memory p) public view returns (bytes32[] memory) {
        if (p.level == Level.LOG) return TestTree.leaves(_runs.logLeaves(run));
        if (p.level == Level.SEGMENT) return TestTree.leaves(_runs.segmentLeaves(run, p.segment));
        if (p.level == Level.TRACE) return TestTree.leaves(_runs.traceLeaves(run, p.step));
        if (p.level == Level.POST_STATE) return TestTree.leaves(_runs.stateLeaves(run, p.step + 1));
        if (p.level == Level.TENSOR) return _runs.hashes(_runs.chunks(_runs.output(run, p.step, p.node)));
        return _runs.hashes(_runs.foldLeaves(run, p.step, p.node, p.element));
    }

    /// @notice Bytes of a node or binding, and the proof that they are the program's.
    function descriptor(uint256 index) public view returns (bytes memory encoded, bytes32[] memory proof) {
        bytes[] memory leaves = P.leaves();
        return (leaves[index], TestTree.inclusion(_runs.hashes(leaves), index));
    }

    // --- new roots -------------------------------------------------------------------------------------------

    function _postSegment(uint256 run, bytes32 id, bytes32 expected, Position memory p, uint256 key)
        private
        view
        returns (bytes memory)
    {
        bytes32[] memory log = _runs.logLeaves(run);
        bytes32[] memory segment = _runs.segmentLeaves(run, p.segment);
        bytes32 root = TestTree.root(TestTree.leaves(segment));
        return abi.encodeCall(
            IDispute.postSegment,
            (
                id,
                expected,
                root,
                log[p.segment - 1],
                log[p.segment],
                _path(log, p.segment - 1),
                _path(log, p.segment),
                _path(segment, segment.length - 1),
                _sign(key, p, root)
            )
        );
    }

    function _postTrace(uint256 run, bytes32 id, bytes32 expected, Position memory p, uint256 key)
        private
        view
        returns (bytes memory)
    {
        bytes32[] memory segment = _runs.segmentLeaves(run, p.segment);
        uint64 t = p.step - P.INTERVAL * (p.segment - 1);
        bytes32 root = TestTree.root(TestTree.leaves(_runs.traceLeaves(run, p.step)));
        return abi.encodeCall(
            IDispute.postTrace,
            (
                id,
                expected,
                root,
                _runs.stateRoot(run, p.step),
                segment[t],
                t == 0 ? new bytes32[](0) : _path(segment, t - 1),
                _path(segment, t),
                _sign(key, p, root)
            )
        );
    }

    function _postFold(uint256 run, bytes32 id, bytes32 expected, Position memory p, uint256 key)
        private
        view
        returns (bytes memory)
    {
        Fold memory f;
        bytes32[] memory tensors = _runs.traceLeaves(run, p.step);
        (f.tensorRoot, f.traceProof) = (tensors[p.node], _path(tensors, p.node));
        bytes[] memory leaves = _runs.chunks(_runs.output(run, p.step, p.node));
        f.chunk = leaves[p.element / 256];
        f.chunkProof = TestTree.inclusion(_runs.hashes(leaves), p.element / 256);
        leaves = _runs.foldLeaves(run, p.step, p.node, p.element);
        f.lastLeaf = leaves[leaves.length - 1];
        f.root = TestTree.root(_runs.hashes(leaves));
        f.lastLeafProof = TestTree.inclusion(_runs.hashes(leaves), leaves.length - 1);
        f.signature = _sign(key, p, f.root);
        return _encode(id, expected, f);
    }

    function _encode(bytes32 id, bytes32 expected, Fold memory f) private pure returns (bytes memory) {
        return abi.encodeCall(
            IDispute.postFold,
            (
                id,
                expected,
                f.root,
                f.tensorRoot,
                f.traceProof,
                f.chunk,
                f.chunkProof,
                f.lastLeaf,
                f.lastLeafProof,
                f.signature
            )
        );
    }

    /// @dev The signature over claim, path and root; none if the solver itself posts.
    function _sign(uint256 key, Position memory p, bytes32 root) private view returns (bytes memory) {
        if (key == 0) return "";
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, _dispute.rootDigest(p.claimId, pathOf(p), root));
        return abi.encodePacked(r, s, v);
    }

    // --- judgements ------------------------------------------------------------------------------------------

    function _answerBinding(uint256 run, bytes32 id, bytes32 expected, Position memory p)
        private
        view
        returns (bytes memory)
    {
        uint32 q = p.binding;
        (bytes memory encoded, bytes32[] memory proof) = descriptor(P.NODES + q);
        bytes32[] memory post = _runs.stateLeaves(run, p.step + 1);
        // Bindings 0 and 1 are to nodes 2 and 0, binding 2 is to state 0.
        bytes32[] memory sources = q == 2 ? _runs.stateLeaves(run, p.step) : _runs.traceLeaves(run, p.step);
        uint256 source = q == 0 ? 2 : 0;
        return abi.encodeCall(
            IEndgame.answerBinding,
            (id, expected, encoded, proof, post[q], _path(post, q), sources[source], _path(sources, source))
        );
    }

    function _judgeArithmetic(uint256 run, bytes32 id, bytes32 expected, Position memory p)
        private
        view
        returns (bytes memory)
    {
        bytes[] memory fold = _runs.foldLeaves(run, p.step, p.node, p.element);
        bytes32[] memory hashes = _runs.hashes(fold);
        bool first = p.term == 0;
        return abi.encodeCall(
            IEndgame.judgeArithmetic,
            (
                id,
                expected,
                P.leaves()[p.node],
                fold[p.term],
                TestTree.inclusion(hashes, p.term),
                first ? bytes("") : fold[p.term - 1],
                first ? new bytes32[](0) : TestTree.inclusion(hashes, p.term - 1)
            )
        );
    }

    function _judgeLoad(uint256 run, bytes32 id, bytes32 expected, Position memory p)
        private
        view
        returns (bytes memory)
    {
        bytes[] memory fold = _runs.foldLeaves(run, p.step, p.node, p.element);
        bytes[] memory chunks;
        bytes32 tensorRoot;
        bytes32[] memory tensorProof;
        bytes32[] memory chunkProof;
        uint256 chunk;
        // The first term of node 1 reads out of bounds with its second load: nothing is opened.
        if (p.node != 1 || p.kind != 1 || p.term != 0) {
            (chunks, tensorRoot, tensorProof, chunk) = _operand(run, p);
            chunkProof = TestTree.inclusion(_runs.hashes(chunks), chunk);
        }
        return abi.encodeCall(
            IEndgame.judgeLoad,
            (
                id,
                expected,
                P.leaves()[p.node],
                fold[p.term],
                TestTree.inclusion(_runs.hashes(fold), p.term),
                tensorRoot,
                tensorProof,
                chunks.length == 0 ? bytes("") : chunks[chunk],
                chunkProof
            )
        );
    }

    /// @dev What the pointed load reads: the operand's chunks and place, and the chunk of the element.
    function _operand(uint256 run, Position memory p)
        private
        view
        returns (bytes[] memory chunks, bytes32 root, bytes32[] memory proof, uint256 chunk)
    {
        bytes32[] memory tree;
        uint256 index;
        if (p.node == 1 && p.kind == 0) {
            tree = new bytes32[](1);
            tree[0] = _runs.tensorRoot(_runs.table());
            chunks = _runs.chunks(_runs.table());
        } else if (p.node == 2 && p.kind != 0) {
            index = p.kind == 1 ? 1 : 0;
            tree = _runs.traceLeaves(run, p.step);
            chunks = _runs.chunks(_runs.output(run, p.step, uint32(index)));
        } else {
            index = p.node == 0 ? 1 : 0;
            tree = _runs.stateLeaves(run, p.step);
            chunks = _runs.chunks(_runs.stateTensor(run, p.step, uint32(index)));
            if (p.node == 2) chunk = p.element / 256;
        }
        return (chunks, tree[index], _path(tree, index), chunk);
    }

    function _path(bytes32[] memory values, uint256 index) private pure returns (bytes32[] memory) {
        return TestTree.inclusion(TestTree.leaves(values), index);
    }
}
