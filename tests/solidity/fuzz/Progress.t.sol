// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Merkle} from "../../../contracts/libraries/Merkle.sol";
import {Progress} from "../../../contracts/libraries/Progress.sol";
import {Test} from "../support/Test.sol";
import {TestTree} from "../support/TestTree.sol";

/// @title A solver's log: it grows, and keeps what it was
contract ProgressTest is Test {
    using Progress for Progress.Log;

    Progress.Log private _log;

    /// @notice Any chain of honest reports is accepted, each leaf is proven, and the log ends as the last one says.
    function testFuzz_extend_honestReports_areAcceptedAndKept(uint256 seed, uint256 size) public {
        bytes32[] memory leaves = _leaves(seed, bound(size, 1, 40));
        uint256 reported = 0;
        for (uint256 i = 0; reported < leaves.length; ++i) {
            uint256 next = bound(derive(seed, i), reported + 1, leaves.length);
            bytes32 root = TestTree.rootOf(leaves, 0, next);
            this.extend(uint64(next), root, _consistency(leaves, reported, next));
            vm.assertEq(_log.size, next);
            vm.assertEq(_log.root, root);
            reported = next;
        }
        uint256 index = derive(seed, 1000) % leaves.length;
        this.requireLeaf(_log.root, _value(seed, index), uint64(index), _log.size, TestTree.inclusion(leaves, index));
    }

    /// @notice A log whose reported part was changed in one leaf is refused, whatever the proof of the two trees.
    function testFuzz_extend_rewrittenLog_isRefused(uint256 seed, uint256 size, uint256 rewritten) public {
        bytes32[] memory leaves = _leaves(seed, bound(size, 2, 40));
        uint256 reported = bound(derive(seed, 1), 1, leaves.length - 1);
        bytes32 honest = TestTree.rootOf(leaves, 0, reported);
        this.extend(uint64(reported), honest, new bytes32[](0));
        leaves[rewritten % reported] ^= bytes32(uint256(1));
        bytes32 root = TestTree.root(leaves);
        bytes32[] memory proof = TestTree.consistency(leaves, reported);
        bytes32 told = TestTree.rootOf(leaves, 0, reported);
        // A whole old tree is not sent: then the old root stands in for it, and the new one does not come out.
        bool whole = reported & (reported - 1) == 0;
        if (whole) vm.expectPartialRevert(Merkle.NewRootMismatch.selector);
        else vm.expectRevert(abi.encodeWithSelector(Merkle.OldRootMismatch.selector, honest, told));
        this.extend(uint64(leaves.length), root, proof);
        vm.assertEq(_log.root, honest, "nothing changed");
        vm.assertEq(_log.size, reported, "nothing changed");
    }

    function testFuzz_extend_firstReportWithAProof_isRefused(uint256 length) public {
        length = bound(length, 1, 50);
        vm.expectRevert(abi.encodeWithSelector(Merkle.WrongProofLength.selector, 0, length));
        this.extend(3, bytes32(uint256(1)), new bytes32[](length));
    }

    function testFuzz_requireLeaf_anotherLeaf_isRefused(uint256 seed, uint256 size, uint256 bit) public {
        bytes32[] memory leaves = _leaves(seed, bound(size, 1, 40));
        uint256 index = derive(seed, 1) % leaves.length;
        bytes32 root = TestTree.root(leaves);
        bytes32 wrong = bytes32(uint256(_value(seed, index)) ^ (1 << bit % 256));
        bytes32[] memory proof = TestTree.inclusion(leaves, index);
        vm.expectPartialRevert(Merkle.RootMismatch.selector);
        this.requireLeaf(root, wrong, uint64(index), uint64(leaves.length), proof);
    }

    function test_reports_corpus_meetsBothWaysOfRefusal() public {
        uint256 whole;
        for (uint256 i = 0; i < 60; ++i) {
            uint256 reported = bound(derive(i, 1), 1, 1 + i % 39);
            if (reported & (reported - 1) == 0) ++whole;
            delete _log;
            testFuzz_extend_rewrittenLog_isRefused(i, 2 + i % 39, i);
            delete _log;
            testFuzz_extend_honestReports_areAcceptedAndKept(i, 1 + i % 40);
        }
        vm.assertGe(whole, 10, "old trees that are one complete subtree");
        vm.assertGe(60 - whole, 10, "old trees that are not");
    }

    function extend(uint64 size, bytes32 root, bytes32[] calldata proof) external {
        _log.extend(size, root, proof);
    }

    function requireLeaf(bytes32 root, bytes32 leaf, uint64 index, uint64 size, bytes32[] calldata proof)
        external
        view
    {
        Progress.requireLeaf(root, leaf, index, size, proof);
    }

    function _consistency(bytes32[] memory leaves, uint256 from, uint256 to)
        private
        pure
        returns (bytes32[] memory)
    {
        if (from == 0) return new bytes32[](0);
        bytes32[] memory first = new bytes32[](to);
        for (uint256 i = 0; i < to; ++i) {
            first[i] = leaves[i];
        }
        return TestTree.consistency(first, from);
    }

    function _value(uint256 seed, uint256 index) private pure returns (bytes32) {
        return bytes32(derive(seed ^ 0xabc, index));
    }

    function _leaves(uint256 seed, uint256 size) private pure returns (bytes32[] memory) {
        bytes32[] memory values = new bytes32[](size);
        for (uint256 i = 0; i < size; ++i) {
            values[i] = _value(seed, i);
        }
        return TestTree.leaves(values);
    }
}
