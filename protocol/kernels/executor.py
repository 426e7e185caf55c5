"""Runs fold nodes on numpy arrays with the native engine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protocol.kernels.cpu import _cpu
from protocol.kernels.isa import choose_instruction_set
from protocol.program.canonical import encode_node
from protocol.program.node import Node

Tensor = NDArray[Any]

_KEPT_KERNELS: Final = 8192  # a program has fewer; a process that sees many starts again


class Executor:
    """Computes nodes bit for bit as the specification says, with any number of threads.

    Args:
        threads: at most this many threads per node; default: the CPUs of this process.
        isa: one of `instruction_sets()`; default: what the environment variable `PINPOINT_ISA`
            names, else the best. A second opinion on one's own result comes from another
            instruction set.
        grain: instructions and loads of a node below which one thread is used.

    Raises:
        ValueError: fewer than one thread.
        InstructionSetError: an instruction set that this machine lacks.
    """

    def __init__(
        self, threads: int | None = None, isa: str | None = None, grain: int = 1 << 15
    ) -> None:
        self.threads = _cpus() if threads is None else threads
        if self.threads < 1:
            raise ValueError(f"{self.threads} threads: give at least 1")
        self.isa = choose_instruction_set(isa)
        self.grain = grain
        self._kernels: dict[bytes, _cpu.Kernel] = {}

    def run(
        self,
        node: Node,
        operands: Sequence[Tensor],
        out: Tensor | None = None,
        *,
        encoded: bytes | None = None,
    ) -> Tensor:
        """The node's output, of ``node.shape`` and ``node.dtype``.

        Args:
            node: the descriptor.
            operands: one array per operand slot, of its dtype and number of elements.
            out: where to write, C-contiguous and apart from all operands; default: a new array.
            encoded: the node's canonical bytes, if the caller has them.

        Raises:
            ValueError: an array does not fit the node, or the node is malformed.
        """
        if out is None:
            out = np.empty(node.shape, node.dtype.numpy)
        elif out.shape != node.shape:
            raise ValueError(f"output has shape {out.shape}, the node makes {node.shape}")
        encoded = encode_node(node) if encoded is None else encoded
        self.kernel(encoded).run(_arrays(operands), out, self.threads)
        return out

    def kernel(self, encoded: bytes) -> _cpu.Kernel:
        """The node of these canonical bytes, made ready to run; made once.

        Raises:
            ValueError: the bytes are malformed.
        """
        kernel = self._kernels.get(encoded)
        if kernel is None:
            if len(self._kernels) >= _KEPT_KERNELS:
                self._kernels.clear()
            kernel = self._kernels[encoded] = _cpu.Kernel(encoded, self.isa, self.grain)
        return kernel

    def fold(self, node: Node, operands: Sequence[Tensor], element: int) -> NDArray[np.uint32]:
        """The fold of one output element: a row per term, the accumulator and then all words.

        Returns:
            Array of shape (node.terms, 1 + number of loads); a row, big-endian, is a leaf of the
            fold tree.

        Raises:
            ValueError: as for `run`, or the output has no such element.
        """
        rows = np.empty((node.terms, 1 + len(node.loads)), np.uint32)
        _cpu.fold(encode_node(node), _arrays(operands), element, rows, self.isa)
        return rows


def _cpus() -> int:
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _arrays(operands: Sequence[Tensor]) -> list[Tensor]:
    return [np.ascontiguousarray(operand) for operand in operands]
