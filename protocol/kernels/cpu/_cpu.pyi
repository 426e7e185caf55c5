"""Types of the native module; its sources are beside this file.

Node bytes are parsed strictly: whatever they are, memory outside the arrays is never touched.
ValueError for malformed bytes, arrays that do not fit the node, or an unknown instruction set.
"""

from collections.abc import Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

class Work:
    """Machine code and how its units may be cut into jobs.

    The code is ``void f(void* const* buffers, void* scratch, int64_t begin, int64_t end)``. It is
    called for ranges of units that begin at a multiple of ``granule``; ``grain`` units are worth a
    thread's while. Whoever makes it vouches for the address and keeps the code alive.
    """

    def __init__(
        self, address: int, units: int, grain: int, granule: int, scratch_bytes: int
    ) -> None: ...

class Kernel:
    """A node made ready to run."""

    @overload
    def __init__(
        self, node: bytes, isa: str = "", grain: int = 32768, most_table_bytes: int = ...
    ) -> None:
        """Below ``grain`` instructions and loads one thread is used.

        A specialised kernel that would keep more than ``most_table_bytes`` is not used.
        """

    @overload
    def __init__(self, node: bytes, work: Work) -> None:
        """By machine code for this very node: its buffers are the operands, then the output."""

    @property
    def name(self) -> str:
        """The way of computing that was chosen: matmul, guarded, terms, outputs, switched, code."""

    @property
    def table_bytes(self) -> int:
        """Memory that it keeps beside the descriptor, about."""

    def run(self, operands: Sequence[NDArray[Any]], out: NDArray[Any], threads: int) -> None:
        """Compute the node into ``out``, which must not overlap an operand. Releases the GIL."""

class Schedule:
    """Kernels over numbered buffers, run by one call, in order.

    Arrays are checked when they are bound; the caller keeps them, and the machine code, alive.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        """``sizes``: bytes of each buffer."""

    def add_code(self, work: Work, buffers: Sequence[int]) -> None:
        """Add machine code that works on these buffers."""

    def add_kernel(self, kernel: Kernel, operands: Sequence[int], out: int) -> None:
        """Add a prepared node."""

    def add_barrier(self) -> None:
        """What is added from here on may depend on what was added before."""

    def bind(self, buffer: int, array: NDArray[Any]) -> None:
        """Say where a buffer is, for all runs until it is said again."""

    def run(self, threads: int) -> None:
        """Run everything. Releases the GIL."""

def fold(
    node: bytes,
    operands: Sequence[NDArray[Any]],
    element: int,
    rows: NDArray[np.uint32],
    isa: str = "",
) -> None:
    """Write accumulator and words of every term of one output element. Releases the GIL."""

def build_flags() -> str:
    """Compiler flags of the build, separated by spaces."""

def instruction_sets() -> list[str]:
    """Names of the instruction sets that this machine has, best first; the last is the baseline."""
