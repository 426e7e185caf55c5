// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IRegistry} from "../../../contracts/interfaces/IRegistry.sol";
import {IVerification} from "../../../contracts/interfaces/IVerification.sol";
import {Draw} from "../../../contracts/libraries/Draw.sol";
import {Test} from "../support/Test.sol";

/// @notice A register that is a list: verifier i has the weight weights[i].
contract ListedRegistry {
    uint256[] private _weights;

    constructor(uint256[] memory weights) {
        _weights = weights;
    }

    function totalWeightAt(uint48) external view returns (uint256 total) {
        for (uint256 i = 0; i < _weights.length; ++i) {
            total += _weights[i];
        }
    }

    function find(uint256 point, uint48) external view returns (address verifier, uint256 start, uint256 weight) {
        for (uint256 i = 0; i < _weights.length; ++i) {
            if (point < start + _weights[i]) return (address(uint160(i + 1)), start, _weights[i]);
            start += _weights[i];
        }
        revert("point outside the list");
    }
}

/// @title Draws against shuffled lists that are written out in full
contract DrawTest is Test {
    // --- verifiers --------------------------------------------------------------------------------------------

    /// @notice The twin removes each drawn verifier from a list and draws from what is left.
    function testFuzz_verifiers_anyWeights_areThoseOfAShrinkingList(uint256 seed) public {
        (uint256[] memory weights, uint256 wanted) = _weights(seed);
        bytes32 randomness = bytes32(derive(seed, 1));
        IRegistry registry = IRegistry(address(new ListedRegistry(weights)));
        address[] memory drawn = Draw.verifiers(registry, 1, wanted, randomness);

        uint256 withWeight = 0;
        uint256 left = 0;
        for (uint256 i = 0; i < weights.length; ++i) {
            if (weights[i] != 0) ++withWeight;
            left += weights[i];
        }
        vm.assertEq(drawn.length, wanted < withWeight ? wanted : withWeight, "fewer only if fewer have weight");
        for (uint256 k = 0; k < drawn.length; ++k) {
            uint256 point = uint256(keccak256(abi.encode(randomness, "verifier", k))) % left;
            uint256 i = 0;
            for (; point >= weights[i]; ++i) {
                point -= weights[i];
            }
            vm.assertEq(drawn[k], address(uint160(i + 1)), "the owner of the point in what is left");
            left -= weights[i];
            weights[i] = 0;
        }
    }

    function test_verifiers_corpus_meetsShortRegisters() public {
        uint256 short;
        for (uint256 i = 0; i < 60; ++i) {
            (uint256[] memory weights, uint256 wanted) = _weights(i);
            if (wanted >= weights.length) ++short;
            testFuzz_verifiers_anyWeights_areThoseOfAShrinkingList(i);
        }
        vm.assertGe(short, 10, "more wanted than there are");
        vm.assertGe(60 - short, 10, "fewer wanted than there are");
    }

    /// @notice Over many seeds the first place falls to each verifier as often as its weight says.
    function test_verifiers_manySeeds_followTheWeights() public {
        uint256[] memory weights = new uint256[](3);
        (weights[0], weights[1], weights[2]) = (1, 2, 5);
        IRegistry registry = IRegistry(address(new ListedRegistry(weights)));
        uint256[3] memory counts;
        for (uint256 i = 0; i < 800; ++i) {
            address first = Draw.verifiers(registry, 1, 1, bytes32(derive(77, i)))[0];
            ++counts[uint160(first) - 1];
        }
        // 100, 200 and 500 are expected; four standard deviations are 38, 49 and 55. The seeds are fixed.
        for (uint256 k = 0; k < 3; ++k) {
            vm.assertTrue(counts[k] > 100 * weights[k] - 55 && counts[k] < 100 * weights[k] + 55, "share of a weight");
        }
    }

    // --- segments ---------------------------------------------------------------------------------------------

    /// @notice The twin shuffles the whole list of segments.
    function testFuzz_segments_anyNumbers_areAShuffleOfAll(uint256 seed) public pure {
        (uint256 total, uint256 each, uint256 count) = _numbers(seed);
        bytes32 randomness = bytes32(derive(seed, 1));
        uint32[] memory drawn = Draw.segments(total, each, count, randomness);
        vm.assertEq(drawn.length, each * count);
        uint256[] memory all = new uint256[](total);
        for (uint256 i = 0; i < total; ++i) {
            all[i] = i + 1;
        }
        for (uint256 i = 0; i < drawn.length; ++i) {
            // After the last one it starts over with the same order.
            if (i >= total) {
                vm.assertEq(drawn[i], drawn[i - total], "every segment before one again");
                continue;
            }
            uint256 pick = i + uint256(keccak256(abi.encode(randomness, "segment", i))) % (total - i);
            (all[i], all[pick]) = (all[pick], all[i]);
            vm.assertEq(drawn[i], all[i], "shuffled");
        }
        _checkDistinct(drawn, total, each, count);
    }

    function test_segments_corpus_meetsRepetitions() public pure {
        uint256 repeated;
        for (uint256 i = 0; i < 120; ++i) {
            (uint256 total, uint256 each, uint256 count) = _numbers(i);
            if (each * count > total) ++repeated;
            testFuzz_segments_anyNumbers_areAShuffleOfAll(i);
        }
        vm.assertGe(repeated, 20, "more places than segments");
        vm.assertGe(120 - repeated, 20, "enough segments for all");
    }

    /// @notice The largest run there is: no list is written out, and the numbers still are in range and distinct.
    function testFuzz_segments_hugeTotal_areInRangeAndDistinct(uint256 seed) public pure {
        uint256 total = bound(derive(seed, 0), 65, type(uint32).max);
        uint32[] memory drawn = Draw.segments(total, 4, 16, bytes32(seed));
        _checkDistinct(drawn, total, 4, 16);
    }

    // --- seed -------------------------------------------------------------------------------------------------

    /// @notice Which hash counts at every block, written as intervals: too early, first, too early, second, expired.
    function testFuzz_seed_anyBlock_isThatOfTheFirstTargetWithinReach(uint256 target, uint256 later, bytes32 claimId)
        public
    {
        target = bound(target, 300, 1e9);
        later = bound(later, 0, 800);
        uint256 number = target - 100 + later;
        vm.roll(number);
        uint256 second = target + 257;
        bytes memory refusal;
        uint256 used = 0;
        bytes4 tooEarly = IVerification.DrawTooEarly.selector;
        if (number <= target) refusal = abi.encodeWithSelector(tooEarly, target, number);
        else if (number <= target + 256) used = target;
        else if (number <= second) refusal = abi.encodeWithSelector(tooEarly, second, number);
        else if (number <= second + 256) used = second;
        else refusal = abi.encodeWithSelector(IVerification.DrawExpired.selector, second + 256, number);
        if (used == 0) {
            vm.expectRevert(refusal);
            this.seedOf(target, claimId);
        } else {
            bytes32 hash = keccak256(abi.encode("hash of the target", claimId));
            vm.setBlockhash(used, hash);
            vm.assertEq(this.seedOf(target, claimId), keccak256(abi.encode(hash, claimId)));
        }
    }

    /// @notice The edges of those intervals, each.
    function test_seed_corpus_ofEveryEdge() public {
        uint16[12] memory offsets = [99, 100, 101, 102, 355, 356, 357, 358, 612, 613, 614, 615];
        for (uint256 i = 0; i < offsets.length; ++i) {
            testFuzz_seed_anyBlock_isThatOfTheFirstTargetWithinReach(1_000_000 * (i + 1), offsets[i], bytes32(i));
        }
    }

    function seedOf(uint256 target, bytes32 claimId) external view returns (bytes32) {
        return Draw.seed(target, claimId);
    }

    // --- inputs -----------------------------------------------------------------------------------------------

    /// @dev `each` for one verifier are distinct; all are, as long as there are enough.
    function _checkDistinct(uint32[] memory drawn, uint256 total, uint256 each, uint256 count) private pure {
        uint256 apart = each * count <= total ? each * count : each;
        for (uint256 i = 0; i < drawn.length; ++i) {
            vm.assertTrue(drawn[i] >= 1 && drawn[i] <= total, "in range");
            uint256 first = i - i % apart;
            for (uint256 j = first; j < i; ++j) {
                vm.assertTrue(drawn[j] != drawn[i], "distinct");
            }
        }
    }

    /// @dev As TermRules allows: count <= 16, count * each <= 64, each <= total.
    function _numbers(uint256 seed_) private pure returns (uint256 total, uint256 each, uint256 count) {
        total = 1 + derive(seed_, 2) % (derive(seed_, 3) % 2 == 0 ? 8 : 90);
        count = derive(seed_, 4) % 17;
        uint256 most = count == 0 ? 1 : 64 / count;
        each = 1 + derive(seed_, 5) % (most < total ? most : total);
    }

    function _weights(uint256 seed_) private pure returns (uint256[] memory weights, uint256 wanted) {
        weights = new uint256[](1 + derive(seed_, 2) % 20);
        for (uint256 i = 0; i < weights.length; ++i) {
            uint256 word = derive(seed_, 10 + i);
            weights[i] = word % 4 == 0 ? 0 : word % 4 == 1 ? 1 : (word >> 100) % 1e24;
        }
        wanted = derive(seed_, 3) % 17;
    }
}
