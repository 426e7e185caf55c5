// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Words of floats that are worth trying
/// @notice From a random number a word: a few exact values, neighbours of powers of two, subnormals, words near
/// another one (so that sums cancel), or any word.
library Floats {
    function any(uint256 seed) internal pure returns (uint256) {
        uint256 choice = seed % 8;
        seed /= 8;
        if (choice == 0) return special(seed);
        if (choice == 1) return seed % (1 << 23) + _sign(seed); // subnormals
        if (choice == 2) return nearPower(seed);
        if (choice == 3) return _middle(seed);
        if (choice == 4) return fewBits(seed);
        return seed % (1 << 32);
    }

    /// @notice A word close to `a`, of either sign: sums cancel.
    function near(uint256 a, uint256 seed) internal pure returns (uint256) {
        uint256 moved = uint256(uint32(a)) + seed % 9;
        moved = moved >= 4 ? moved - 4 : moved;
        return (moved % (1 << 31)) + _sign(seed / 9);
    }

    function special(uint256 seed) internal pure returns (uint256) {
        uint32[12] memory words = [
            0x00000000, // zero
            0x00000001, // smallest subnormal
            0x007fffff, // largest subnormal
            0x00800000, // smallest normal
            0x3f800000, // one
            0x3f7fffff,
            0x3f800001,
            0x4b800000, // 2**24
            0x4f000000, // 2**31
            0x7f7fffff, // largest finite
            0x7f800000, // infinity
            0x7fc00000 // NaN
        ];
        uint256 word = words[seed % 12] + _sign(seed / 12);
        // Now and then a NaN with another payload.
        return seed % 12 == 11 && seed / 24 % 2 == 1 ? word - (seed % 1000) : word;
    }

    /// @notice 2**k, or one or two words beside it.
    function nearPower(uint256 seed) internal pure returns (uint256) {
        uint256 word = ((seed % 254) + 1) << 23;
        return word + (seed / 254 % 5) - 2 + _sign(seed / 2000);
    }

    /// @notice A few leading bits, the rest zero: exact results and ties.
    function fewBits(uint256 seed) internal pure returns (uint256) {
        uint256 field = 100 + seed % 56;
        uint256 keep = seed / 56 % 13;
        uint256 fraction = seed / 1000 % (1 << 23);
        return (field << 23) + (fraction >> (23 - keep) << (23 - keep)) + _sign(seed / 1e10);
    }

    /// @notice Two words whose product is near the smallest floats.
    function pairWithSmallProduct(uint256 seed) internal pure returns (uint256 a, uint256 b) {
        uint256 field = 1 + seed % 100;
        a = (field << 23) + seed / 100 % (1 << 23);
        // The product's field, were there no subnormals, is field + other - 127: 2 down to -25.
        b = ((129 - field - (seed / 1e10 % 28)) << 23) + seed / 1e12 % (1 << 23) + _sign(seed / 1e20);
    }

    /// @dev Exponents around one: products and quotients stay finite.
    function _middle(uint256 seed) private pure returns (uint256) {
        return ((120 + seed % 15) << 23) + seed / 15 % (1 << 23) + _sign(seed / 1e9);
    }

    function _sign(uint256 seed) private pure returns (uint256) {
        return (seed % 2) << 31;
    }
}
