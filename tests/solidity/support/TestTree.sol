// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {MerklePlain} from "../../../contracts/harness/MerklePlain.sol";

/// @title RFC 9162 trees by their recursive definitions (sections 2.1.1, 2.1.3.1, 2.1.4.1), for tests
/// @notice Slow and plain: whole lists of leaf hashes, split at the largest power of two below their number.
library TestTree {
    /// @notice The leaf hashes of 32-byte values.
    function leaves(bytes32[] memory values) internal pure returns (bytes32[] memory hashes) {
        hashes = new bytes32[](values.length);
        for (uint256 i = 0; i < values.length; ++i) {
            hashes[i] = MerklePlain.leafHash(abi.encodePacked(values[i]));
        }
    }

    function root(bytes32[] memory hashes) internal pure returns (bytes32) {
        return rootOf(hashes, 0, hashes.length);
    }

    /// @notice Root of the leaves lo .. hi-1.
    function rootOf(bytes32[] memory hashes, uint256 lo, uint256 hi) internal pure returns (bytes32) {
        if (hi - lo == 1) return hashes[lo];
        uint256 k = lo + split(hi - lo);
        return MerklePlain.nodeHash(rootOf(hashes, lo, k), rootOf(hashes, k, hi));
    }

    /// @notice The largest power of two below n >= 2.
    function split(uint256 n) internal pure returns (uint256 k) {
        k = 1;
        while (2 * k < n) k *= 2;
    }

    /// @notice PATH(index, leaves), from the leaf to the root.
    function inclusion(bytes32[] memory hashes, uint256 index) internal pure returns (bytes32[] memory) {
        return _path(hashes, 0, hashes.length, index);
    }

    /// @notice PROOF(size1, leaves).
    function consistency(bytes32[] memory hashes, uint256 size1) internal pure returns (bytes32[] memory) {
        return _subproof(hashes, 0, hashes.length, size1, true);
    }

    function _path(bytes32[] memory hashes, uint256 lo, uint256 hi, uint256 index)
        private
        pure
        returns (bytes32[] memory)
    {
        if (hi - lo == 1) return new bytes32[](0);
        uint256 k = lo + split(hi - lo);
        if (index < k) return _append(_path(hashes, lo, k, index), rootOf(hashes, k, hi));
        return _append(_path(hashes, k, hi, index), rootOf(hashes, lo, k));
    }

    /// @dev SUBPROOF(m, D[lo:hi], whole).
    function _subproof(bytes32[] memory hashes, uint256 lo, uint256 hi, uint256 m, bool whole)
        private
        pure
        returns (bytes32[] memory)
    {
        if (m == hi - lo) {
            bytes32[] memory none = new bytes32[](0);
            return whole ? none : _append(none, rootOf(hashes, lo, hi));
        }
        uint256 k = split(hi - lo);
        if (m <= k) return _append(_subproof(hashes, lo, lo + k, m, whole), rootOf(hashes, lo + k, hi));
        return _append(_subproof(hashes, lo + k, hi, m - k, false), rootOf(hashes, lo, lo + k));
    }

    function _append(bytes32[] memory list, bytes32 last) private pure returns (bytes32[] memory longer) {
        longer = new bytes32[](list.length + 1);
        for (uint256 i = 0; i < list.length; ++i) {
            longer[i] = list[i];
        }
        longer[list.length] = last;
    }
}
