// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {MerklePlain} from "../../../contracts/harness/MerklePlain.sol";
import {Merkle} from "../../../contracts/libraries/Merkle.sol";
import {Test} from "../support/Test.sol";
import {TestTree} from "../support/TestTree.sol";

/// @title Merkle against the recursive definitions of RFC 9162, and against proofs that are wrong
contract MerkleTest is Test {
    uint256 private constant MOST = 70;

    // --- hashes -----------------------------------------------------------------------------------------------

    function testFuzz_hashes_anyBytes_equalTheBuiltInOnes(bytes calldata value, bytes32 left, bytes32 right)
        public
        view
    {
        bytes32 expected = MerklePlain.leafHash(value);
        vm.assertEq(Merkle.leafHashCalldata(value), expected, "calldata");
        bytes memory copy = value;
        bytes memory behind = bytes.concat(left);
        vm.assertEq(Merkle.leafHashMemory(copy), expected, "memory");
        vm.assertEq(copy, value, "the value is put back");
        vm.assertEq(behind, bytes.concat(left), "and nothing behind it");
        vm.assertEq(Merkle.leafHash(left), MerklePlain.leafHash(bytes.concat(left)), "a word");
        vm.assertEq(Merkle.nodeHash(left, right), MerklePlain.nodeHash(left, right), "a node");
    }

    // --- inclusion --------------------------------------------------------------------------------------------

    function testFuzz_inclusion_honestProof_givesTheRoot(uint256 seed, uint256 size) public view {
        bytes32[] memory leaves = _leaves(seed, bound(size, 1, MOST));
        uint256 index = derive(seed, 1) % leaves.length;
        bytes32[] memory proof = TestTree.inclusion(leaves, index);
        vm.assertEq(Merkle.pathLength(uint64(index), uint64(leaves.length)), proof.length);
        bytes32 root = TestTree.root(leaves);
        this.verifyInclusion(root, leaves[index], index, leaves.length, proof);
    }

    /// @notice Every change of a proof is refused: a bit of a sibling, its length, the index, the size, the leaf.
    function testFuzz_inclusion_changedProof_isRefused(uint256 seed, uint256 size) public {
        bytes32[] memory leaves = _leaves(seed, bound(size, 2, MOST));
        uint256 n = leaves.length;
        uint256 index = derive(seed, 1) % n;
        bytes32[] memory proof = TestTree.inclusion(leaves, index);
        bytes32 root = TestTree.root(leaves);
        bytes32[] memory changed = _flip(proof, derive(seed, 2));
        vm.expectPartialRevert(Merkle.RootMismatch.selector);
        this.verifyInclusion(root, leaves[index], index, n, changed);

        vm.expectRevert(abi.encodeWithSelector(Merkle.WrongProofLength.selector, proof.length, proof.length + 1));
        this.verifyInclusion(root, leaves[index], index, n, _resized(proof, proof.length + 1));
        vm.expectRevert(abi.encodeWithSelector(Merkle.WrongProofLength.selector, proof.length, proof.length - 1));
        this.verifyInclusion(root, leaves[index], index, n, _resized(proof, proof.length - 1));

        vm.expectRevert(abi.encodeWithSelector(Merkle.IndexOutOfRange.selector, n, n));
        this.verifyInclusion(root, leaves[index], n, n, proof);

        uint256 other = (index + 1 + derive(seed, 3) % (n - 1)) % n;
        if (Merkle.pathLength(uint64(other), uint64(n)) == proof.length) {
            vm.expectPartialRevert(Merkle.RootMismatch.selector);
        } else {
            vm.expectPartialRevert(Merkle.WrongProofLength.selector);
        }
        this.verifyInclusion(root, leaves[index], other, n, proof);

        vm.expectPartialRevert(Merkle.RootMismatch.selector);
        this.verifyInclusion(root, leaves[other], index, n, proof);
    }

    /// @notice Any siblings at all: the same root as the verifier of the RFC, for sizes up to 2^64 - 1.
    function testFuzz_rootFromInclusion_anySiblings_equalsTheRfcsVerifier(uint256 seed) public view {
        uint64 size = uint64(bound(uint64(derive(seed, 0)) >> (derive(seed, 1) % 64), 1, type(uint64).max));
        uint64 index = uint64(derive(seed, 2) % size);
        bytes32[] memory proof = new bytes32[](Merkle.pathLength(index, size));
        for (uint256 i = 0; i < proof.length; ++i) {
            proof[i] = bytes32(derive(seed, 10 + i));
        }
        bytes32 leaf = bytes32(derive(seed, 3));
        vm.assertEq(
            this.rootFromInclusion(leaf, index, size, proof), MerklePlain.rootFromInclusion(leaf, index, size, proof)
        );
    }

    // --- consistency ------------------------------------------------------------------------------------------

    function testFuzz_consistency_honestProof_isAccepted(uint256 seed, uint256 size) public view {
        bytes32[] memory leaves = _leaves(seed, bound(size, 1, MOST));
        uint256 old = 1 + derive(seed, 1) % leaves.length;
        bytes32 root1 = TestTree.rootOf(leaves, 0, old);
        bytes32[] memory proof = TestTree.consistency(leaves, old);
        this.verifyConsistency(old, root1, leaves.length, TestTree.root(leaves), proof);
    }

    function testFuzz_consistency_changedProofOrRoot_isRefused(uint256 seed, uint256 size) public {
        bytes32[] memory leaves = _leaves(seed, bound(size, 2, MOST));
        uint256 n = leaves.length;
        uint256 old = 1 + derive(seed, 1) % (n - 1);
        bytes32 root1 = TestTree.rootOf(leaves, 0, old);
        bytes32 root2 = TestTree.root(leaves);
        bytes32[] memory proof = TestTree.consistency(leaves, old);

        bytes32[] memory changed = _flip(proof, derive(seed, 2));
        (bool accepted, bytes4 code) = _tryConsistency(old, root1, n, root2, changed);
        vm.assertFalse(accepted, "a changed proof was accepted");
        bool mismatch = code == Merkle.OldRootMismatch.selector || code == Merkle.NewRootMismatch.selector;
        vm.assertTrue(mismatch, "a changed proof gives another root");

        (accepted, code) = _tryConsistency(old, root1 ^ bytes32(uint256(1)), n, root2, proof);
        bool whole = old & (old - 1) == 0;
        // A complete old tree is itself the first node of the proof: the new root then does not come out.
        bytes4 expected = whole ? Merkle.NewRootMismatch.selector : Merkle.OldRootMismatch.selector;
        vm.assertEq(bytes32(code), bytes32(expected), "another old root");
        (accepted, code) = _tryConsistency(old, root1, n, root2 ^ bytes32(uint256(1)), proof);
        vm.assertEq(bytes32(code), bytes32(Merkle.NewRootMismatch.selector), "another new root");

        vm.expectRevert(abi.encodeWithSelector(Merkle.WrongProofLength.selector, proof.length, proof.length + 1));
        this.verifyConsistency(old, root1, n, root2, _resized(proof, proof.length + 1));
        vm.expectRevert(abi.encodeWithSelector(Merkle.SizesReversed.selector, n, old));
        this.verifyConsistency(n, root2, old, root1, proof);
        vm.expectRevert(abi.encodeWithSelector(Merkle.EmptyTree.selector, 0, n));
        this.verifyConsistency(0, root1, n, root2, proof);
        vm.expectRevert(abi.encodeWithSelector(Merkle.WrongProofLength.selector, 0, proof.length));
        this.verifyConsistency(n, root2, n, root2, proof);
        vm.expectRevert(abi.encodeWithSelector(Merkle.NewRootMismatch.selector, root1, root2));
        this.verifyConsistency(n, root1, n, root2, new bytes32[](0));
    }

    // --- bisection --------------------------------------------------------------------------------------------

    /// @notice The children of a node lie side by side, cover it, all but the last are of one width, a power of two.
    function testFuzz_children_anySize_partitionTheNode(uint256 seed) public pure {
        uint64 size = uint64(bound(uint64(derive(seed, 0)) >> (derive(seed, 1) % 63), 2, type(uint64).max));
        uint64 lo = uint64(bound(derive(seed, 2), 0, type(uint64).max - size));
        uint64 count = Merkle.childCount(size);
        vm.assertGe(count, 2, "a bisection shrinks the range");
        vm.assertLe(count, 32, "at most 32 children");
        uint64 next = lo;
        uint64 width;
        for (uint64 child = 0; child < count; ++child) {
            (uint64 childLo, uint64 childSize) = Merkle.childRange(lo, size, child);
            vm.assertEq(childLo, next, "side by side");
            if (child == 0) width = childSize;
            else if (child + 1 < count) vm.assertEq(childSize, width, "of one width");
            vm.assertTrue(childSize > 0 && childSize <= width, "the last may be shorter");
            next += childSize;
        }
        vm.assertEq(next, lo + size, "all of it");
        vm.assertEq(width & (width - 1), 0, "a power of two");
    }

    function testFuzz_recombine_childrenOfATree_givesItsRoot(uint256 seed, uint256 size) public {
        bytes32[] memory leaves = _leaves(seed, bound(size, 2, 3 * MOST));
        uint64 n = uint64(leaves.length);
        uint64 count = Merkle.childCount(n);
        bytes32[] memory children = new bytes32[](count);
        for (uint64 child = 0; child < count; ++child) {
            (uint64 lo, uint64 length) = Merkle.childRange(0, n, child);
            children[child] = TestTree.rootOf(leaves, lo, lo + length);
        }
        vm.assertEq(this.recombine(n, children), TestTree.root(leaves));
        vm.assertTrue(this.recombine(n, _flip(children, seed)) != TestTree.root(leaves), "another child, another root");
        vm.expectRevert(abi.encodeWithSelector(Merkle.WrongChildCount.selector, count, count - 1));
        this.recombine(n, _resized(children, count - 1));
        vm.expectRevert(abi.encodeWithSelector(Merkle.ChildOutOfRange.selector, count, count));
        this.childRange(n, count);
    }

    function test_singleLeaf_isNotBisected() public {
        for (uint64 size = 0; size < 2; ++size) {
            vm.expectRevert(abi.encodeWithSelector(Merkle.SingleLeaf.selector, size));
            this.childRange(size, 0);
        }
    }

    /// @notice All sizes up to 20, all indices and all old sizes; what the fuzz relies on is met often.
    function test_trees_corpus_ofAllSmallSizes() public {
        uint256 wholes;
        uint256 loneSiblings;
        for (uint256 n = 1; n <= 20; ++n) {
            bytes32[] memory leaves = _leaves(n, n);
            bytes32 root = TestTree.root(leaves);
            for (uint256 i = 0; i < n; ++i) {
                bytes32[] memory path = TestTree.inclusion(leaves, i);
                this.verifyInclusion(root, leaves[i], i, n, path);
                bytes32 old = TestTree.rootOf(leaves, 0, i + 1);
                this.verifyConsistency(i + 1, old, n, root, TestTree.consistency(leaves, i + 1));
                if ((i + 1) & i == 0) ++wholes;
                // A path shorter than the tree is high: some node on it has no sibling.
                if (path.length < TestTree.inclusion(leaves, 0).length) ++loneSiblings;
            }
            if (n > 1) testFuzz_inclusion_changedProof_isRefused(n, n);
            if (n > 1) testFuzz_consistency_changedProofOrRoot_isRefused(n, n);
        }
        vm.assertGe(wholes, 50, "old trees that are one complete subtree");
        vm.assertGe(loneSiblings, 20, "nodes without a sibling");
    }

    // --- from outside: calldata, and reverts that can be expected -----------------------------------------------

    function verifyInclusion(bytes32 root, bytes32 leaf, uint256 index, uint256 size, bytes32[] calldata proof)
        external
        view
    {
        Merkle.verifyInclusion(root, leaf, uint64(index), uint64(size), proof);
    }

    function rootFromInclusion(bytes32 leaf, uint64 index, uint64 size, bytes32[] calldata proof)
        external
        view
        returns (bytes32)
    {
        return Merkle.rootFromInclusion(leaf, index, size, proof);
    }

    function verifyConsistency(uint256 size1, bytes32 root1, uint256 size2, bytes32 root2, bytes32[] calldata proof)
        external
        view
    {
        Merkle.verifyConsistency(uint64(size1), root1, uint64(size2), root2, proof);
    }

    function recombine(uint64 size, bytes32[] calldata children) external view returns (bytes32) {
        return Merkle.recombine(size, children);
    }

    function childRange(uint64 size, uint64 child) external pure returns (uint64, uint64) {
        return Merkle.childRange(0, size, child);
    }

    function _tryConsistency(uint256 size1, bytes32 root1, uint256 size2, bytes32 root2, bytes32[] memory proof)
        private
        view
        returns (bool accepted, bytes4 code)
    {
        try this.verifyConsistency(size1, root1, size2, root2, proof) {
            accepted = true;
        } catch (bytes memory data) {
            code = bytes4(data);
        }
    }

    function _flip(bytes32[] memory proof, uint256 seed) private pure returns (bytes32[] memory changed) {
        changed = _resized(proof, proof.length);
        changed[seed % proof.length] ^= bytes32(1 << (seed >> 8) % 256);
    }

    function _resized(bytes32[] memory list, uint256 length) private pure returns (bytes32[] memory copy) {
        copy = new bytes32[](length);
        for (uint256 i = 0; i < length && i < list.length; ++i) {
            copy[i] = list[i];
        }
    }

    function _leaves(uint256 seed, uint256 size) private pure returns (bytes32[] memory leaves) {
        leaves = new bytes32[](size);
        for (uint256 i = 0; i < size; ++i) {
            leaves[i] = bytes32(derive(seed, 1000 + i));
        }
    }
}
