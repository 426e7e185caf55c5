// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Draw} from "../libraries/Draw.sol";
import {IRegistry} from "../interfaces/IRegistry.sol";
import {WeightTree} from "../libraries/WeightTree.sol";

/// @title Shows Draw and WeightTree to tests
contract DrawHarness {
    using WeightTree for WeightTree.Tree;

    WeightTree.Tree private _tree;

    function segments(uint256 total, uint256 perVerifier, uint256 verifierCount, bytes32 randomness)
        external
        pure
        returns (uint32[] memory)
    {
        return Draw.segments(total, perVerifier, verifierCount, randomness);
    }

    function verifiers(IRegistry registry, uint48 timepoint, uint256 wanted, bytes32 randomness)
        external
        view
        returns (address[] memory)
    {
        return Draw.verifiers(registry, timepoint, wanted, randomness);
    }

    /// @notice One set of `wanted` verifiers for each randomness.
    function verifiersOfMany(IRegistry registry, uint48 timepoint, uint256 wanted, bytes32[] calldata randomness)
        external
        view
        returns (address[][] memory drawn)
    {
        drawn = new address[][](randomness.length);
        for (uint256 i = 0; i < randomness.length; ++i) {
            drawn[i] = Draw.verifiers(registry, timepoint, wanted, randomness[i]);
        }
    }

    function set(uint256[] calldata slots, uint256[] calldata weights, uint48 timepoint) external {
        for (uint256 i = 0; i < slots.length; ++i) {
            _tree.set(slots[i], weights[i], timepoint);
        }
    }

    function totalAt(uint48 timepoint) external view returns (uint256) {
        return _tree.totalAt(timepoint);
    }

    function find(uint256[] calldata points, uint48 timepoint)
        external
        view
        returns (uint256[] memory slots, uint256[] memory starts, uint256[] memory weights)
    {
        slots = new uint256[](points.length);
        starts = new uint256[](points.length);
        weights = new uint256[](points.length);
        for (uint256 i = 0; i < points.length; ++i) {
            (slots[i], starts[i], weights[i]) = _tree.find(points[i], timepoint);
        }
    }
}
