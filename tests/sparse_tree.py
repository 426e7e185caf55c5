"""Merkle trees of any size with a few known leaves; all other subtrees are random hashes."""

from __future__ import annotations

import random

from protocol.merkle.hashing import leaf_hash, node_hash
from protocol.merkle.shape import inclusion_ranges


class SparseTree:
    """The RFC 9162 tree of ``size`` leaves with the given values; roots and proofs in O(log size).

    Args:
        size: Number of leaves.
        leaves: Values of the known leaves by index.
        rng: Where the other hashes come from; they have no zero bytes, the dearest calldata.
    """

    def __init__(self, size: int, leaves: dict[int, bytes], rng: random.Random) -> None:
        self.size = size
        self._leaves = leaves
        self._rng = rng
        self._hashes: dict[tuple[int, int], bytes] = {}

    @property
    def root(self) -> bytes:
        """The root, 32 bytes."""
        return self._hash(0, self.size)

    def leaf(self, index: int) -> bytes:
        """The value of a known leaf."""
        return self._leaves[index]

    def proof(self, index: int) -> list[bytes]:
        """The siblings of a known leaf, from the leaf to the root."""
        return [self._hash(low, size) for low, size in inclusion_ranges(index, self.size)]

    def _hash(self, low: int, size: int) -> bytes:
        if (low, size) not in self._hashes:
            self._hashes[low, size] = self._compute(low, size)
        return self._hashes[low, size]

    def _compute(self, low: int, size: int) -> bytes:
        if not any(low <= index < low + size for index in self._leaves):
            return bytes(self._rng.randrange(1, 256) for _ in range(32))
        if size == 1:
            return leaf_hash(self._leaves[low])
        left = 1 << ((size - 1).bit_length() - 1)
        return node_hash(self._hash(low, left), self._hash(low + left, size - left))
