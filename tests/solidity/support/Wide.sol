// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Unsigned numbers of 768 bits
/// @notice Three limbs, the lowest first: enough for the exact sum of a product of two binary32 numbers and a third
/// one in units of 2**-298, whatever their exponents. Plain and checked; overflow reverts.
library Wide {
    struct Number {
        uint256 low;
        uint256 middle;
        uint256 high;
    }

    /// @notice m * 2**shift for m < 2**128.
    function place(uint256 m, uint256 shift) internal pure returns (Number memory n) {
        require(m < 1 << 128 && shift < 640, "Wide.place: out of range");
        uint256 limb = shift / 256;
        uint256 bits = shift % 256;
        uint256 lower = m << bits;
        uint256 upper = bits == 0 ? 0 : m >> (256 - bits);
        if (limb == 0) (n.low, n.middle) = (lower, upper);
        else if (limb == 1) (n.middle, n.high) = (lower, upper);
        else n.high = lower;
        require(limb < 2 || upper == 0, "Wide.place: overflow");
    }

    function add(Number memory a, Number memory b) internal pure returns (Number memory sum) {
        uint256 carry;
        (sum.low, carry) = _addLimb(a.low, b.low, 0);
        (sum.middle, carry) = _addLimb(a.middle, b.middle, carry);
        (sum.high, carry) = _addLimb(a.high, b.high, carry);
        require(carry == 0, "Wide.add: overflow");
    }

    /// @notice a - b for a >= b.
    function sub(Number memory a, Number memory b) internal pure returns (Number memory difference) {
        require(compare(a, b) >= 0, "Wide.sub: negative");
        unchecked {
            uint256 borrow = a.low < b.low ? 1 : 0;
            difference.low = a.low - b.low;
            // Modulo 2**256: only the borrow of the middle limb remains to be found.
            bool again = a.middle < b.middle || (a.middle == b.middle && borrow == 1);
            difference.middle = a.middle - b.middle - borrow;
            difference.high = a.high - b.high - (again ? 1 : 0);
        }
    }

    /// @return order Negative, zero or positive as a is below, equal to or above b
    function compare(Number memory a, Number memory b) internal pure returns (int256 order) {
        if (a.high != b.high) return a.high < b.high ? -1 : int256(1);
        if (a.middle != b.middle) return a.middle < b.middle ? -1 : int256(1);
        if (a.low != b.low) return a.low < b.low ? -1 : int256(1);
        return 0;
    }

    function isZero(Number memory a) internal pure returns (bool) {
        return a.low == 0 && a.middle == 0 && a.high == 0;
    }

    function _addLimb(uint256 a, uint256 b, uint256 carry) private pure returns (uint256 sum, uint256) {
        unchecked {
            uint256 partialSum = a + b;
            sum = partialSum + carry;
            return (sum, (partialSum < a ? 1 : 0) + (sum < partialSum ? 1 : 0));
        }
    }
}
