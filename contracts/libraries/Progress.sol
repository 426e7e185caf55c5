// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Merkle} from "./Merkle.sol";

/// @title A solver's checkpoint log: what was reported of it, and what a submission has to prove
/// @dev Sizes come from the task; the errors are those of Merkle.
library Progress {
    struct Log {
        uint64 size; // leaves reported; 0 = nothing yet
        bytes32 root;
    }

    /// @notice Accepts a log that extends the one reported before. Without a report the proof is empty.
    function extend(Log storage log, uint64 size, bytes32 root, bytes32[] calldata proof) internal {
        if (log.size != 0) {
            Merkle.verifyConsistency(log.size, log.root, size, root, proof);
        } else if (proof.length != 0) {
            revert Merkle.WrongProofLength(0, proof.length);
        }
        log.size = size;
        log.root = root;
    }

    /// @notice Requires a state root at its place in the log.
    function requireLeaf(bytes32 root, bytes32 leaf, uint64 index, uint64 size, bytes32[] calldata proof)
        internal
        view
    {
        Merkle.verifyInclusion(root, Merkle.leafHash(leaf), index, size, proof);
    }
}
