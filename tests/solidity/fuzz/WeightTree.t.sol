// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {WeightTree} from "../../../contracts/libraries/WeightTree.sol";
import {Test} from "../support/Test.sol";

/// @title The weight tree against lists of all weights at all times
contract WeightTreeTest is Test {
    using WeightTree for WeightTree.Tree;

    uint256 private constant SLOTS = 70; // four levels: 4^3 = 64 < 70

    WeightTree.Tree private _tree;
    // The twin: for each change its time, slot and weight.
    uint48[] private _times;
    uint256[] private _slots;
    uint256[] private _weights;

    function testFuzz_tree_anyChanges_findsEveryPointOfEveryMoment(uint256 seed) public {
        _change(seed, 12);
        _compare(seed);
    }

    function testFuzz_set_timeGoesBack_isRefused(uint256 seed) public {
        uint48 time = uint48(1 + derive(seed, 0) % 1e6);
        uint256 slot = derive(seed, 1) % SLOTS;
        _tree.set(slot, 5, time);
        vm.expectRevert(abi.encodeWithSignature("CheckpointUnorderedInsertion()"));
        this.set(slot, 6, uint48(derive(seed, 2) % time));
        vm.assertEq(_tree.total(), 5);
    }

    /// @notice A sum that does not fit 208 bits is refused and leaves what was.
    function testFuzz_set_sumBeyond208Bits_isRefused(uint256 a, uint256 b) public {
        a = bound(a, 1, type(uint208).max);
        b = bound(b, type(uint208).max - a + 1, type(uint208).max);
        _tree.set(0, a, 1);
        vm.expectRevert(
            abi.encodeWithSignature("SafeCastOverflowedUintDowncast(uint8,uint256)", 208, a + b)
        );
        this.set(1, b, 2);
        vm.assertEq(_tree.total(), a);
    }

    /// @notice A fixed history that grows through all depths, with weights that go to zero and return.
    function test_tree_corpus_growsAndForgetsNothing() public {
        uint256 zeroed;
        for (uint256 i = 0; i < SLOTS; ++i) {
            _set(i, 1 + i % 7, uint48(10 + i / 2));
            if (i % 3 == 0) {
                _set(i / 2, 0, uint48(10 + i / 2));
                ++zeroed;
            }
        }
        _compare(1);
        vm.assertGe(zeroed, 20, "weights that went to zero");
        for (uint48 time = 9; time < 10 + SLOTS / 2; time += 5) {
            _compareAt(derive(7, time), time);
        }
    }

    function set(uint256 slot, uint256 weight, uint48 time) external {
        _tree.set(slot, weight, time);
    }

    function _change(uint256 seed, uint256 count) private {
        uint48 time = 1;
        for (uint256 i = 0; i < count; ++i) {
            // Several changes of one second; slots in any order, most of them low.
            if (derive(seed, i) % 3 != 0) time += uint48(derive(seed, i) % 5);
            uint256 slot = derive(seed, 100 + i) % (derive(seed, 200 + i) % 2 == 0 ? 5 : SLOTS);
            uint256 weight = derive(seed, 300 + i) % 4 == 0 ? 0 : derive(seed, 400 + i) % (i % 2 == 0 ? 10 : 1e30);
            _set(slot, weight, time);
        }
    }

    function _set(uint256 slot, uint256 weight, uint48 time) private {
        _tree.set(slot, weight, time);
        _times.push(time);
        _slots.push(slot);
        _weights.push(weight);
    }

    /// @dev Now, at the last change, and at any moment.
    function _compare(uint256 seed) private view {
        uint48 last = _times[_times.length - 1];
        _compareAt(derive(seed, 1), last);
        _compareAt(derive(seed, 2), last + 1);
        _compareAt(derive(seed, 3), uint48(derive(seed, 4) % (last + 1)));
        vm.assertEq(_tree.total(), _tree.totalAt(last), "the total now");
    }

    function _compareAt(uint256 seed, uint48 time) private view {
        uint256[] memory weights = _weightsAt(time);
        uint256 total = 0;
        for (uint256 slot = 0; slot < SLOTS; ++slot) {
            total += weights[slot];
        }
        vm.assertEq(_tree.totalAt(time), total, "total");
        uint256 start = 0;
        for (uint256 slot = 0; slot < SLOTS; ++slot) {
            if (weights[slot] == 0) continue;
            // Both ends of the interval and a point within.
            _finds(start, time, slot, start, weights[slot]);
            _finds(start + weights[slot] - 1, time, slot, start, weights[slot]);
            _finds(start + derive(seed, slot) % weights[slot], time, slot, start, weights[slot]);
            start += weights[slot];
        }
    }

    function _finds(uint256 point, uint48 time, uint256 slot, uint256 start, uint256 weight) private view {
        (uint256 gotSlot, uint256 gotStart, uint256 gotWeight) = _tree.find(point, time);
        vm.assertEq(gotSlot, slot, "slot");
        vm.assertEq(gotStart, start, "start");
        vm.assertEq(gotWeight, weight, "weight");
    }

    /// @dev The last change of a slot not after `time` counts.
    function _weightsAt(uint48 time) private view returns (uint256[] memory weights) {
        weights = new uint256[](SLOTS);
        for (uint256 i = 0; i < _times.length && _times[i] <= time; ++i) {
            weights[_slots[i]] = _weights[i];
        }
    }
}
