// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Wide} from "./Wide.sol";

/// @title binary32 by its definition: the exact result, and the nearest float found by search
/// @notice The twin of `Float32`, by another road: no mantissa is normalised and no bit is counted. Exact values are
/// whole numbers of 2**-298 (Wide). The words of the positive floats are ordered as their values, so the nearest one
/// is found by bisecting the words 0 .. infinity, infinity standing for 2**128. Ties go to the even word.
library ExactFloat {
    using Wide for Wide.Number;

    uint256 internal constant NAN = 0x7fc00000;
    uint256 internal constant INFINITY = 0x7f800000;
    uint256 internal constant SIGN = 1 << 31;
    /// @dev 2**-149 in units of 2**-298.
    uint256 private constant UNIT = 149;

    // --- words ------------------------------------------------------------------------------------------------

    function isNaN(uint256 a) internal pure returns (bool) {
        return a % SIGN > INFINITY;
    }

    function isInfinite(uint256 a) internal pure returns (bool) {
        return a % SIGN == INFINITY;
    }

    function isZero(uint256 a) internal pure returns (bool) {
        return a % SIGN == 0;
    }

    function isNegative(uint256 a) internal pure returns (bool) {
        return a / SIGN == 1;
    }

    function withSign(uint256 magnitude, bool negative) internal pure returns (uint256) {
        return negative ? magnitude + SIGN : magnitude;
    }

    /// @notice |a| = m * 2**(e - 149) for a finite word or infinity (2**128).
    function parts(uint256 a) internal pure returns (uint256 m, uint256 e) {
        uint256 field = (a % SIGN) / 2 ** 23;
        uint256 fraction = a % 2 ** 23;
        return field == 0 ? (fraction, 0) : (fraction + 2 ** 23, field - 1);
    }

    // --- rounding by search -----------------------------------------------------------------------------------

    /// @notice The word of the float nearest to an exact value.
    function nearest(Wide.Number memory exact) internal pure returns (uint256) {
        uint256 lower = 0;
        uint256 upper = INFINITY + 1;
        while (upper - lower > 1) {
            uint256 middle = (lower + upper) / 2;
            if (value(middle).compare(exact) <= 0) lower = middle;
            else upper = middle;
        }
        if (lower >= INFINITY) return INFINITY;
        Wide.Number memory midpoint = value(lower).add(value(lower + 1));
        return _decide(exact.add(exact).compare(midpoint), lower);
    }

    /// @notice The value of a positive word in units of 2**-298.
    function value(uint256 a) internal pure returns (Wide.Number memory) {
        (uint256 m, uint256 e) = parts(a);
        return Wide.place(m, e + UNIT);
    }

    /// @dev `side`: where the exact value lies from the middle between `lower` and the next word.
    function _decide(int256 side, uint256 lower) private pure returns (uint256) {
        if (side == 0) return lower % 2 == 0 ? lower : lower + 1;
        return side < 0 ? lower : lower + 1;
    }

    // --- arithmetic -------------------------------------------------------------------------------------------

    function add(uint256 a, uint256 b) internal pure returns (uint256) {
        // 1 * a + b; a zero product keeps a's sign.
        return fma(a, 0x3f800000, b);
    }

    function mul(uint256 a, uint256 b) internal pure returns (uint256) {
        if (isNaN(a) || isNaN(b)) return NAN;
        bool negative = isNegative(a) != isNegative(b);
        if (isInfinite(a) || isInfinite(b)) {
            return isZero(a) || isZero(b) ? NAN : withSign(INFINITY, negative);
        }
        return withSign(nearest(_product(a, b)), negative);
    }

    function fma(uint256 a, uint256 b, uint256 c) internal pure returns (uint256) {
        if (isNaN(a) || isNaN(b) || isNaN(c)) return NAN;
        bool negative = isNegative(a) != isNegative(b);
        if (isInfinite(a) || isInfinite(b)) {
            if (isZero(a) || isZero(b)) return NAN;
            if (isInfinite(c) && isNegative(c) != negative) return NAN;
            return withSign(INFINITY, negative);
        }
        if (isInfinite(c)) return c;
        Wide.Number memory p = _product(a, b);
        Wide.Number memory q = value(c % SIGN);
        if (negative == isNegative(c)) return withSign(nearest(p.add(q)), negative);
        int256 order = p.compare(q);
        // The exact zero of opposite signs is positive.
        if (order == 0) return 0;
        return order > 0 ? withSign(nearest(p.sub(q)), negative) : withSign(nearest(q.sub(p)), !negative);
    }

    /// @notice The word w with w * |b| nearest to |a|, by search.
    function div(uint256 a, uint256 b) internal pure returns (uint256) {
        if (isNaN(a) || isNaN(b)) return NAN;
        bool negative = isNegative(a) != isNegative(b);
        if (isInfinite(a)) return isInfinite(b) ? NAN : withSign(INFINITY, negative);
        if (isInfinite(b)) return withSign(0, negative);
        if (isZero(b)) return isZero(a) ? NAN : withSign(INFINITY, negative);
        Wide.Number memory target = value(a % SIGN);
        uint256 lower = 0;
        uint256 upper = INFINITY + 1;
        while (upper - lower > 1) {
            uint256 middle = (lower + upper) / 2;
            if (_product(middle, b).compare(target) <= 0) lower = middle;
            else upper = middle;
        }
        if (lower >= INFINITY) return withSign(INFINITY, negative);
        Wide.Number memory midpoint = _product(lower, b).add(_product(lower + 1, b));
        return withSign(_decide(target.add(target).compare(midpoint), lower), negative);
    }

    /// @notice The word w with w * w nearest below a, then its rounding decided by (2w + ulp) squared.
    function sqrt(uint256 a) internal pure returns (uint256) {
        if (isZero(a)) return a;
        if (isNaN(a) || isNegative(a)) return NAN;
        if (isInfinite(a)) return a;
        Wide.Number memory target = value(a);
        uint256 lower = 0;
        uint256 upper = INFINITY;
        while (upper - lower > 1) {
            uint256 middle = (lower + upper) / 2;
            if (_product(middle, middle).compare(target) <= 0) lower = middle;
            else upper = middle;
        }
        // (x + y)**2 against 4 a, with x, y the neighbours: x*x + 2*x*y + y*y.
        Wide.Number memory cross = _product(lower, lower + 1);
        Wide.Number memory square = _product(lower, lower).add(_product(lower + 1, lower + 1)).add(cross).add(cross);
        Wide.Number memory twice = target.add(target);
        return _decide(twice.add(twice).compare(square), lower);
    }

    // --- order and conversion -----------------------------------------------------------------------------------

    function lt(uint256 a, uint256 b) internal pure returns (bool) {
        if (isNaN(a) || isNaN(b) || (isZero(a) && isZero(b))) return false;
        return _before(a, b);
    }

    function eq(uint256 a, uint256 b) internal pure returns (bool) {
        if (isNaN(a) || isNaN(b)) return false;
        return a == b || (isZero(a) && isZero(b));
    }

    function min(uint256 a, uint256 b) internal pure returns (uint256) {
        if (isNaN(a) || isNaN(b)) return NAN;
        return _before(a, b) ? a : b;
    }

    function max(uint256 a, uint256 b) internal pure returns (uint256) {
        if (isNaN(a) || isNaN(b)) return NAN;
        return _before(a, b) ? b : a;
    }

    function fromInt(int32 a) internal pure returns (uint256) {
        int256 wide = a;
        return withSign(nearest(Wide.place(uint256(wide < 0 ? -wide : wide), 2 * UNIT)), wide < 0);
    }

    function toInt(uint256 a) internal pure returns (int32) {
        if (isNaN(a)) return 0;
        (uint256 m, uint256 e) = parts(a);
        // Above 2**31 in magnitude whatever the fraction.
        uint256 magnitude = e > 200 ? 2 ** 40 : e >= 149 ? m * 2 ** (e - 149) : m / 2 ** (149 - e);
        if (isNegative(a)) return magnitude >= 2 ** 31 ? type(int32).min : int32(-int256(magnitude));
        return magnitude >= 2 ** 31 ? type(int32).max : int32(int256(magnitude));
    }

    /// @dev -inf < ... < -0 < +0 < ... < inf; false for equal words.
    function _before(uint256 a, uint256 b) private pure returns (bool) {
        if (isNegative(a) != isNegative(b)) return isNegative(a);
        return isNegative(a) ? a > b : a < b;
    }

    /// @dev |a| * |b|.
    function _product(uint256 a, uint256 b) private pure returns (Wide.Number memory) {
        (uint256 ma, uint256 ea) = parts(a);
        (uint256 mb, uint256 eb) = parts(b);
        return Wide.place(ma * mb, ea + eb);
    }
}
