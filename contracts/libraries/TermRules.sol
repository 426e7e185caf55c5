// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Constants, IMarket, Terms} from "../interfaces/IMarket.sol";

/// @title Bounds of a task's terms and of a deployment's constants, and the sizes that follow from the terms
/// @dev Fields are named by their position in the struct.
library TermRules {
    uint256 internal constant MAX_VERIFIERS = 16;
    uint256 internal constant MAX_DRAWN_SEGMENTS = 64;
    uint256 internal constant MAX_TREE = 65_536;
    uint256 private constant WAD = 1e18;

    /// @notice M = ceil(T / C); the checkpoint log has M + 1 leaves.
    function segmentCount(uint64 steps, uint64 interval) internal pure returns (uint64) {
        return (steps - 1) / interval + 1;
    }

    function check(Terms calldata t, uint64 maxSeconds, uint64 maxWindowSeconds) internal pure {
        _bound(0, 1, type(uint256).max, uint256(t.programRoot));
        if (t.dataCount != 0) _bound(1, 1, type(uint256).max, uint256(t.dataRoot));
        _bound(2, 1, type(uint256).max, uint256(t.initialStateRoot));
        _bound(3, 1, type(uint256).max, uint256(t.manifestRoot));
        _bound(4, 1, type(uint64).max, t.steps);
        // At most 2^32 - 1 segments, so that a segment number fits 32 bits.
        _bound(5, (t.steps - 1) / type(uint32).max + 1, type(uint64).max, t.interval);
        _bound(6, 1, MAX_TREE, t.nodeCount);
        _bound(7, 1, MAX_TREE, t.stateCount);
        _bound(8, 0, MAX_TREE, t.dataCount);
        _bound(9, 1, type(uint128).max, t.maxReward);
        _bound(12, 0, MAX_VERIFIERS, t.verifiers);
        if (t.verifiers == 0) {
            _bound(13, 0, 0, t.segmentsPerVerifier);
        } else {
            uint256 most = MAX_DRAWN_SEGMENTS / t.verifiers;
            uint256 total = segmentCount(t.steps, t.interval);
            _bound(13, 1, most < total ? most : total, t.segmentsPerVerifier);
        }
        _bound(14, 1, maxSeconds, t.bidSeconds);
        _bound(15, 1, maxSeconds, t.revealSeconds);
        _bound(16, 1, maxSeconds, t.runSeconds);
        _bound(17, 1, maxWindowSeconds, t.windowSeconds);
        _bound(18, 1, maxSeconds, t.segmentSeconds);
        _bound(19, 1, maxSeconds, t.traceSeconds);
    }

    function check(Constants memory c) internal pure {
        _boundConstant(0, 1, 365 days, c.openRevealSeconds);
        _boundConstant(1, 1, 365 days, c.reopenSeconds);
        _boundConstant(2, 1, 365 days, c.maxSeconds);
        _boundConstant(3, 1, c.maxSeconds, c.maxWindowSeconds);
        // The submission's own block has no hash yet, and the next may be in the making (P16).
        _boundConstant(4, 2, 256, c.drawDelayBlocks);
        _boundConstant(5, 0, WAD, c.honestWad);
        _boundConstant(6, 0, WAD, c.openCheckWad);
        // At least half of a slashed stake is burned (P13).
        _boundConstant(7, 1, WAD / 2, c.challengerWad);
        _boundConstant(8, 0, WAD / 2 - c.challengerWad, c.requesterWad);
        _boundConstant(9, 1, WAD, c.depositWad);
        _boundConstant(10, WAD / 10, WAD, c.noShowWad);
        _boundConstant(11, 0, 10 * WAD, c.hashingWad);
        _boundConstant(12, 0, 10 * WAD, c.traceWad);
        _boundConstant(13, 0, WAD / 2, c.clockMissWad);
    }

    function _bound(uint8 field, uint256 minimum, uint256 maximum, uint256 value) private pure {
        if (value < minimum || value > maximum) revert IMarket.TermOutOfBounds(field, minimum, maximum, value);
    }

    function _boundConstant(uint8 field, uint256 minimum, uint256 maximum, uint256 value) private pure {
        if (value < minimum || value > maximum) revert IMarket.ConstantOutOfBounds(field, minimum, maximum, value);
    }
}
