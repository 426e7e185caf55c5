"""Commitments to tensors: a tree over 1,024-byte chunks of the little-endian stored bytes.

The last chunk may be shorter. A tensor has at least one element, so its tree has at least one leaf;
a tensor of one chunk has that chunk's leaf hash as its root.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from protocol.merkle import _hash
from protocol.merkle.tree import MerkleTree

if TYPE_CHECKING:
    from typing_extensions import Buffer

Data: TypeAlias = "NDArray[Any] | Buffer"
"""A C-contiguous array of a little-endian type, or stored bytes."""

CHUNK_BYTES = 1024


def chunk_count(numel: int, width: int) -> int:
    """Chunks of a tensor of `numel` >= 1 elements of `width` bytes: leaves of its tree."""
    return -(-numel * width // CHUNK_BYTES)


def chunk_length(numel: int, width: int, chunk: int) -> int:
    """Bytes in chunk `chunk` of a tensor of `numel` elements of `width` bytes.

    Raises:
        IndexError: the tensor has no such chunk.
    """
    if not 0 <= chunk < chunk_count(numel, width):
        raise IndexError(
            f"chunk {chunk} of a tensor of {numel} elements of {width} bytes: "
            f"it has {chunk_count(numel, width)} chunks, counted from 0"
        )
    return min(CHUNK_BYTES, numel * width - chunk * CHUNK_BYTES)


def tensor_root(data: Data, *, threads: int = 1) -> bytes:
    """Root of one tensor, 32 bytes.

    Args:
        data: the tensor; of a torch tensor give `.numpy()`.
        threads: how many threads may hash; the result is the same.

    Raises:
        ValueError: no bytes, bytes not contiguous, or an element type that is not little-endian.
    """
    return tensor_roots([data], threads=threads)[0]


def tensor_roots(tensors: Sequence[Data], *, threads: int = 1) -> list[bytes]:
    """Roots of several tensors; the threads share the work of all. See `tensor_root`."""
    return _hash.tensor_roots([_stored(data) for data in tensors], threads)


class TensorTree:
    """The tree of one tensor, for openings.

    The bytes are not copied: they must not change while the tree is in use, or openings no longer
    match the root. Takes 64 bytes of memory per chunk.

    Args:
        data: as for `tensor_root`.
        threads: how many threads may hash.
    """

    def __init__(self, data: Data, *, threads: int = 1) -> None:
        self._bytes = _stored(data)
        hashes = _hash.leaf_hashes(self._bytes, CHUNK_BYTES, threads)
        self.tree = MerkleTree.from_leaf_hashes(hashes, threads=threads)

    @property
    def size(self) -> int:
        """Number of chunks."""
        return self.tree.size

    @property
    def root(self) -> bytes:
        """Root hash, 32 bytes."""
        return self.tree.root

    def chunk(self, index: int) -> bytes:
        """Stored bytes of chunk `index`: 1,024 of them, or fewer in the last chunk."""
        if not 0 <= index < self.size:
            raise IndexError(f"chunk {index} of a tensor of {self.size}: chunks count from 0")
        return bytes(self._bytes[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES])

    def inclusion_proof(self, index: int) -> list[bytes]:
        """Siblings of chunk `index`, from the leaf to the root."""
        return self.tree.inclusion_proof(index)

    def subroot(self, low: int, size: int) -> bytes:
        """Hash of the node over the chunks low .. low+size-1."""
        return self.tree.subroot(low, size)


def _stored(data: Data) -> memoryview:
    """The stored bytes behind `data`, without a copy."""
    if not isinstance(data, np.ndarray):
        return memoryview(data).cast("B")
    little = data.dtype.newbyteorder("<")
    if data.dtype != little:
        raise ValueError(
            f"tensor of type {data.dtype.str}, but commitments are to little-endian bytes: "
            f"convert it with astype('{little.str}')"
        )
    if not data.flags.c_contiguous:
        raise ValueError(
            f"tensor of shape {data.shape} has strides {data.strides}, but commitments are to "
            "row-major bytes: pass numpy.ascontiguousarray(tensor)"
        )
    return data.reshape(-1).view(np.uint8).data
