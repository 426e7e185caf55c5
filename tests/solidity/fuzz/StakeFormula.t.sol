// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {StakeFormula} from "../../../contracts/libraries/StakeFormula.sol";
import {Test} from "../support/Test.sol";

/// @title The stake deters and is no larger than it must be; the bond covers what it is for
/// @dev The twin states what the stake is for, as an inequality between a cheater's and an honest solver's gain, and
/// checks it with whole numbers; it does not compute the stake a second time.
contract StakeFormulaTest is Test {
    uint256 private constant WAD = 1e18;

    struct Case {
        StakeFormula.Sampling sampling;
        uint256 segmentCost;
        uint256 valueAtRisk;
        uint256 maxReward;
        uint256 challengerWad;
    }

    function testFuzz_requiredStake_anyTask_detersOneAndAllFalseSegments(uint256 seed) public pure {
        Case memory c = _case(seed);
        uint256 stake = _stake(c);
        (uint256 one, uint256 all) = StakeFormula.escapes(c.sampling);
        vm.assertGe(stake, c.maxReward, "at least the reward");
        vm.assertTrue(_deters(c, stake, c.segmentCost, one), "one false segment");
        vm.assertTrue(_deters(c, stake, c.segmentCost * c.sampling.segments, all), "all false");
    }

    /// @notice Minimal: with three wei less (two roundings up, divided by 1 - chi >= 1/2) one of the three fails.
    function testFuzz_requiredStake_anyTask_isMinimal(uint256 seed) public pure {
        Case memory c = _case(seed);
        uint256 stake = _stake(c);
        (uint256 one, uint256 all) = StakeFormula.escapes(c.sampling);
        if (stake < 3) return;
        bool enough = stake - 3 >= c.maxReward && _deters(c, stake - 3, c.segmentCost, one)
            && _deters(c, stake - 3, c.segmentCost * c.sampling.segments, all);
        vm.assertFalse(enough, "three wei less are enough");
    }

    /// @notice The maximum lies at the ends: no number of false segments in between pays either.
    function testFuzz_requiredStake_anyNumberOfFalseSegments_deters(uint256 seed) public pure {
        Case memory c = _case(seed);
        uint256 stake = _stake(c);
        for (uint256 n = 1; n <= c.sampling.segments && n <= 12; ++n) {
            uint256 escape = _escapeOf(c.sampling, n);
            bool deters = _deters(c, stake, c.segmentCost * n, escape);
            vm.assertTrue(deters, string.concat("false segments: ", vm.toString(n)));
        }
    }

    /// @notice (1 - q)(1 - h k / G)^v in exact rational arithmetic for v <= 2: never below it, by at most 2 v + 1.
    function testFuzz_escapes_fewVerifiers_areTheExactPowerRoundedUp(uint256 seed) public pure {
        StakeFormula.Sampling memory s = _case(seed).sampling;
        s.verifiers = derive(seed, 50) % 3;
        s.segments = 1 + derive(seed, 51) % 1000;
        s.perVerifier = bound(derive(seed, 52), 1, s.segments < 64 ? s.segments : 64);
        (uint256 one, uint256 all) = StakeFormula.escapes(s);
        // The first factor is in wads already; 1 - h k / G = (WAD G - h k) / (WAD G).
        uint256 numerator = WAD - s.openCheckWad;
        uint256 denominator = 1;
        for (uint256 i = 0; i < s.verifiers; ++i) {
            numerator = numerator * (WAD * s.segments - s.honestWad * s.perVerifier);
            denominator = denominator * (WAD * s.segments);
        }
        uint256 exact = numerator / denominator;
        vm.assertGe(one, exact, "never below");
        vm.assertLe(one, exact + s.verifiers * 2 + 1, "nor much above");
        numerator = WAD - s.openCheckWad;
        for (uint256 i = 0; i < s.verifiers; ++i) {
            numerator = numerator * (WAD - s.honestWad);
        }
        exact = numerator / WAD ** s.verifiers;
        vm.assertGe(all, exact, "never below");
        vm.assertLe(all, exact + s.verifiers + 1, "nor much above");
    }

    function testFuzz_requiredStake_moreCoverage_isNeverDearer(uint256 seed) public pure {
        Case memory c = _case(seed);
        uint256 stake = _stake(c);
        if (c.sampling.verifiers > 0) ++c.sampling.verifiers;
        if (c.sampling.perVerifier > 0 && c.sampling.perVerifier < c.sampling.segments) ++c.sampling.perVerifier;
        c.sampling.honestWad = (c.sampling.honestWad + WAD) / 2;
        c.sampling.openCheckWad = (c.sampling.openCheckWad + WAD) / 2;
        vm.assertLe(_stake(c), stake);
    }

    function testFuzz_requiredStake_moreAtStake_isNeverCheaper(uint256 seed) public pure {
        Case memory c = _case(seed);
        uint256 stake = _stake(c);
        c.valueAtRisk += derive(seed, 60) % 1e24;
        c.segmentCost += derive(seed, 61) % 1e20;
        vm.assertGe(_stake(c), stake);
    }

    function testFuzz_requiredStake_withoutAnyDetection_isRefused(uint256 seed) public {
        Case memory c = _case(seed);
        c.sampling.openCheckWad = 0;
        if (seed % 3 == 0) c.sampling.verifiers = 0;
        else if (seed % 3 == 1) c.sampling.honestWad = 0;
        else c.sampling.perVerifier = 0;
        vm.expectRevert(
            abi.encodeWithSelector(
                StakeFormula.NoDetection.selector,
                c.sampling.verifiers,
                c.sampling.perVerifier,
                c.sampling.honestWad,
                0
            )
        );
        this.stakeOf(c);
    }

    /// @notice The bond is the larger of twice the solver's cost and what makes a gamble on a missed clock a loss.
    function testFuzz_bond_anyRates_coversCostAndGamble(uint256 seed) public pure {
        StakeFormula.BondRates memory r = _rates(seed);
        uint256 cost = derive(seed, 10) % 1e26;
        uint256 stake = derive(seed, 11) % 1e28;
        uint256 bond = StakeFormula.bond(cost, stake, r);
        // Twice (gas + hashing and one re-execution + a trace), with two roundings up of less than one each.
        uint256 doubled = 2 * (r.gasCover * WAD + cost * (WAD + r.hashingWad) + cost * r.traceWad);
        vm.assertGe(bond * WAD, doubled, "twice the cost");
        // The gamble: pi * prize won against (1 - pi) * bond lost.
        vm.assertGe(bond * (WAD - r.clockMissWad) * WAD, stake * r.rewardWad * r.clockMissWad, "the gamble");
        uint256 less = bond < 4 ? 0 : bond - 4;
        bool coversCost = less * WAD >= doubled;
        bool coversGamble = less * (WAD - r.clockMissWad) * WAD >= stake * r.rewardWad * r.clockMissWad;
        vm.assertTrue(bond < 4 || !(coversCost && coversGamble), "four wei less are enough");
    }

    function testFuzz_ceilDiv_isTheSmallestWholeNumberAbove(uint256 a, uint256 b) public pure {
        a = bound(a, 0, type(uint128).max);
        b = bound(b, 1, type(uint128).max);
        uint256 q = StakeFormula.ceilDiv(a, b);
        vm.assertGe(q * b, a);
        vm.assertTrue(q == 0 || (q - 1) * b < a, "the smallest");
    }

    function test_stakes_corpus_meetsEachOfTheThreeMaxima() public pure {
        uint256[3] memory met; // the reward, one false segment, all of them
        for (uint256 i = 0; i < 200; ++i) {
            Case memory c = _case(i);
            uint256 stake = _stake(c);
            testFuzz_requiredStake_anyTask_isMinimal(i);
            testFuzz_requiredStake_anyNumberOfFalseSegments_deters(i);
            (uint256 one,) = StakeFormula.escapes(c.sampling);
            if (stake == c.maxReward) ++met[0];
            else if (stake < 3 || !_deters(c, stake - 3, c.segmentCost, one)) ++met[1];
            else ++met[2];
        }
        vm.assertGe(met[0], 5, "the reward");
        vm.assertGe(met[1], 20, "one false segment");
        vm.assertGe(met[2], 5, "all segments false");
    }

    function stakeOf(Case memory c) external pure returns (uint256) {
        return _stake(c);
    }

    function _stake(Case memory c) private pure returns (uint256) {
        return StakeFormula.requiredStake(c.sampling, c.segmentCost, c.valueAtRisk, c.maxReward, c.challengerWad);
    }

    /// @dev d ((1 - chi) S + P) >= saved + (1 - d) B, in wads: cheating gains at most nothing.
    function _deters(Case memory c, uint256 stake, uint256 saved, uint256 escape) private pure returns (bool) {
        uint256 loss = (WAD - escape) * ((WAD - c.challengerWad) * stake + WAD * c.maxReward);
        return loss >= (saved * WAD + escape * c.valueAtRisk) * WAD;
    }

    /// @dev The escape of n false segments, rounded down: C(G - n, k) / C(G, k) is the chance to miss them all.
    function _escapeOf(StakeFormula.Sampling memory s, uint256 n) private pure returns (uint256 escape) {
        uint256 miss = WAD;
        for (uint256 i = 0; i < s.perVerifier; ++i) {
            if (s.segments < n + i) miss = 0;
            else miss = miss * (s.segments - n - i) / (s.segments - i);
        }
        uint256 hit = StakeFormula.ceilDiv(s.honestWad * (WAD - miss), WAD);
        if (hit > WAD) hit = WAD;
        escape = WAD - s.openCheckWad;
        for (uint256 i = 0; i < s.verifiers; ++i) {
            escape = escape * (WAD - hit) / WAD;
        }
    }

    function _case(uint256 seed) private pure returns (Case memory c) {
        c.sampling.segments = derive(seed, 20) % 2 == 0 ? 1 + derive(seed, 0) % 12 : 1 + derive(seed, 0) % 1e9;
        c.sampling.verifiers = derive(seed, 1) % 17;
        uint256 most = c.sampling.verifiers == 0 ? 0 : 64 / c.sampling.verifiers;
        if (most > c.sampling.segments) most = c.sampling.segments;
        c.sampling.perVerifier = most == 0 ? 0 : 1 + derive(seed, 2) % most;
        c.sampling.honestWad = bound(derive(seed, 3), 0, WAD);
        // Without open checks some detection must remain.
        bool open = c.sampling.verifiers == 0 || derive(seed, 4) % 2 == 0;
        c.sampling.openCheckWad = open ? 1e15 + derive(seed, 5) % (WAD - 1e15) : 0;
        if (!open && c.sampling.honestWad < 1e15) c.sampling.honestWad = 1e15;
        if (!open && c.sampling.segments > 1e6) c.sampling.segments = 1e6;
        c.maxReward = 1 + (derive(seed, 6) % 1e24 >> (derive(seed, 7) % 80));
        c.segmentCost = StakeFormula.ceilDiv(c.maxReward, c.sampling.segments);
        c.valueAtRisk = derive(seed, 8) % 3 == 0 ? 0 : derive(seed, 8) % 1e26;
        c.challengerWad = 1 + derive(seed, 9) % (WAD / 2);
    }

    function _rates(uint256 seed) private pure returns (StakeFormula.BondRates memory r) {
        r.gasCover = derive(seed, 0) % 1e22;
        r.hashingWad = derive(seed, 1) % (10 * WAD);
        r.traceWad = derive(seed, 2) % (10 * WAD);
        r.clockMissWad = derive(seed, 3) % (WAD / 2);
        r.rewardWad = derive(seed, 4) % (WAD / 2);
    }
}
