// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Constants, IMarket, Terms} from "../../../contracts/interfaces/IMarket.sol";
import {TermRules} from "../../../contracts/libraries/TermRules.sol";
import {Test} from "../support/Test.sol";

/// @title The bounds of terms and constants: inside all is well, one step outside of one field names that field
/// @dev The twin is a table of bounds written from docs/PROTOCOL.md, and terms as arrays of numbers.
contract TermRulesTest is Test {
    uint256 private constant WAD = 1e18;
    uint64 private constant MOST_SECONDS = 30 days;
    uint64 private constant MOST_WINDOW = 7 days;
    uint256 private constant ANY = type(uint256).max;

    struct Bound {
        uint256 least;
        uint256 most;
    }

    function testFuzz_terms_withinTheBounds_areAccepted(uint256 seed) public view {
        uint256[20] memory t = _terms(seed);
        this.check(_encode(t));
    }

    /// @notice One field at a time one step outside: refused with its number and its bounds.
    function testFuzz_terms_oneFieldOutside_namesItAndItsBounds(uint256 seed) public {
        uint256[20] memory t = _terms(seed);
        for (uint256 field = 0; field < 20; ++field) {
            // Without data the data root is free; fees and values at risk always are.
            if (field == 10 || field == 11 || (field == 1 && t[8] == 0)) continue;
            Bound memory b = _bound(t, field);
            uint256 widest = _widest(field);
            if (b.least > 0) _refusesTerm(t, field, b, b.least - 1);
            if (b.most < widest) _refusesTerm(t, field, b, b.most + 1);
        }
    }

    function testFuzz_segmentCount_anySteps_isTheCeilingOfTheQuotient(uint64 steps, uint64 interval) public pure {
        steps = uint64(bound(steps, 1, type(uint64).max));
        interval = uint64(bound(interval, 1, type(uint64).max));
        uint256 count = TermRules.segmentCount(steps, interval);
        vm.assertGe(count * interval, steps, "enough segments");
        vm.assertLt((count - 1) * uint256(interval), steps, "no empty segment");
    }

    /// @notice What is accepted can be worked with: segment numbers fit 32 bits, and the draw its bound.
    function testFuzz_terms_accepted_keepLoopsAndNumbersBounded(uint256 seed) public view {
        uint256[20] memory t = _terms(seed);
        this.check(_encode(t));
        uint256 segments = TermRules.segmentCount(uint64(t[4]), uint64(t[5]));
        vm.assertLe(segments, type(uint32).max);
        vm.assertLe(t[12] * t[13], 64, "drawn segments");
        vm.assertLe(t[13], segments);
    }

    function testFuzz_constants_withinTheBounds_areAccepted(uint256 seed) public view {
        this.checkConstants(_encodeConstants(_constants(seed)));
    }

    function testFuzz_constants_oneFieldOutside_namesItAndItsBounds(uint256 seed) public {
        uint256[16] memory c = _constants(seed);
        for (uint256 field = 0; field < 14; ++field) {
            Bound memory b = _constantBound(c, field);
            uint256 widest = field == 4 ? type(uint32).max : type(uint64).max;
            if (b.least > 0) _refusesConstant(c, field, b, b.least - 1);
            if (b.most < widest) _refusesConstant(c, field, b, b.most + 1);
        }
    }

    /// @notice Shares that pass leave at least half of a slashed stake to burn.
    function testFuzz_constants_accepted_burnAtLeastHalf(uint256 seed) public pure {
        uint256[16] memory c = _constants(seed);
        vm.assertLe(c[7] + c[8], WAD / 2);
    }

    function test_terms_corpus_meetsBothSidesOfEveryBound() public {
        uint256 noVerifiers;
        uint256 drawBoundsSegments; // the smaller of the two bounds of field 13
        uint256 segmentsBound;
        for (uint256 i = 0; i < 60; ++i) {
            uint256[20] memory t = _terms(i);
            if (t[12] == 0) ++noVerifiers;
            else if (64 / t[12] < TermRules.segmentCount(uint64(t[4]), uint64(t[5]))) ++drawBoundsSegments;
            else ++segmentsBound;
            testFuzz_terms_oneFieldOutside_namesItAndItsBounds(i);
            testFuzz_constants_oneFieldOutside_namesItAndItsBounds(i);
        }
        vm.assertGe(noVerifiers, 5, "no verifiers");
        vm.assertGe(drawBoundsSegments, 5, "bounded by the draw");
        vm.assertGe(segmentsBound, 5, "bounded by the segments");
    }

    function check(bytes calldata encoded) external view {
        this.checkTerms(abi.decode(encoded, (Terms)));
    }

    function checkTerms(Terms calldata terms) external pure {
        TermRules.check(terms, MOST_SECONDS, MOST_WINDOW);
    }

    function checkConstants(bytes calldata encoded) external pure {
        TermRules.check(abi.decode(encoded, (Constants)));
    }

    // --- the table of bounds ----------------------------------------------------------------------------------

    function _bound(uint256[20] memory t, uint256 field) private pure returns (Bound memory) {
        if (field < 4) return Bound(1, ANY);
        if (field == 4) return Bound(1, type(uint64).max);
        if (field == 5) {
            // The smallest interval with at most 2^32 - 1 segments.
            uint256 least = t[4] / (2 ** 32 - 1);
            return Bound(least * (2 ** 32 - 1) < t[4] ? least + 1 : least, type(uint64).max);
        }
        if (field == 6 || field == 7) return Bound(1, 65_536);
        if (field == 8) return Bound(0, 65_536);
        if (field == 9) return Bound(1, type(uint128).max);
        if (field == 12) return Bound(0, 16);
        if (field == 13) {
            if (t[12] == 0) return Bound(0, 0);
            uint256 segments = (t[4] + t[5] - 1) / t[5];
            uint256 most = 64 / t[12];
            return Bound(1, most < segments ? most : segments);
        }
        return Bound(1, field == 17 ? MOST_WINDOW : MOST_SECONDS);
    }

    function _widest(uint256 field) private pure returns (uint256) {
        if (field < 4) return ANY;
        if (field == 6 || field == 7 || field == 8 || field == 13) return type(uint32).max;
        if (field == 12) return type(uint8).max;
        return field == 9 ? type(uint128).max : type(uint64).max;
    }

    function _constantBound(uint256[16] memory c, uint256 field) private pure returns (Bound memory) {
        if (field < 3) return Bound(1, 365 days);
        if (field == 3) return Bound(1, c[2]);
        if (field == 4) return Bound(2, 256);
        if (field == 5 || field == 6) return Bound(0, WAD);
        if (field == 7) return Bound(1, WAD / 2);
        if (field == 8) return Bound(0, WAD / 2 - c[7]);
        if (field == 9) return Bound(1, WAD);
        if (field == 10) return Bound(WAD / 10, WAD);
        if (field == 13) return Bound(0, WAD / 2);
        return Bound(0, 10 * WAD);
    }

    // --- inputs -----------------------------------------------------------------------------------------------

    /// @dev Terms inside their bounds, often at an end of one.
    function _terms(uint256 seed) private pure returns (uint256[20] memory t) {
        t[12] = derive(seed, 12) % 3 == 0 ? 0 : 1 + derive(seed, 12) % 16;
        // Steps first: bounds of later fields depend on them. Few steps in half of all cases.
        uint256 word = derive(seed, 4);
        t[4] = derive(seed, 30) % 2 == 0 ? 1 + word % 100 : bound(word, 1, type(uint64).max);
        for (uint256 field = 0; field < 20; ++field) {
            if (field == 4 || field == 12) continue;
            Bound memory b = _bound(t, field);
            if (field == 10 || field == 11) b = Bound(0, type(uint128).max);
            uint256 kind = derive(seed, 40 + field) % 4;
            t[field] = kind == 0 ? b.least : kind == 1 ? b.most : bound(derive(seed, field), b.least, b.most);
        }
    }

    function _constants(uint256 seed) private pure returns (uint256[16] memory c) {
        for (uint256 field = 0; field < 14; ++field) {
            Bound memory b = _constantBound(c, field);
            uint256 kind = derive(seed, 40 + field) % 4;
            c[field] = kind == 0 ? b.least : kind == 1 ? b.most : bound(derive(seed, field), b.least, b.most);
        }
        c[14] = uint64(derive(seed, 14));
        c[15] = uint128(derive(seed, 15));
    }

    function _refusesTerm(uint256[20] memory t, uint256 field, Bound memory b, uint256 value) private {
        uint256 kept = t[field];
        t[field] = value;
        bytes memory encoded = _encode(t);
        vm.expectRevert(abi.encodeWithSelector(IMarket.TermOutOfBounds.selector, field, b.least, b.most, value));
        this.check(encoded);
        t[field] = kept;
    }

    function _refusesConstant(uint256[16] memory c, uint256 field, Bound memory b, uint256 value) private {
        uint256 kept = c[field];
        c[field] = value;
        bytes memory encoded = _encodeConstants(c);
        vm.expectRevert(abi.encodeWithSelector(IMarket.ConstantOutOfBounds.selector, field, b.least, b.most, value));
        this.checkConstants(encoded);
        c[field] = kept;
    }

    /// @dev A struct of static members is encoded as its numbers in order.
    function _encode(uint256[20] memory t) private pure returns (bytes memory) {
        return abi.encode(t);
    }

    function _encodeConstants(uint256[16] memory c) private pure returns (bytes memory) {
        return abi.encode(c);
    }
}
