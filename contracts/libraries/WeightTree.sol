// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Checkpoints} from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

/// @title A sum tree of weights with history
/// @notice Slots 0, 1, 2, ... have weights; each node of the tree sums four below it and keeps checkpoints of
/// its sum. Setting a weight writes one checkpoint for each level; finding the slot at a point of the cumulated
/// weights, now or in the past, reads at most three for each level. The tree grows a level when its slots are full.
/// @dev Loops are bounded by the depth: 4^depth >= number of slots ever used.
library WeightTree {
    using Checkpoints for Checkpoints.Trace208;

    uint256 private constant ARITY_BITS = 2;
    uint256 private constant ARITY = 4;

    struct Tree {
        // Level of the root, by time; leaves are level 0. The first root is level 1.
        Checkpoints.Trace208 depth;
        mapping(uint256 level => mapping(uint256 index => Checkpoints.Trace208)) sums;
    }

    /// @notice Sets the weight of a slot from `timepoint` on; timepoints must not decrease.
    function set(Tree storage tree, uint256 slot, uint256 weight, uint48 timepoint) internal {
        uint256 depth = _grow(tree, slot, timepoint);
        uint256 old = tree.sums[0][slot].latest();
        uint256 index = slot;
        for (uint256 level = 0; level <= depth; ++level) {
            Checkpoints.Trace208 storage sums = tree.sums[level][index];
            sums.push(timepoint, SafeCast.toUint208(sums.latest() - old + weight));
            index >>= ARITY_BITS;
        }
    }

    function total(Tree storage tree) internal view returns (uint256) {
        return tree.sums[tree.depth.latest()][0].latest();
    }

    function totalAt(Tree storage tree, uint48 timepoint) internal view returns (uint256) {
        return tree.sums[tree.depth.upperLookupRecent(timepoint)][0].upperLookupRecent(timepoint);
    }

    /// @notice The slot whose interval of the cumulated weights at `timepoint` holds `point`; needs point < totalAt.
    function find(Tree storage tree, uint256 point, uint48 timepoint)
        internal
        view
        returns (uint256 slot, uint256 start, uint256 weight)
    {
        uint256 level = tree.depth.upperLookupRecent(timepoint);
        weight = tree.sums[level][0].upperLookupRecent(timepoint);
        while (level > 0) {
            --level;
            slot <<= ARITY_BITS;
            uint256 rest = weight; // of the parent
            for (uint256 child = 0; child < ARITY; ++child) {
                // The last child has what the others leave: no need to read it.
                weight = child + 1 == ARITY ? rest : tree.sums[level][slot].upperLookupRecent(timepoint);
                if (point < start + weight) break;
                start += weight;
                rest -= weight;
                ++slot;
            }
        }
    }

    /// @dev Adds root levels until `slot` fits; a new root starts with the sum of the old one.
    function _grow(Tree storage tree, uint256 slot, uint48 timepoint) private returns (uint256 depth) {
        uint256 old = tree.depth.latest();
        depth = old == 0 ? 1 : old;
        while (slot >> (ARITY_BITS * depth) != 0) {
            uint208 sum = tree.sums[depth][0].latest();
            ++depth;
            tree.sums[depth][0].push(timepoint, sum);
        }
        if (depth != old) tree.depth.push(timepoint, uint208(depth));
    }
}
