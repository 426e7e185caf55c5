"""Merkle trees of RFC 9162 that are held in memory with all their levels."""

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from protocol.merkle import _hash
from protocol.merkle.hashing import DIGEST_BYTES, leaf_hash, node_hash
from protocol.merkle.shape import compute_height, consistency_ranges, inclusion_ranges, is_node

Hashes = NDArray[np.uint8]
"""Array of shape (n, 32): one hash a row."""


class MerkleTree:
    """A tree over leaf values, with proofs. Takes 64 bytes of memory per leaf.

    Args:
        leaves: the values: byte strings of any lengths, or an array of shape (n, bytes per leaf)
            and type uint8. At least one.
        threads: how many threads may hash; the result is the same.

    Raises:
        ValueError: no leaves.
    """

    def __init__(self, leaves: Sequence[bytes] | NDArray[np.uint8], *, threads: int = 1) -> None:
        self._build(_hash_leaves(leaves, threads), threads)

    @classmethod
    def from_leaf_hashes(cls, hashes: Hashes, *, threads: int = 1) -> Self:
        """Tree over leaves whose hashes, of shape (n, 32), are known already."""
        tree = cls.__new__(cls)
        tree._build(np.ascontiguousarray(hashes), threads)
        return tree

    def _build(self, hashes: Hashes, threads: int) -> None:
        if len(hashes) == 0:
            raise ValueError("a tree was asked for over 0 leaves: every tree has at least 1 leaf")
        self._levels: list[Hashes] = [hashes, *_hash.levels(hashes, threads)]

    @property
    def size(self) -> int:
        """Number of leaves."""
        return len(self._levels[0])

    @property
    def root(self) -> bytes:
        """Root hash, 32 bytes."""
        return self._node(len(self._levels) - 1, 0)

    def leaf_hash(self, index: int) -> bytes:
        """Hash of leaf `index`, 32 bytes."""
        self._check_index(index)
        return self._node(0, index)

    def subroot(self, low: int, size: int) -> bytes:
        """Hash of the node over the leaves low .. low+size-1.

        Raises:
            IndexError: no node of this tree covers exactly these leaves.
        """
        if not is_node(low, size, self.size):
            raise IndexError(
                f"leaves {low} .. {low + size - 1} of {self.size} are not under one node: "
                "take ranges from `frontier`"
            )
        height = compute_height(size)
        return self._node(height, low >> height)

    def inclusion_proof(self, index: int) -> list[bytes]:
        """Siblings of leaf `index`, from the leaf to the root, 32 bytes each."""
        self._check_index(index)
        return [self.subroot(*r) for r in inclusion_ranges(index, self.size)]

    def consistency_proof(self, old_size: int) -> list[bytes]:
        """Proof that the tree of the first `old_size` leaves is the beginning of this one."""
        self._check_old_size(old_size)
        return [self.subroot(*r) for r in consistency_ranges(old_size, self.size)]

    def root_at(self, old_size: int) -> bytes:
        """Root of the tree of the first `old_size` leaves."""
        self._check_old_size(old_size)
        # The old tree is a row of complete subtrees, each smaller than the one before it.
        root, rest = None, old_size
        while rest:
            height = (rest & -rest).bit_length() - 1
            rest -= 1 << height
            node = self._node(height, rest >> height)
            root = node if root is None else node_hash(node, root)
        assert root is not None
        return root

    def _node(self, height: int, index: int) -> bytes:
        return bytes(self._levels[height][index].data)

    def _check_index(self, index: int) -> None:
        if not 0 <= index < self.size:
            raise IndexError(f"leaf {index} of a tree of {self.size}: leaves count from 0")

    def _check_old_size(self, old_size: int) -> None:
        if not 1 <= old_size <= self.size:
            raise IndexError(
                f"the first {old_size} leaves of a tree of {self.size}: "
                f"give a size between 1 and {self.size}"
            )


def root_of_leaves(leaves: Sequence[bytes] | NDArray[np.uint8]) -> bytes:
    """Root of the tree over these leaf values."""
    return MerkleTree(leaves).root


def _hash_leaves(leaves: Sequence[bytes] | NDArray[np.uint8], threads: int) -> Hashes:
    """Leaf hashes of shape (n, 32)."""
    if isinstance(leaves, np.ndarray):
        if leaves.ndim != 2 or leaves.dtype != np.uint8 or leaves.shape[1] == 0:
            raise ValueError(
                f"leaves came as an array of shape {leaves.shape} and type {leaves.dtype}: "
                "give shape (leaves, bytes per leaf) and type uint8"
            )
        return _hash.leaf_hashes(np.ascontiguousarray(leaves), leaves.shape[1], threads)
    lengths = {len(leaf) for leaf in leaves}
    if len(lengths) == 1 and lengths != {0}:
        return _hash.leaf_hashes(b"".join(leaves), lengths.pop(), threads)
    hashes = b"".join(leaf_hash(leaf) for leaf in leaves)
    return np.frombuffer(hashes, dtype=np.uint8).reshape(-1, DIGEST_BYTES)
