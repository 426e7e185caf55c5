// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IRegistry} from "../interfaces/IRegistry.sol";
import {IVerification} from "../interfaces/IVerification.sol";

/// @title Drawing verifiers and their segments
/// @notice The target block is fixed at submission. Its hash can be read for 256 blocks; if nobody drew by
/// then, the one further target is 257 blocks later: nobody knows its hash while the first one is still
/// usable, so waiting helps nobody (P16). Whoever builds blocks (on a rollup: the sequencer) can bias a hash by
/// withholding a block.
/// @dev Loops are bounded by verifiers <= 16 and verifiers * perVerifier <= 64.
library Draw {
    uint256 internal constant RETARGET_BLOCKS = 257;

    /// @notice The claim's randomness: hash of its target block, or of the second target once the first is lost.
    function seed(uint256 target, bytes32 claimId) internal view returns (bytes32) {
        // The opcode itself says whether a hash is within reach: zero if not.
        if (block.number > target && blockhash(target) == 0) {
            target += RETARGET_BLOCKS;
            if (block.number > target && blockhash(target) == 0) {
                revert IVerification.DrawExpired(target + RETARGET_BLOCKS - 1, block.number);
            }
        }
        if (block.number <= target) revert IVerification.DrawTooEarly(target, block.number);
        return keccak256(abi.encode(blockhash(target), claimId));
    }

    /// @notice Up to `wanted` distinct verifiers, weighted by stake, without replacement; fewer only if fewer
    /// had weight at `timepoint`.
    /// @dev Each draw picks a point of the weight not yet drawn, then steps over the drawn intervals (kept
    /// sorted): exact, and no draw is ever repeated.
    function verifiers(IRegistry registry, uint48 timepoint, uint256 wanted, bytes32 randomness)
        internal
        view
        returns (address[] memory drawn)
    {
        drawn = new address[](wanted);
        uint256[] memory starts = new uint256[](wanted);
        uint256[] memory weights = new uint256[](wanted);
        uint256 left = registry.totalWeightAt(timepoint);
        uint256 count = 0;
        while (count < wanted && left != 0) {
            uint256 point = uint256(keccak256(abi.encode(randomness, "verifier", count))) % left;
            uint256 place = 0;
            while (place < count && starts[place] <= point) {
                point += weights[place];
                ++place;
            }
            uint256 start;
            uint256 weight;
            (drawn[count], start, weight) = registry.find(point, timepoint);
            for (uint256 i = count; i > place; --i) {
                starts[i] = starts[i - 1];
                weights[i] = weights[i - 1];
            }
            (starts[place], weights[place]) = (start, weight);
            left -= weight;
            ++count;
        }
        // Shortening an array in memory is only a smaller length word.
        assembly ("memory-safe") {
            mstore(drawn, count)
        }
    }

    /// @notice `perVerifier` distinct segments (1..total) for each verifier in order; distinct over all
    /// verifiers if there are enough, otherwise every segment is drawn before one is drawn again.
    /// @dev A Fisher-Yates shuffle that remembers only the places it has written.
    function segments(uint256 total, uint256 perVerifier, uint256 verifierCount, bytes32 randomness)
        internal
        pure
        returns (uint32[] memory drawn)
    {
        uint256 places = perVerifier * verifierCount;
        uint256 distinct = places < total ? places : total;
        drawn = new uint32[](places);
        uint256[] memory written = new uint256[](distinct);
        uint256[] memory values = new uint256[](distinct);
        for (uint256 i = 0; i < distinct; ++i) {
            uint256 pick = i + uint256(keccak256(abi.encode(randomness, "segment", i))) % (total - i);
            // Segment numbers are at most 2^32 - 1 (TermRules).
            drawn[i] = uint32(_valueAt(written, values, i, pick) + 1);
            (written[i], values[i]) = (pick, _valueAt(written, values, i, i));
        }
        // perVerifier <= total: the places of one verifier, modulo `total`, are distinct.
        for (uint256 i = distinct; i < places; ++i) {
            drawn[i] = drawn[i - distinct];
        }
    }

    /// @dev The shuffled value at `place`: what was written there last, or its own number.
    function _valueAt(uint256[] memory written, uint256[] memory values, uint256 count, uint256 place)
        private
        pure
        returns (uint256)
    {
        for (uint256 i = count; i > 0; --i) {
            if (written[i - 1] == place) return values[i - 1];
        }
        return place;
    }
}
