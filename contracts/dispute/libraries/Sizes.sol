// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Sizes of trees and leaves
/// @notice Derived from the task and from a node's bytes, never taken from a party (P02, X06).
library Sizes {
    uint64 internal constant CHUNK_BYTES = 1024;

    /// @notice Segments of a run: ceil(steps / interval). The log has one leaf more.
    function segments(uint64 steps, uint64 interval) internal pure returns (uint64) {
        return (steps - 1) / interval + 1;
    }

    /// @notice Steps of segment m (1..M): `interval`, the last one what is left.
    function segmentLength(
        uint64 steps,
        uint64 interval,
        uint64 m
    ) internal pure returns (uint64) {
        uint64 done = interval * (m - 1);
        return steps - done < interval ? steps - done : interval;
    }

    /// @notice Chunks of a tensor.
    function chunks(uint64 numel, uint64 width) internal pure returns (uint64) {
        return (numel * width - 1) / CHUNK_BYTES + 1;
    }

    /// @notice Bytes of chunk c, which is one of the tensor's.
    function chunkLength(uint64 numel, uint64 width, uint64 c) internal pure returns (uint64) {
        uint64 left = numel * width - c * CHUNK_BYTES;
        return left < CHUNK_BYTES ? left : CHUNK_BYTES;
    }

    /// @notice The chunk that holds an element.
    function chunkOf(uint64 element, uint64 width) internal pure returns (uint64) {
        return (element * width) / CHUNK_BYTES;
    }

    /// @notice Bytes of one leaf of a fold tree: the accumulator and the words of the loads.
    function termLength(uint8 loads) internal pure returns (uint64) {
        return 4 * (1 + uint64(loads));
    }
}
