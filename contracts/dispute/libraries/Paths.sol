// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Names of the trees of a claim
/// @notice A root is stored once per (claim, path). The level is part of the path: equal hashes of
/// two levels never stand for each other (X08).
library Paths {
    function segment(uint64 m) internal pure returns (bytes32) {
        return keccak256(abi.encode(uint8(1), m));
    }

    /// @param step Counted from 0 over the whole run.
    function trace(uint64 step) internal pure returns (bytes32) {
        return keccak256(abi.encode(uint8(2), step));
    }

    function fold(uint64 step, uint32 node, uint64 element) internal pure returns (bytes32) {
        return keccak256(abi.encode(uint8(3), step, node, element));
    }
}
