// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title RFC 9162 Merkle trees with SHA-256
/// @notice A leaf is SHA-256(0x00 || value), a node SHA-256(0x01 || left || right); a tree of n > 1
/// leaves splits at the largest power of two below n. Sizes and indices must come from the task,
/// never from the party that proves: a root does not bind its size. `protocol/merkle` is the twin
/// of this library and refuses for the same reasons.
/// @dev Assembly only where the built-in `sha256(abi.encodePacked(..))` would allocate and copy for
/// each of the hundreds of nodes that one judgement hashes; `contracts/harness/MerklePlain.sol` is
/// the plain twin. Success of every call of the precompile is checked, and the size of its result,
/// so that lack of gas cannot pass for a hash.
library Merkle {
    error IndexOutOfRange(uint64 index, uint64 size);
    error WrongProofLength(uint256 expected, uint256 got);
    error RootMismatch(bytes32 expected, bytes32 got);
    error EmptyTree(uint64 size1, uint64 size2);
    error SizesReversed(uint64 size1, uint64 size2);
    error OldRootMismatch(bytes32 expected, bytes32 got);
    error NewRootMismatch(bytes32 expected, bytes32 got);
    error SingleLeaf(uint64 size);
    error WrongChildCount(uint256 expected, uint256 got);
    error ChildOutOfRange(uint64 child, uint64 count);
    /// @notice The SHA-256 precompile ran out of gas or does not exist on this chain.
    error Sha256Failed();

    /// @notice Levels that one round of bisection takes: a node has at most 2^5 = 32 children.
    uint256 internal constant FANOUT_LEVELS = 5;

    // ------------------------------------------------------------------ hashes

    /// @notice Hash of a leaf whose value has 32 bytes: a root of a lower tree.
    function leafHash(bytes32 value) internal view returns (bytes32 hash) {
        bool ok;
        assembly ("memory-safe") {
            mstore(0x00, 0)
            mstore(0x20, value)
            ok := staticcall(gas(), 2, 0x1f, 33, 0x00, 32)
            ok := and(ok, eq(returndatasize(), 32))
            hash := mload(0x00)
        }
        if (!ok) revert Sha256Failed();
    }

    /// @notice Hash of a leaf of any length, its value in calldata.
    function leafHashCalldata(bytes calldata value) internal view returns (bytes32 hash) {
        bool ok;
        assembly ("memory-safe") {
            let buffer := mload(0x40)
            mstore8(buffer, 0)
            calldatacopy(add(buffer, 1), value.offset, value.length)
            ok := staticcall(gas(), 2, buffer, add(value.length, 1), 0x00, 32)
            ok := and(ok, eq(returndatasize(), 32))
            hash := mload(0x00)
        }
        if (!ok) revert Sha256Failed();
    }

    /// @notice Hash of a leaf of any length, its value in memory.
    function leafHashMemory(bytes memory value) internal view returns (bytes32 hash) {
        bool ok;
        assembly ("memory-safe") {
            // The prefix takes the place of the last byte of the length, which is put back.
            let length := mload(value)
            mstore(value, 0)
            ok := staticcall(gas(), 2, add(value, 31), add(length, 1), 0x00, 32)
            ok := and(ok, eq(returndatasize(), 32))
            mstore(value, length)
            hash := mload(0x00)
        }
        if (!ok) revert Sha256Failed();
    }

    /// @notice Hash of an inner node.
    function nodeHash(bytes32 left, bytes32 right) internal view returns (bytes32 hash) {
        bool ok;
        assembly ("memory-safe") {
            let buffer := mload(0x40)
            mstore8(buffer, 1)
            mstore(add(buffer, 1), left)
            mstore(add(buffer, 33), right)
            ok := staticcall(gas(), 2, buffer, 65, 0x00, 32)
            ok := and(ok, eq(returndatasize(), 32))
            hash := mload(0x00)
        }
        if (!ok) revert Sha256Failed();
    }

    // ------------------------------------------------------------------ inclusion

    /// @notice Number of nodes in the inclusion proof of leaf `index`.
    function pathLength(uint64 index, uint64 size) internal pure returns (uint256) {
        if (index >= size) revert IndexOutOfRange(index, size);
        uint256 inner = _innerLength(index, size);
        return inner + _popCount(uint256(index) >> inner);
    }

    /// @notice The root that a tree of `size` leaves has if leaf `index` has the hash `leaf`.
    /// @param proof The siblings from the leaf to the root: exactly as many as the path has.
    function rootFromInclusion(
        bytes32 leaf,
        uint64 index,
        uint64 size,
        bytes32[] calldata proof
    ) internal view returns (bytes32) {
        if (index >= size) revert IndexOutOfRange(index, size);
        uint256 inner = _innerLength(index, size);
        _checkLength(inner + _popCount(uint256(index) >> inner), proof.length);
        return _chain(leaf, proof, index, inner);
    }

    /// @notice Reverts unless leaf `index` of the tree with this root and size has the hash `leaf`.
    function verifyInclusion(
        bytes32 root,
        bytes32 leaf,
        uint64 index,
        uint64 size,
        bytes32[] calldata proof
    ) internal view {
        bytes32 got = rootFromInclusion(leaf, index, size, proof);
        if (got != root) revert RootMismatch(root, got);
    }

    // ------------------------------------------------------------------ consistency

    /// @notice Reverts unless the tree (size1, root1) is the beginning of the tree (size2, root2).
    /// @dev Equal sizes need equal roots and an empty proof. Nothing can be proven about an empty
    /// tree.
    function verifyConsistency(
        uint64 size1,
        bytes32 root1,
        uint64 size2,
        bytes32 root2,
        bytes32[] calldata proof
    ) internal view {
        if (size1 == 0) revert EmptyTree(size1, size2);
        if (size1 > size2) revert SizesReversed(size1, size2);
        if (size1 == size2) {
            _checkLength(0, proof.length);
            if (root1 != root2) revert NewRootMismatch(root1, root2);
            return;
        }
        // Up to level `shift` the last leaf of the old tree is a right child: the proof starts with
        // the complete subtree above, unless that is the whole old tree. From there on it goes up
        // as an inclusion proof does.
        uint256 shift = _bitLength(size1 & (~size1 + 1)) - 1;
        uint256 index = uint256(size1 - 1) >> shift;
        uint256 inner = _bitLength(index ^ (uint256(size2 - 1) >> shift));
        uint256 first = uint256(size1) == 1 << shift ? 0 : 1;
        _checkLength(first + inner + _popCount(index >> inner), proof.length);

        bytes32 seed = first == 0 ? root1 : proof[0];
        bytes32[] calldata rest = proof[first:];
        bytes32 got = _chainLeft(seed, rest, index, inner);
        if (got != root1) revert OldRootMismatch(root1, got);
        got = _chain(seed, rest, index, inner);
        if (got != root2) revert NewRootMismatch(root2, got);
    }

    // ------------------------------------------------------------------ bisection

    /// @notice Number of children of a node over `size` >= 2 leaves, 2 to 32: a function of the
    /// size only.
    /// @dev The leaves are cut into runs of one width, a power of two; each run is a node of the
    /// tree. A single leaf has no children: it is opened, not bisected, since a bisection must
    /// shrink the range.
    function childCount(uint64 size) internal pure returns (uint64) {
        return _ceilDiv(size, _childWidth(size));
    }

    /// @notice Leaves under child `child` of the node over the leaves lo .. lo+size-1.
    function childRange(
        uint64 lo,
        uint64 size,
        uint64 child
    ) internal pure returns (uint64 childLo, uint64 childSize) {
        uint64 width = _childWidth(size);
        uint64 count = _ceilDiv(size, width);
        if (child >= count) revert ChildOutOfRange(child, count);
        uint64 before = child * width;
        childLo = lo + before;
        childSize = size - before < width ? size - before : width;
    }

    /// @notice The node over `size` leaves whose children, all of them, have these hashes.
    function recombine(
        uint64 size,
        bytes32[] calldata children
    ) internal view returns (bytes32 node) {
        uint256 count = childCount(size);
        if (children.length != count) revert WrongChildCount(count, children.length);
        bool ok = true;
        assembly ("memory-safe") {
            // One free word first: its last byte takes the prefix of the first pair. Every other
            // prefix overwrites a node that is hashed already; a level is written over the one
            // below it.
            let base := add(mload(0x40), 32)
            calldatacopy(base, children.offset, shl(5, count))
            for {

            } gt(count, 1) {

            } {
                let pairs := shr(1, count)
                let end := add(base, shl(6, pairs))
                let to := base
                let from := base
                for {

                } lt(from, end) {
                    from := add(from, 64)
                } {
                    let prefix := sub(from, 1)
                    mstore8(prefix, 1)
                    ok := and(ok, staticcall(gas(), 2, prefix, 65, to, 32))
                    to := add(to, 32)
                }
                // A node without a sibling moves up unchanged.
                if and(count, 1) {
                    mstore(to, mload(from))
                }
                count := sub(count, pairs)
            }
            // There is at least one pair, and a chain has the precompile or not.
            ok := and(ok, eq(returndatasize(), 32))
            node := mload(base)
        }
        if (!ok) revert Sha256Failed();
    }

    // ------------------------------------------------------------------ private

    function _checkLength(uint256 expected, uint256 got) private pure {
        if (got != expected) revert WrongProofLength(expected, got);
    }

    /// @dev Levels below the one where the paths of `index` and of the last leaf meet: each has a
    /// sibling. Above it, a level has a sibling only where the path is a right child.
    function _innerLength(uint64 index, uint64 size) private pure returns (uint256) {
        return _bitLength(uint256(index) ^ (uint256(size) - 1));
    }

    /// @dev Hashes from a node up: `inner` levels as the bits of `index` say, then only left
    /// siblings.
    function _chain(
        bytes32 node,
        bytes32[] calldata proof,
        uint256 index,
        uint256 inner
    ) private view returns (bytes32 root) {
        bool ok = true;
        assembly ("memory-safe") {
            // The two children lie behind the prefix byte, the left one at a multiple of 64, so
            // that bit 5 of an address tells left from right. Bit 5 of `path` says on which side
            // the node stands at this level.
            let left := and(add(mload(0x40), 64), not(63))
            let prefix := sub(left, 1)
            mstore8(prefix, 1)
            let path := shl(5, or(index, shl(inner, not(0))))
            let slot := or(left, and(path, 32))
            mstore(slot, node)
            let end := add(proof.offset, shl(5, proof.length))
            for {
                let at := proof.offset
            } lt(at, end) {
                at := add(at, 32)
            } {
                mstore(xor(slot, 32), calldataload(at))
                path := shr(1, path)
                slot := or(left, and(path, 32))
                // The hash goes to where the next level wants it.
                ok := and(ok, staticcall(gas(), 2, prefix, 65, slot, 32))
            }
            // A chain has the precompile or not: the size of the last result speaks for all.
            if proof.length {
                ok := and(ok, eq(returndatasize(), 32))
            }
            root := mload(slot)
        }
        if (!ok) revert Sha256Failed();
    }

    /// @dev The same way up in the tree that ends with `node`: right siblings do not exist there.
    function _chainLeft(
        bytes32 node,
        bytes32[] calldata proof,
        uint256 index,
        uint256 inner
    ) private view returns (bytes32) {
        for (uint256 i; i < proof.length; ++i) {
            if (i >= inner || (index >> i) & 1 == 1) node = nodeHash(proof[i], node);
        }
        return node;
    }

    function _childWidth(uint64 size) private pure returns (uint64) {
        if (size < 2) revert SingleLeaf(size);
        uint256 height = _bitLength(uint256(size) - 1);
        // At most 2^59: fits.
        return height > FANOUT_LEVELS ? uint64(1 << (height - FANOUT_LEVELS)) : 1;
    }

    function _ceilDiv(uint64 a, uint64 b) private pure returns (uint64) {
        return (a - 1) / b + 1;
    }

    /// @dev Position of the highest bit of a 64-bit number, counted from 1; 0 for 0.
    function _bitLength(uint256 x) private pure returns (uint256 n) {
        // Cannot overflow: n is at most 64.
        unchecked {
            if (x >> 32 != 0) (x, n) = (x >> 32, 32);
            if (x >> 16 != 0) (x, n) = (x >> 16, n + 16);
            if (x >> 8 != 0) (x, n) = (x >> 8, n + 8);
            if (x >> 4 != 0) (x, n) = (x >> 4, n + 4);
            if (x >> 2 != 0) (x, n) = (x >> 2, n + 2);
            if (x >> 1 != 0) (x, n) = (x >> 1, n + 1);
            n += x;
        }
    }

    /// @dev Number of ones in a 64-bit number, by adding neighbouring fields.
    function _popCount(uint256 x) private pure returns (uint256) {
        // Cannot overflow: no field exceeds 64, and the first subtrahend is at most x.
        unchecked {
            x -= (x >> 1) & 0x5555555555555555;
            x = (x & 0x3333333333333333) + ((x >> 2) & 0x3333333333333333);
            x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0f;
            return ((x * 0x0101010101010101) >> 56) & 0xff;
        }
    }
}
