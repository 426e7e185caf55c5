// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Payout} from "../../../contracts/libraries/Payout.sol";
import {Test} from "../support/Test.sol";

/// @title How stakes are split: nothing appears, nothing vanishes, at least half burns
contract PayoutTest is Test {
    uint256 private constant WAD = 1e18;

    function testFuzz_slash_anyStake_splitsTheWholeStake(uint256 stake, uint256 chi, uint256 rho, uint256 cap)
        public
        pure
    {
        stake = bound(stake, 0, type(uint192).max);
        chi = bound(chi, 0, WAD / 2);
        rho = bound(rho, 0, WAD / 2 - chi);
        cap = bound(cap, 0, type(uint128).max);
        (uint256 challenger, uint256 requester, uint256 burned) = Payout.slash(stake, chi, rho, cap);
        vm.assertEq(challenger + requester + burned, stake, "sum");
        vm.assertGe(2 * burned, stake, "at least half burns");
        // floor(x) is the whole number with floor(x) <= x < floor(x) + 1.
        vm.assertTrue(challenger * WAD <= stake * chi && stake * chi < (challenger + 1) * WAD, "chi, rounded down");
        bool isShare = requester * WAD <= stake * rho && stake * rho < (requester + 1) * WAD;
        vm.assertTrue(requester == cap ? stake * rho >= cap * WAD : isShare, "rho rounded down, or the cap");
        vm.assertLe(requester, cap, "cap");
    }

    /// @notice Nobody gains by a larger cap or share of another; the requester's share grows with the cap.
    function testFuzz_slash_largerCap_movesOnlyFromTheBurnToTheRequester(uint256 stake, uint256 cap, uint256 more)
        public
        pure
    {
        stake = bound(stake, 0, type(uint192).max);
        cap = bound(cap, 0, type(uint128).max);
        more = bound(more, 0, type(uint128).max);
        (uint256 c1, uint256 r1, uint256 b1) = Payout.slash(stake, WAD / 4, WAD / 4, cap);
        (uint256 c2, uint256 r2, uint256 b2) = Payout.slash(stake, WAD / 4, WAD / 4, cap + more);
        vm.assertEq(c1, c2, "challenger");
        vm.assertGe(r2, r1, "requester");
        vm.assertEq(r2 - r1, b1 - b2, "from the burn");
    }

    function testFuzz_noShow_anyStake_splitsTheWholeStake(uint256 stake, uint256 share, uint256 cap) public pure {
        stake = bound(stake, 0, type(uint192).max);
        share = bound(share, WAD / 10, WAD);
        cap = bound(cap, 0, type(uint128).max);
        (uint256 returned, uint256 requester, uint256 burned) = Payout.noShow(stake, share, cap);
        vm.assertEq(returned + requester + burned, stake, "sum");
        uint256 penalty = requester + burned;
        // ceil(x) is the whole number with ceil(x) - 1 < x <= ceil(x).
        vm.assertTrue(penalty * WAD >= stake * share, "the penalty is rounded up");
        vm.assertTrue(penalty == 0 || (penalty - 1) * WAD < stake * share, "by less than one");
        vm.assertTrue(requester == cap || requester == penalty / 2, "half of it, or the cap");
        vm.assertLe(requester, cap, "cap");
        vm.assertGe(2 * burned, penalty, "at least half of the penalty burns");
        vm.assertTrue(stake == 0 || penalty > 0, "a no-show is never free");
    }

    function test_splits_corpus_meetsCapsAndRoundings() public pure {
        uint256 capped;
        uint256 rounded;
        for (uint256 i = 0; i < 200; ++i) {
            uint256 stake = derive(i, 0) >> (64 + derive(i, 1) % 180);
            uint256 chi = derive(i, 2) % (WAD / 2);
            uint256 cap = derive(i, 3) >> (128 + derive(i, 4) % 128);
            testFuzz_slash_anyStake_splitsTheWholeStake(stake, chi, derive(i, 5), cap);
            testFuzz_noShow_anyStake_splitsTheWholeStake(stake, derive(i, 6), cap);
            (, uint256 requester,) = Payout.slash(stake, 0, WAD / 2, cap);
            if (requester == cap) ++capped;
            if (stake * chi % WAD != 0) ++rounded;
        }
        vm.assertGe(capped, 50, "capped");
        vm.assertGe(200 - capped, 50, "not capped");
        vm.assertGe(rounded, 50, "rounded");
    }
}
