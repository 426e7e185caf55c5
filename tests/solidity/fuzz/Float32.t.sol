// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Float32} from "../../../contracts/libraries/Float32.sol";
import {ExactFloat} from "../support/ExactFloat.sol";
import {Floats} from "../support/Floats.sol";
import {Test} from "../support/Test.sol";

/// @title Float32 against exact numbers of 768 bits and a search for the nearest word
/// @dev No input is discarded. The corpus tests walk fixed inputs and count what the fuzz must meet as well.
contract Float32Test is Test {
    uint256 private constant CORPUS = 300;

    /// @notice `got` is the library's, `exact` the twin's.
    error Differs(string what, uint256 a, uint256 b, uint256 c, uint256 got, uint256 exact);

    // --- bit for bit --------------------------------------------------------------------------------------------

    function testFuzz_add_anyWords_equalsTheNearestToTheExactSum(uint256 seed) public pure {
        (uint256 a, uint256 b,) = _words(seed);
        _same("add", a, b, 0, Float32.add(a, b), ExactFloat.add(a, b));
        _same("sub", a, b, 0, Float32.sub(a, b), ExactFloat.add(a, b ^ ExactFloat.SIGN));
    }

    function testFuzz_mul_anyWords_equalsTheNearestToTheExactProduct(uint256 seed) public pure {
        (uint256 a, uint256 b,) = _words(seed);
        _same("mul", a, b, 0, Float32.mul(a, b), ExactFloat.mul(a, b));
    }

    function testFuzz_fma_anyWords_roundsOnce(uint256 seed) public pure {
        (uint256 a, uint256 b, uint256 c) = _words(seed);
        _same("fma", a, b, c, Float32.fma(a, b, c), ExactFloat.fma(a, b, c));
        // c near the rounded product: the sum keeps only what rounding dropped.
        c = Floats.near(Float32.mul(a, b), derive(seed, 4));
        _same("fma", a, b, c, Float32.fma(a, b, c), ExactFloat.fma(a, b, c));
    }

    function testFuzz_div_anyWords_equalsTheNearestToTheExactQuotient(uint256 seed) public pure {
        (uint256 a, uint256 b,) = _words(seed);
        _same("div", a, b, 0, Float32.div(a, b), ExactFloat.div(a, b));
    }

    function testFuzz_sqrt_anyWord_equalsTheNearestToTheExactRoot(uint256 seed) public pure {
        uint256 a = Floats.any(derive(seed, 0));
        _same("sqrt", a, 0, 0, Float32.sqrt(a), ExactFloat.sqrt(a));
        a &= 0x7fffffff;
        _same("sqrt", a, 0, 0, Float32.sqrt(a), ExactFloat.sqrt(a));
    }

    function testFuzz_order_anyWords_isThatOfTheValues(uint256 seed) public pure {
        (uint256 a, uint256 b,) = _words(seed);
        _same("lt", a, b, 0, Float32.lt(a, b), ExactFloat.lt(a, b));
        _same("eq", a, b, 0, Float32.eq(a, b), ExactFloat.eq(a, b));
        _same("le", a, b, 0, Float32.le(a, b), ExactFloat.lt(a, b) || ExactFloat.eq(a, b));
        _same("min", a, b, 0, Float32.min(a, b), ExactFloat.min(a, b));
        _same("max", a, b, 0, Float32.max(a, b), ExactFloat.max(a, b));
    }

    function testFuzz_signs_anyWord_changeOnlyTheSign(uint256 seed) public pure {
        uint256 a = Floats.any(derive(seed, 0));
        bool nan = ExactFloat.isNaN(a);
        vm.assertEq(Float32.canonical(a), nan ? ExactFloat.NAN : a);
        uint256 other = ExactFloat.withSign(a % ExactFloat.SIGN, !ExactFloat.isNegative(a));
        vm.assertEq(Float32.neg(a), nan ? ExactFloat.NAN : other);
        vm.assertEq(Float32.abs(a), nan ? ExactFloat.NAN : a % ExactFloat.SIGN);
    }

    function testFuzz_integers_anyWord_truncateAndRoundToNearest(uint256 seed) public pure {
        uint256 a = Floats.any(derive(seed, 0));
        _same("toInt", a, 0, 0, Float32.toInt(a), uint32(ExactFloat.toInt(a)));
        uint32 word = uint32(derive(seed, 1) >> (derive(seed, 2) % 32));
        _same("fromInt", word, 0, 0, Float32.fromInt(word), ExactFloat.fromInt(int32(word)));
    }

    // --- algebra --------------------------------------------------------------------------------------------------

    function testFuzz_addAndMul_swappedWords_giveTheSame(uint256 seed) public pure {
        (uint256 a, uint256 b, uint256 c) = _words(seed);
        vm.assertEq(Float32.add(a, b), Float32.add(b, a));
        vm.assertEq(Float32.mul(a, b), Float32.mul(b, a));
        vm.assertEq(Float32.fma(a, b, c), Float32.fma(b, a, c));
        vm.assertEq(Float32.fma(a, 0x3f800000, c), Float32.add(a, c), "1 * a + c is a + c");
        vm.assertEq(Float32.div(a, 0x3f800000), Float32.canonical(a), "a / 1 is a");
    }

    function testFuzz_everyOperation_negatedOperands_negateTheResult(uint256 seed) public pure {
        (uint256 a, uint256 b, uint256 c) = _words(seed);
        uint256 s = ExactFloat.SIGN;
        vm.assertEq(Float32.mul(a ^ s, b), Float32.neg(Float32.mul(a, b)));
        vm.assertEq(Float32.div(a ^ s, b), Float32.neg(Float32.div(a, b)));
        vm.assertEq(Float32.neg(Float32.neg(a)), Float32.canonical(a));
        uint256 sum = Float32.fma(a, b, c);
        // Rounding to nearest is symmetric; only an exact zero of unlike signs has a sign of its own.
        if (sum != 0 && sum != s) vm.assertEq(Float32.fma(a ^ s, b, c ^ s), Float32.neg(sum));
    }

    function testFuzz_add_largerWord_isMonotone(uint256 seed) public pure {
        (uint256 a, uint256 b, uint256 c) = _words(seed);
        if (!Float32.le(a, b)) (a, b) = (b, a);
        (uint256 x, uint256 y) = (Float32.add(a, c), Float32.add(b, c));
        bool ordered = !ExactFloat.isNaN(x) && !ExactFloat.isNaN(y) && Float32.le(a, b);
        vm.assertTrue(!ordered || Float32.le(x, y), "a larger word gives a larger sum");
    }

    // --- the same on fixed inputs, with what they reach -----------------------------------------------------------

    function test_corpus_reachesEveryKindOfResult() public view {
        uint256[6] memory met; // NaN, infinite, zero, subnormal, exact cancellation, a result that was rounded
        for (uint256 i = 0; i < CORPUS; ++i) {
            (uint256 a, uint256 b, uint256 c) = _words(i);
            // Calls from outside: each with a memory of its own.
            this.testFuzz_fma_anyWords_roundsOnce(i);
            this.testFuzz_div_anyWords_equalsTheNearestToTheExactQuotient(i);
            uint256 r = Float32.fma(a, b, c) % ExactFloat.SIGN;
            if (ExactFloat.isNaN(r)) ++met[0];
            else if (r == ExactFloat.INFINITY) ++met[1];
            else if (r == 0) ++met[2];
            else if (r < 0x00800000) ++met[3];
            if (Float32.add(a, b) % ExactFloat.SIGN == 0 && a % ExactFloat.SIGN != 0) ++met[4];
            uint256 product = Float32.mul(a, b);
            if (Float32.fma(a, b, product ^ ExactFloat.SIGN) % ExactFloat.INFINITY != 0) ++met[5];
        }
        uint8[6] memory least = [5, 15, 15, 10, 10, 100];
        for (uint256 k = 0; k < 6; ++k) {
            vm.assertGe(met[k], least[k], string.concat("results of kind ", vm.toString(k)));
        }
    }

    function test_corpus_ofTies_goesToTheEvenWord() public pure {
        // m + 1/2 ulp for a few m: one with an even last bit, one with an odd one, and a carry into the next binade.
        uint32[3] memory bases = [0x3f800000, 0x3f800001, 0x3fffffff];
        uint32[3] memory sums = [0x3f800000, 0x3f800002, 0x40000000];
        for (uint256 i = 0; i < 3; ++i) {
            vm.assertEq(Float32.add(bases[i], 0x33800000), sums[i]);
            vm.assertEq(ExactFloat.add(bases[i], 0x33800000), sums[i]);
        }
        // Half of the smallest subnormal goes to zero, three halves to two.
        vm.assertEq(Float32.mul(0x00000001, 0x3f000000), 0);
        vm.assertEq(Float32.mul(0x00000003, 0x3f000000), 2);
        // The middle between the largest finite number and 2**128 goes to infinity.
        vm.assertEq(Float32.add(0x7f7fffff, 0x73000000), 0x7f800000);
        vm.assertEq(Float32.add(0x7f7fffff, 0x72ffffff), 0x7f7fffff);
    }

    /// @dev Three words: any ones, or such that a and b cancel, a * b is subnormal, or c takes back the product.
    function _words(uint256 seed) private pure returns (uint256 a, uint256 b, uint256 c) {
        uint256 kind = derive(seed, 3) % 8;
        a = Floats.any(derive(seed, 0));
        b = Floats.any(derive(seed, 1));
        c = Floats.any(derive(seed, 2));
        if (kind == 0) b = Floats.near(a, derive(seed, 1));
        else if (kind == 1) b = a ^ ExactFloat.SIGN;
        else if (kind == 2) (a, b) = Floats.pairWithSmallProduct(derive(seed, 0));
        else if (kind == 3) (a, b) = (Floats.fewBits(derive(seed, 0)), Floats.fewBits(derive(seed, 1)));
        if (kind == 2 || kind == 3) c = derive(seed, 4) % 2 == 0 ? 0 : Float32.mul(a, b) ^ ExactFloat.SIGN;
    }

    function _same(string memory what, uint256 a, uint256 b, uint256 c, uint256 got, uint256 exact) private pure {
        if (got != exact) revert Differs(what, a, b, c, got, exact);
    }

    function _same(string memory what, uint256 a, uint256 b, uint256 c, bool got, bool exact) private pure {
        if (got != exact) revert Differs(what, a, b, c, got ? 1 : 0, exact ? 1 : 0);
    }
}
