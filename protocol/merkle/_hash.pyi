"""Types of the native module; its sources are in `native/`.

The environment variable PINPOINT_SHA forces an implementation of SHA-256: `portable` or `shani`.
All functions release the GIL while they hash; the buffers must not change meanwhile.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

# numpy declares the buffer protocol to type checkers only from Python 3.12 on.
Data: TypeAlias = NDArray[Any] | Buffer

def implementation() -> str:
    """Name of the SHA-256 implementation that the next call would use."""

def leaf_hashes(buffer: Data, leaf_size: int, threads: int = 1) -> NDArray[np.uint8]:
    """RFC 9162 leaf hashes of a buffer cut every `leaf_size` bytes, the last value being shorter.

    Returns:
        Array of shape (ceil(bytes / leaf_size), 32).
    """

def levels(leaf_hashes: NDArray[np.uint8], threads: int = 1) -> list[NDArray[np.uint8]]:
    """All levels above the (n, 32) leaf hashes, lowest first; the last one is the root alone.

    A node without a sibling moves up unchanged. One leaf gives the empty list.
    """

def tensor_roots(buffers: Sequence[Data], threads: int = 1) -> list[bytes]:
    """Root of each buffer's tree of 1,024-byte chunks; the threads share all buffers' work."""
