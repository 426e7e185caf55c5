"""Types of the native module; its sources are in `native/`.

Implementations of SHA-256, which all give the same bits:

    avx512    16 messages in the lanes of AVX-512 registers (x86-64)
    shani     the SHA extensions, up to 4 messages interleaved (x86-64)
    avx2      8 messages in the lanes of AVX2 registers (x86-64)
    armv8     the SHA-2 instructions, up to 4 messages interleaved (64-bit Arm)
    portable  plain C++

The argument `sha256` names one; else the environment variable PINPOINT_SHA256 does; else it is the
fastest, which a measurement of some ten microseconds decides once in a process. A name that this
machine does not have raises ImplementationError.

All functions release the GIL while they hash; the buffers must not change meanwhile. Threads are
kept from call to call, and a call that comes while another one has them hashes alone.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

# numpy declares the buffer protocol to type checkers only from Python 3.12 on.
Data: TypeAlias = NDArray[Any] | Buffer

class ImplementationError(ValueError):
    """An implementation was named that this machine does not have; the message lists those."""

def implementations() -> list[str]:
    """Names of the implementations that this machine has; the last one is `portable`."""

def implementation() -> str:
    """Name of the implementation that a call without `sha256` uses now."""

def leaf_hashes(
    buffer: Data, leaf_size: int, threads: int = 1, sha256: str | None = None
) -> NDArray[np.uint8]:
    """RFC 9162 leaf hashes of a buffer cut every `leaf_size` bytes, the last value being shorter.

    Returns:
        Array of shape (ceil(bytes / leaf_size), 32).
    """

def levels(
    leaf_hashes: NDArray[np.uint8], threads: int = 1, sha256: str | None = None
) -> list[NDArray[np.uint8]]:
    """All levels above the (n, 32) leaf hashes, lowest first; the last one is the root alone.

    A node without a sibling moves up unchanged. One leaf gives the empty list.
    """

def tensor_roots(
    buffers: Sequence[Data], threads: int = 1, sha256: str | None = None
) -> list[bytes]:
    """Root of each buffer's tree of 1,024-byte chunks; the threads share all buffers' work."""
