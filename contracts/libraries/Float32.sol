// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Correctly rounded IEEE-754 binary32 arithmetic.
/// @notice Words are `uint256` below 2**32. Round to nearest, ties to even; subnormals are honoured; every NaN result
/// is `0x7fc00000`. No function reverts: every word has a result. The twin in plain integers is
/// `protocol/kernels/reference/float32.py`, which judges this library bit for bit.
/// @dev A finite float is `mantissa * 2**(exponent - 149)` with `exponent = max(field, 1) - 1`, so that a subnormal
/// needs no case of its own. Exact results are held in one 256-bit word, whatever lies far below the rounding position
/// being kept as a nonzero rest, and are rounded once, by `_round`.
/// `unchecked` throughout: the bounds of every sum and shift are stated beside it. Assembly is used where a comparison
/// is wanted as a number, since Solidity turns a `bool` into one with a branch: a judgement runs up to 128
/// instructions, so each gas here counts 128 times.
library Float32 {
    uint256 internal constant NAN = 0x7fc00000;
    uint256 internal constant INFINITY = 0x7f800000;
    uint256 internal constant SIGN = 0x80000000;
    uint256 internal constant MAGNITUDE = 0x7fffffff;

    /// @dev Zeros below every exact result, so that `_round` always has a bit to drop.
    uint256 private constant LOW = 24;
    /// @dev The place of the last bit of `_sum`'s second term: 56 above LOW, so that a 48-bit product that would begin
    /// below LOW is less than a quarter of that bit, and so only a rest.
    uint256 private constant ANCHOR = 80;

    /// @dev The highest place of `_sum`'s first term: its 48 bits and a carry then fit a signed word.
    uint256 private constant HIGH = 190;

    // ------------------------------------------------------------------------------------------------ arithmetic

    /// @return a + b
    function add(uint256 a, uint256 b) internal pure returns (uint256) {
        unchecked {
            (uint256 ma, uint256 ea, uint256 mb, uint256 eb) = _unpack2(a, b);
            if (((ea + 2) | (eb + 2)) > 255) return _addSpecial(a, b);
            return _sum(a >> 31, ma, ea, b >> 31, mb, eb);
        }
    }

    /// @return a - b
    function sub(uint256 a, uint256 b) internal pure returns (uint256) {
        return add(a, b ^ SIGN);
    }

    /// @return a * b
    function mul(uint256 a, uint256 b) internal pure returns (uint256) {
        unchecked {
            (uint256 ma, uint256 ea, uint256 mb, uint256 eb) = _unpack2(a, b);
            if (((ea + 2) | (eb + 2)) > 255) return _mulSpecial(a, b);
            uint256 m = ma * mb;
            uint256 sign = (a ^ b) & SIGN;
            if (m == 0) return sign;
            return _round(sign, m << LOW, ea + eb - 149 - LOW);
        }
    }

    /// @return a * b + c, rounded once
    function fma(uint256 a, uint256 b, uint256 c) internal pure returns (uint256) {
        unchecked {
            // `_unpack` three times, written out: calls would add a tenth to the most frequent operation.
            uint256 ma;
            uint256 ea;
            uint256 mb;
            uint256 eb;
            uint256 mc;
            uint256 ec;
            assembly ("memory-safe") {
                ma := and(a, MAGNITUDE)
                ea := shr(23, ma)
                ea := sub(ea, gt(ea, 0))
                ma := sub(ma, shl(23, ea))
                mb := and(b, MAGNITUDE)
                eb := shr(23, mb)
                eb := sub(eb, gt(eb, 0))
                mb := sub(mb, shl(23, eb))
                mc := and(c, MAGNITUDE)
                ec := shr(23, mc)
                ec := sub(ec, gt(ec, 0))
                mc := sub(mc, shl(23, ec))
            }
            if (((ea + 2) | (eb + 2) | (ec + 2)) > 255) {
                return _addSpecial(((ea + 2) | (eb + 2)) > 255 ? _mulSpecial(a, b) : 0, c);
            }
            return _sum((a ^ b) >> 31, ma * mb, ea + eb - 149, c >> 31, mc, ec);
        }
    }

    /// @return a / b
    function div(uint256 a, uint256 b) internal pure returns (uint256) {
        unchecked {
            (uint256 ma, uint256 ea, uint256 mb, uint256 eb) = _unpack2(a, b);
            if (((ea + 2) | (eb + 2)) > 255) return _divSpecial(a, b);
            uint256 sign = (a ^ b) & SIGN;
            if (mb == 0) return ma == 0 ? NAN : sign | INFINITY;
            if (ma == 0) return sign;
            // The quotient has 49 bits or more, so a tie is a multiple of 2**24; its remainder would be one too, and is
            // below mb: zero. What is left over therefore never decides a rounding.
            uint256 m = (ma << 72) / mb;
            return _round(sign, m, ea - eb + 149 - 72);
        }
    }

    /// @return The square root of a; -0 gives -0, another negative number NaN
    function sqrt(uint256 a) internal pure returns (uint256) {
        unchecked {
            if (a & MAGNITUDE == 0) return a;
            if (a >= INFINITY) return a == INFINITY ? a : NAN;
            (uint256 m, uint256 e) = _unpack(a);
            if (m < 0x800000) {
                // A subnormal is an integer number of units 2**-149: normalise it by making that integer a float.
                (m, e) = _unpack(_round(0, m << LOW, 149 - LOW));
                e -= 149;
            }
            // With 27 or 28 more bits the exponent is even and x is in [2**50, 2**52).
            uint256 x = m << (27 + (e & 1));
            // A line within 3.2 % of the root, then Newton's steps: within 5e-4, 2e-7, 1e-14. A step never ends below
            // the floor of the root, so r is the floor or one more.
            uint256 r = ((x * 11) >> 30) + 23068672;
            r = (r + x / r) >> 1;
            r = (r + x / r) >> 1;
            r = (r + x / r) >> 1;
            assembly ("memory-safe") {
                r := sub(r, gt(mul(r, r), x))
                // r has 26 bits: 24 of the result, the rounding bit and one that says whether more follows.
                r := or(r, lt(mul(r, r), x))
            }
            return (((e + 126) >> 1) << 23) + ((r + 1 + ((r >> 2) & 1)) >> 2);
        }
    }

    // -------------------------------------------------------------------------------------- sign, order, conversion

    /// @return a with any NaN made `0x7fc00000`
    function canonical(uint256 a) internal pure returns (uint256) {
        return _isNaN(a) ? NAN : a;
    }

    /// @return -a
    function neg(uint256 a) internal pure returns (uint256) {
        return canonical(a ^ SIGN);
    }

    /// @return The magnitude of a
    function abs(uint256 a) internal pure returns (uint256) {
        return canonical(a & MAGNITUDE);
    }

    /// @return smaller NaN if either is NaN; -0 < +0
    function min(uint256 a, uint256 b) internal pure returns (uint256 smaller) {
        (bool nan, bool less) = _order(a, b);
        smaller = nan ? NAN : less ? a : b;
    }

    /// @return larger NaN if either is NaN; -0 < +0
    function max(uint256 a, uint256 b) internal pure returns (uint256 larger) {
        (bool nan, bool less) = _order(a, b);
        larger = nan ? NAN : less ? b : a;
    }

    /// @return less Whether a < b; false with NaN; -0 == +0
    function lt(uint256 a, uint256 b) internal pure returns (bool less) {
        (bool ordered, int256 x, int256 y) = _comparable(a, b);
        less = ordered && x < y;
    }

    /// @return lessOrEqual Whether a <= b; false with NaN; -0 == +0
    function le(uint256 a, uint256 b) internal pure returns (bool lessOrEqual) {
        (bool ordered, int256 x, int256 y) = _comparable(a, b);
        lessOrEqual = ordered && x <= y;
    }

    /// @return equal Whether a == b; false with NaN; -0 == +0
    function eq(uint256 a, uint256 b) internal pure returns (bool equal) {
        (bool ordered, int256 x, int256 y) = _comparable(a, b);
        equal = ordered && x == y;
    }

    /// @notice Truncates towards zero and saturates; NaN gives 0.
    /// @return The word of a signed integer
    function toInt(uint256 a) internal pure returns (uint256) {
        unchecked {
            (uint256 m, uint256 e) = _unpack(a);
            if (_isNaN(a)) return 0;
            bool negative = a >= SIGN;
            // From 2**31 on; -2**31 itself is the saturated value.
            if (e > 156) return negative ? SIGN : MAGNITUDE;
            uint256 magnitude = (m << 7) >> (156 - e);
            return negative ? (0x100000000 - magnitude) & 0xffffffff : magnitude;
        }
    }

    /// @return The float nearest to a signed integer word, ties to even
    function fromInt(uint256 a) internal pure returns (uint256) {
        unchecked {
            if (a == 0) return 0;
            uint256 sign = a & SIGN;
            if (sign != 0) a = 0x100000000 - a;
            return _round(sign, a << LOW, 149 - LOW);
        }
    }

    // ------------------------------------------------------------------------------------------- rounding and sums

    /// @dev Rounds `m * 2**(e - 149)`; `sign` is 0 or SIGN, `m >= 2**24`, e in [-255, 600] modulo 2**256.
    function _round(uint256 sign, uint256 m, uint256 e) private pure returns (uint256 word) {
        unchecked {
            // Bits to drop so that 24 stay, and the exponent of the last one that stays.
            uint256 drop = _log2(m) - 23;
            e += drop;
            if (e >> 255 != 0) {
                // Below the smallest subnormal: drop more. At most 176 bits, since e >= -176 on entry.
                drop -= e;
                e = 0;
            }
            // The hidden bit, and a carry out of the mantissa, both add one to the exponent field.
            word = (e << 23) + ((m + (1 << (drop - 1)) - 1 + ((m >> drop) & 1)) >> drop);
            if (word > INFINITY) word = INFINITY;
            word |= sign;
        }
    }

    /// @dev Rounds `+-p * 2**(ep - 149) +- c * 2**(ec - 149)`, signs given as 0 or 1, p < 2**48, c < 2**24.
    /// Both terms are brought to one scale, c's last bit at ANCHOR and p's at `place`.
    function _sum(uint256 sp, uint256 p, uint256 ep, uint256 sc, uint256 c, uint256 ec) private pure returns (uint256) {
        unchecked {
            uint256 e = ec - ANCHOR;
            uint256 place = ep - e;
            if (place - LOW > HIGH - LOW) {
                if (int256(place) < int256(LOW)) {
                    // p is far below c's last bit, or c is zero and both round to zero: p is only a rest.
                    place = LOW;
                } else {
                    // c is far below p's last bit (p is not zero: ep would be small): c is only a rest.
                    place = HIGH;
                    e = ep - HIGH;
                }
            }
            uint256 m;
            assembly ("memory-safe") {
                // m = c +- p, two's complement; then its magnitude and sign.
                let differ := sub(0, xor(sp, sc))
                m := add(shl(ANCHOR, c), sub(xor(shl(place, p), differ), differ))
                let negative := sar(255, m)
                m := sub(xor(m, negative), negative)
                // An exact zero is -0 only when both terms are.
                sc := shl(31, xor(sc, and(negative, 1)))
            }
            if (m == 0) return sp << 31 & sc;
            return _round(sc, m, e);
        }
    }

    /// @dev Magnitude `m * 2**(e - 149)` of a finite word; an infinity or NaN has e == 254.
    function _unpack(uint256 a) private pure returns (uint256 m, uint256 e) {
        assembly ("memory-safe") {
            m := and(a, MAGNITUDE)
            e := shr(23, m)
            e := sub(e, gt(e, 0))
            m := sub(m, shl(23, e))
        }
    }

    /// @dev `_unpack` of two words, in one call.
    function _unpack2(uint256 a, uint256 b) private pure returns (uint256 ma, uint256 ea, uint256 mb, uint256 eb) {
        assembly ("memory-safe") {
            ma := and(a, MAGNITUDE)
            ea := shr(23, ma)
            ea := sub(ea, gt(ea, 0))
            ma := sub(ma, shl(23, ea))
            mb := and(b, MAGNITUDE)
            eb := shr(23, mb)
            eb := sub(eb, gt(eb, 0))
            mb := sub(mb, shl(23, eb))
        }
    }

    /// @dev The place of the highest bit of a nonzero word. Binary search and a table of the last three places, after
    /// Solady's `LibBit.fls` (MIT licence).
    function _log2(uint256 x) private pure returns (uint256 r) {
        assembly ("memory-safe") {
            r := shl(7, lt(0xffffffffffffffffffffffffffffffff, x))
            r := or(r, shl(6, lt(0xffffffffffffffff, shr(r, x))))
            r := or(r, shl(5, lt(0xffffffff, shr(r, x))))
            r := or(r, shl(4, lt(0xffff, shr(r, x))))
            r := or(r, shl(3, lt(0xff, shr(r, x))))
            r := or(
                r,
                byte(
                    and(0x1f, shr(shr(r, x), 0x8421084210842108cc6318c6db6d54be)),
                    0x0706060506020504060203020504030106050205030304010505030400000000
                )
            )
        }
    }

    // ------------------------------------------------------------------------------------------------- special words

    function _isNaN(uint256 a) private pure returns (bool) {
        return a & MAGNITUDE > INFINITY;
    }

    /// @dev Whether a or b is NaN, and if not, whether a is before b in -inf < ... < -0 < +0 < ... < inf.
    function _order(uint256 a, uint256 b) private pure returns (bool nan, bool less) {
        assembly ("memory-safe") {
            nan := or(gt(and(a, MAGNITUDE), INFINITY), gt(and(b, MAGNITUDE), INFINITY))
            // As signed words the negative ones are in reverse order: flip the bits below their sign.
            a := signextend(3, a)
            b := signextend(3, b)
            less := slt(xor(a, and(sar(255, a), MAGNITUDE)), xor(b, and(sar(255, b), MAGNITUDE)))
        }
    }

    /// @dev Whether neither is NaN, and integers that compare as the floats do, both zeros alike.
    function _comparable(uint256 a, uint256 b) private pure returns (bool ordered, int256 x, int256 y) {
        assembly ("memory-safe") {
            x := and(a, MAGNITUDE)
            y := and(b, MAGNITUDE)
            ordered := iszero(or(gt(x, INFINITY), gt(y, INFINITY)))
            // Negates what has its sign bit set.
            a := sub(0, shr(31, a))
            b := sub(0, shr(31, b))
            x := sub(xor(x, a), a)
            y := sub(xor(y, b), b)
        }
    }

    /// @dev a + b where a or b is not finite.
    function _addSpecial(uint256 a, uint256 b) private pure returns (uint256) {
        if (_isNaN(a) || _isNaN(b)) return NAN;
        if (a & MAGNITUDE != INFINITY) return b;
        return a ^ b == SIGN ? NAN : a;
    }

    /// @dev a * b where a or b is not finite.
    function _mulSpecial(uint256 a, uint256 b) private pure returns (uint256) {
        if (_isNaN(a) || _isNaN(b) || a & MAGNITUDE == 0 || b & MAGNITUDE == 0) return NAN;
        return ((a ^ b) & SIGN) | INFINITY;
    }

    /// @dev a / b where a or b is not finite.
    function _divSpecial(uint256 a, uint256 b) private pure returns (uint256) {
        if (_isNaN(a) || _isNaN(b)) return NAN;
        uint256 sign = (a ^ b) & SIGN;
        if (b & MAGNITUDE != INFINITY) return sign | INFINITY;
        return a & MAGNITUDE == INFINITY ? NAN : sign;
    }
}
