// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Sizes} from "./Sizes.sol";

/// @title Words in opened bytes
/// @notice Tensors hold little-endian elements, fold leaves big-endian words. Callers have checked
/// the lengths.
library Words {
    uint8 internal constant F32 = 1;
    uint8 internal constant U8 = 3;
    uint32 internal constant CANONICAL_NAN = 0x7fc00000;

    /// @notice Bytes of one stored element.
    function widthOf(uint8 dtype) internal pure returns (uint8) {
        return dtype == U8 ? 1 : 4;
    }

    /// @notice The stored word of an element, out of the chunk that holds it; u8 zero-extended.
    function element(
        bytes calldata chunk,
        uint64 e,
        uint8 width
    ) internal pure returns (uint32 word) {
        uint256 offset = (uint256(e) * width) % Sizes.CHUNK_BYTES;
        for (uint256 i = width; i > 0; --i) word = (word << 8) | uint8(chunk[offset + i - 1]);
    }

    /// @notice Replaces every NaN by the canonical one (X02); only for f32 words.
    function canonical(uint32 word) internal pure returns (uint32) {
        return (word & 0x7fffffff) > 0x7f800000 ? CANONICAL_NAN : word;
    }

    /// @notice The accumulator of a fold leaf.
    function accumulator(bytes calldata leaf) internal pure returns (uint32) {
        return uint32(bytes4(leaf[:4]));
    }

    /// @notice The words of the loads of a fold leaf, in the order of the loads.
    function loads(bytes calldata leaf) internal pure returns (uint32[] memory words) {
        words = new uint32[](leaf.length / 4 - 1);
        for (uint256 k = 0; k < words.length; ++k) {
            words[k] = uint32(bytes4(leaf[4 * k + 4:4 * k + 8]));
        }
    }
}
