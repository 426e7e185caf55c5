"""Memory on page boundaries: no vector straddles a cache line, and pages may be huge."""

from __future__ import annotations

import mmap
from typing import Final

import numpy as np
from numpy.typing import NDArray

HUGE: Final = 4 << 20  # bytes from which asking for huge pages pays


def page_memory(nbytes: int) -> NDArray[np.uint8]:
    """Zeroed memory of ``nbytes`` bytes (at least one) on a page boundary."""
    memory = mmap.mmap(-1, max(1, nbytes))
    if nbytes >= HUGE and hasattr(mmap, "MADV_HUGEPAGE"):
        memory.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(memory, np.uint8)
