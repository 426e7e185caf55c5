"""Types of the native module; its sources are beside this file.

Node bytes are parsed strictly: whatever they are, memory outside the arrays is never touched.
ValueError for malformed bytes, arrays that do not fit the node, or an unknown instruction set.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

def run(
    node: bytes,
    operands: Sequence[NDArray[Any]],
    out: NDArray[Any],
    threads: int,
    isa: str = "",
    grain: int = 32768,
) -> None:
    """Compute the node into ``out``, which must not overlap an operand. Releases the GIL.

    ``grain`` is the number of instructions and loads below which one thread is used.
    """

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
