// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Merkle} from "../libraries/Merkle.sol";
import {MerklePlain} from "./MerklePlain.sol";

/// @title The Merkle library, callable one by one and in batches, for tests and gas figures only.
contract MerkleHarness {
    function leafHash(bytes32 value) external view returns (bytes32) {
        return Merkle.leafHash(value);
    }

    function leafHashCalldata(bytes calldata value) external view returns (bytes32) {
        return Merkle.leafHashCalldata(value);
    }

    /// @return hash The leaf hash
    /// @return after_ The value as it stands in memory afterwards
    function leafHashMemory(
        bytes memory value
    ) external view returns (bytes32 hash, bytes memory after_) {
        return (Merkle.leafHashMemory(value), value);
    }

    function nodeHash(bytes32 left, bytes32 right) external view returns (bytes32) {
        return Merkle.nodeHash(left, right);
    }

    function pathLength(uint64 index, uint64 size) external pure returns (uint256) {
        return Merkle.pathLength(index, size);
    }

    function rootFromInclusion(
        bytes32 leaf,
        uint64 index,
        uint64 size,
        bytes32[] calldata proof
    ) external view returns (bytes32) {
        return Merkle.rootFromInclusion(leaf, index, size, proof);
    }

    function verifyInclusion(
        bytes32 root,
        bytes32 leaf,
        uint64 index,
        uint64 size,
        bytes32[] calldata proof
    ) external view {
        Merkle.verifyInclusion(root, leaf, index, size, proof);
    }

    /// @notice All leaves of one tree: leaf i with proof i.
    function verifyInclusions(
        bytes32 root,
        bytes32[] calldata leaves,
        bytes32[][] calldata proofs
    ) external view {
        for (uint64 i; i < leaves.length; ++i) {
            Merkle.verifyInclusion(root, leaves[i], i, uint64(leaves.length), proofs[i]);
        }
    }

    function verifyConsistency(
        uint64 size1,
        bytes32 root1,
        uint64 size2,
        bytes32 root2,
        bytes32[] calldata proof
    ) external view {
        Merkle.verifyConsistency(size1, root1, size2, root2, proof);
    }

    /// @notice From every size up to the last one to the last one: root i belongs to size i + 1.
    function verifyConsistencies(
        bytes32[] calldata roots,
        bytes32[][] calldata proofs
    ) external view {
        uint64 size = uint64(roots.length);
        for (uint64 i; i < size; ++i) {
            Merkle.verifyConsistency(i + 1, roots[i], size, roots[size - 1], proofs[i]);
        }
    }

    function childCount(uint64 size) external pure returns (uint64) {
        return Merkle.childCount(size);
    }

    function childRange(
        uint64 lo,
        uint64 size,
        uint64 child
    ) external pure returns (uint64, uint64) {
        return Merkle.childRange(lo, size, child);
    }

    /// @return ranges First leaf and number of leaves of each child
    function frontier(uint64 lo, uint64 size) external pure returns (uint64[2][] memory ranges) {
        ranges = new uint64[2][](Merkle.childCount(size));
        for (uint64 i; i < ranges.length; ++i) {
            (ranges[i][0], ranges[i][1]) = Merkle.childRange(lo, size, i);
        }
    }

    function recombine(uint64 size, bytes32[] calldata children) external view returns (bytes32) {
        return Merkle.recombine(size, children);
    }

    function plainLeafHash(bytes memory value) external pure returns (bytes32) {
        return MerklePlain.leafHash(value);
    }

    function plainNodeHash(bytes32 left, bytes32 right) external pure returns (bytes32) {
        return MerklePlain.nodeHash(left, right);
    }

    function plainRootFromInclusion(
        bytes32 leaf,
        uint256 index,
        uint256 size,
        bytes32[] memory proof
    ) external pure returns (bytes32) {
        return MerklePlain.rootFromInclusion(leaf, index, size, proof);
    }

    /// @notice Gas of one verification, without calldata and the call.
    function gasOfInclusion(
        bytes32 root,
        bytes32 leaf,
        uint64 index,
        uint64 size,
        bytes32[] calldata proof
    ) external view returns (uint256) {
        uint256 before = gasleft();
        Merkle.verifyInclusion(root, leaf, index, size, proof);
        return before - gasleft();
    }

    /// @notice Gas of one recombination, without calldata and the call.
    function gasOfRecombine(
        uint64 size,
        bytes32[] calldata children
    ) external view returns (uint256) {
        uint256 before = gasleft();
        Merkle.recombine(size, children);
        return before - gasleft();
    }

    /// @notice Makes one call to this contract with every amount of gas in a range.
    /// @return successes How many of the calls succeeded
    /// @return wrong How many of those returned something else than `expected`
    function withEveryGas(
        bytes calldata data,
        bytes calldata expected,
        uint256 from,
        uint256 to
    ) external view returns (uint256 successes, uint256 wrong) {
        for (uint256 amount = from; amount < to; ++amount) {
            (bool ok, bytes memory output) = address(this).staticcall{gas: amount}(data);
            if (!ok) continue;
            ++successes;
            if (keccak256(output) != keccak256(expected)) ++wrong;
        }
    }
}
