// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title The plain twin of the Merkle library's assembly: built-in hashing, and the verifier of
/// RFC 9162 word by word.
library MerklePlain {
    function leafHash(bytes memory value) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(bytes1(0x00), value));
    }

    function nodeHash(bytes32 left, bytes32 right) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(bytes1(0x01), left, right));
    }

    /// @notice Section 2.1.3.2. Returns zero where that algorithm fails.
    function rootFromInclusion(
        bytes32 leaf,
        uint256 index,
        uint256 size,
        bytes32[] memory proof
    ) internal pure returns (bytes32) {
        if (index >= size) return 0;
        uint256 fn = index;
        uint256 sn = size - 1;
        bytes32 node = leaf;
        for (uint256 i; i < proof.length; ++i) {
            if (sn == 0) return 0;
            if (fn & 1 == 1 || fn == sn) {
                node = nodeHash(proof[i], node);
                while (fn & 1 == 0 && fn != 0) {
                    fn >>= 1;
                    sn >>= 1;
                }
            } else {
                node = nodeHash(node, proof[i]);
            }
            fn >>= 1;
            sn >>= 1;
        }
        return sn == 0 ? node : bytes32(0);
    }
}
