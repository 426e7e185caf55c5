"""Everything that computes a node and has to agree with the reference, by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol.kernels import Executor, instruction_sets
from protocol.kernels.compiled import FLAT_GRANULE, ROW_GRANULE
from protocol.kernels.cpu import _cpu
from protocol.kernels.jit.compile import compile_region
from protocol.kernels.region import single
from protocol.program.canonical import encode_node
from protocol.program.node import Node

Tensors = Sequence[NDArray[Any]]
Run = Callable[[Node, Tensors], NDArray[Any]]

THREADS = (1, 2, 3)


def executors() -> dict[str, Run]:
    """The C++ engine on this machine, in all ways; grain 0 lets tiny nodes be shared too."""
    return {
        f"{isa}, threads {threads}": Executor(threads, isa, grain=0).run
        for isa in instruction_sets()
        for threads in THREADS
    }


def compilers() -> dict[str, Run]:
    """Machine code by LLVM, for each instruction set that it is made for.

    Apart from `executors`: each node is compiled first, which takes longer than all of them.
    """
    return {
        f"machine code for {isa}, threads {threads}": _Compiled(threads, isa)
        for isa in instruction_sets()
        if isa != "baseline"
        for threads in (1, 3)
    }


class _Compiled:
    """Computes a node by machine code; Unsupported where there is none."""

    def __init__(self, threads: int, isa: str) -> None:
        self.threads, self.isa = threads, isa

    def __call__(self, node: Node, operands: Tensors) -> NDArray[Any]:
        region = single(node)
        code = compile_region(region, self.isa)
        # A grain of 1: whatever its size, the node is cut into pieces for all threads.
        granule = FLAT_GRANULE if not node.domain else ROW_GRANULE
        work = _cpu.Work(code.address, region.units, 1, granule, code.scratch_bytes)
        out = np.empty(node.shape, node.dtype.numpy)
        arrays = [np.ascontiguousarray(operand) for operand in operands]
        _cpu.Kernel(encode_node(node), work).run(arrays, out, self.threads)
        return out
