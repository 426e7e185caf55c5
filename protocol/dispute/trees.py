"""Trees over the leaves that a party holds, some of which may be hashes without a value.

An honest party holds every leaf. A party that committed to a hash out of thin air can still show
the hash and its siblings (a bisection reveals hashes only), but not open the leaf.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from protocol.dispute.execution import Opaque, Withheld
from protocol.merkle import CHUNK_BYTES, MerkleTree, TensorTree, leaf_hash, subroots


class PartialTensor(bytes):
    """Stored bytes of a tensor in which ``hidden`` names chunks of which only a hash exists."""

    hidden: dict[int, Opaque]

    def __new__(cls, stored: bytes, hidden: dict[int, Opaque]) -> PartialTensor:
        """The bytes, the chunks in ``hidden`` being any filler of the right length."""
        tensor = super().__new__(cls, stored)
        tensor.hidden = hidden
        return tensor


class Tree:
    """A Merkle tree with the values of its leaves, as far as the party has them."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self._leaves = leaves
        hashes = b"".join(_hash(leaf) for leaf in leaves)
        self._tree = MerkleTree.from_leaf_hashes(_rows(hashes))

    @property
    def size(self) -> int:
        """Number of leaves."""
        return len(self._leaves)

    @property
    def root(self) -> bytes:
        """Root hash, 32 bytes."""
        return self._tree.root

    def leaf(self, index: int) -> bytes:
        """Value of a leaf. Withheld if nobody has it."""
        leaf = self._leaves[index]
        if isinstance(leaf, Opaque):
            raise Withheld(f"leaf {index} of {self.size} is only a hash, 0x{leaf.hex()}")
        return leaf

    def proof(self, index: int) -> list[bytes]:
        """Siblings of a leaf, from the leaf to the root."""
        return self._tree.inclusion_proof(index)

    def reveal(self, low: int, size: int) -> list[bytes]:
        """Hashes of the children of the node over leaves low .. low+size-1."""
        return subroots(self._tree, low, size)


class ChunkTree(Tree):
    """The tree of a tensor; hashed natively, the chunks are cut when they are asked for."""

    def __init__(self, stored: bytes) -> None:
        self._stored = stored
        self._hidden = stored.hidden if isinstance(stored, PartialTensor) else {}
        self._tree = TensorTree(stored).tree
        if self._hidden:
            hashes = [self._tree.leaf_hash(i) for i in range(self._tree.size)]
            for chunk, opaque in self._hidden.items():
                hashes[chunk] = bytes(opaque)
            self._tree = MerkleTree.from_leaf_hashes(_rows(b"".join(hashes)))

    @property
    def stored(self) -> bytes:
        """Stored bytes of the whole tensor."""
        return self._stored

    @property
    def size(self) -> int:
        """Number of chunks."""
        return self._tree.size

    def leaf(self, index: int) -> bytes:
        """Bytes of a chunk. Withheld if nobody has it."""
        if index in self._hidden:
            raise Withheld(f"chunk {index} of {self.size} is only a hash")
        return bytes(self._stored[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES])


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Root of the tree over these leaves."""
    return Tree(leaves).root


def tensor_root_of(stored: bytes) -> bytes:
    """Root of the tensor with these stored bytes."""
    return ChunkTree(stored).root


def _hash(leaf: bytes) -> bytes:
    return bytes(leaf) if isinstance(leaf, Opaque) else leaf_hash(leaf)


def _rows(hashes: bytes) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    return np.frombuffer(hashes, dtype=np.uint8).reshape(-1, 32)
