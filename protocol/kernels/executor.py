"""Runs fold nodes on numpy arrays with the native engine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from enum import Enum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protocol.kernels.compiled import CompiledRegion, compile_or_none
from protocol.kernels.cpu import _cpu
from protocol.kernels.isa import (
    BASELINE,
    MachineSettingError,
    choose_instruction_set,
    instruction_sets,
)
from protocol.kernels.region import single
from protocol.program.canonical import encode_node
from protocol.program.node import Node

Tensor = NDArray[Any]

GENERIC: Final = ("outputs", "terms")
"""Names of the C++ kernels that interpret a node's body: machine code takes their place."""
COMPILED: Final = "code"
"""Name of a kernel that is machine code made at run time."""

JIT_VARIABLE: Final = "PINPOINT_JIT"
MOST_TABLE_BYTES: Final = 256 << 20
"""Memory that the kernels of a program, and those that an executor keeps, may take for tables: ten
times what those of a transformer with 100 M parameters take. A hostile node of one output and 2^24
terms would take 400 MB, and a program may have 65,536 of them."""
_KEPT_KERNELS: Final = 8192  # a program has fewer; a process that sees many starts again


class Compiled(Enum):
    """What is made into machine code at run time; the bits are the same."""

    NOTHING = "nothing"
    STEPS = "steps"  # of whole steps, whose nodes run together
    NODES = "nodes"  # ... and each node that is run alone


class Executor:
    """Computes nodes bit for bit as the specification says, with any number of threads.

    Args:
        threads: at most this many threads per node; default: the CPUs of this process.
        isa: one of `instruction_sets()`; default: what the environment variable `PINPOINT_ISA`
            names, else the best. A second opinion on one's own result comes from another
            instruction set.
        grain: instructions and loads of a node below which one thread is used.
        compiled: what is made into machine code at run time; default: whole steps, or nothing if
            the environment variable `PINPOINT_JIT` is 0.

    Raises:
        ValueError: fewer than one thread.
        InstructionSetError: an instruction set that this machine lacks.
        MachineSettingError: `PINPOINT_JIT` is neither 0 nor 1.
    """

    def __init__(
        self,
        threads: int | None = None,
        isa: str | None = None,
        grain: int = 1 << 15,
        compiled: Compiled | None = None,
    ) -> None:
        self.threads = _cpus() if threads is None else threads
        if self.threads < 1:
            raise ValueError(f"{self.threads} threads: give at least 1")
        self.isa = choose_instruction_set(isa)
        self.grain = grain
        self.compiled = default_compiled() if compiled is None else compiled
        self._kernels: dict[bytes, _cpu.Kernel] = {}
        self._table_bytes = 0  # of those
        self._codes: list[CompiledRegion] = []  # kept alive for the kernels

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
        self.kernel(node, encoded).run(_arrays(operands), out, self.threads)
        return out

    def kernel(
        self,
        node: Node,
        encoded: bytes | None = None,
        most_table_bytes: int = MOST_TABLE_BYTES,
    ) -> _cpu.Kernel:
        """The node made ready to run; made once.

        Args:
            node: the descriptor.
            encoded: its canonical bytes, if the caller has them.
            most_table_bytes: a specialised kernel that keeps more is not used.

        Raises:
            ValueError: the node is malformed.
        """
        encoded = encode_node(node) if encoded is None else encoded
        kernel = self._kernels.get(encoded)
        if kernel is None:
            if len(self._kernels) >= _KEPT_KERNELS or self._table_bytes > MOST_TABLE_BYTES:
                self._kernels.clear()
                self._table_bytes = 0
            kernel = self._kernels[encoded] = self._prepare(node, encoded)
            self._table_bytes += kernel.table_bytes
        if kernel.table_bytes > most_table_bytes:
            return _cpu.Kernel(encoded, self.isa, self.grain, most_table_bytes)
        return kernel

    def _prepare(self, node: Node, encoded: bytes) -> _cpu.Kernel:
        kernel = _cpu.Kernel(encoded, self.isa, self.grain, MOST_TABLE_BYTES)
        if self.compiled is Compiled.NODES and kernel.name in GENERIC:
            compiled = compile_or_none(single(node), self.isa)
            if compiled is not None:
                self._codes.append(compiled)
                return _cpu.Kernel(encoded, compiled.work)
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


def second_opinion() -> Executor:
    """An executor whose code differs from the default one's, for checking what that one found.

    Another instruction set where the machine has a second one with a fused multiply-add (in
    software it is a hundred times slower), nothing compiled at run time, and one thread less.
    """
    known = instruction_sets()
    fused = [isa for isa in known if isa != BASELINE]
    isa = fused[1] if len(fused) > 1 else known[0]
    return Executor(max(1, _cpus() - 1), isa, compiled=Compiled.NOTHING)


def default_compiled() -> Compiled:
    """What `JIT_VARIABLE` says: whole steps if it is 1 or empty or unset, nothing if it is 0.

    Raises:
        MachineSettingError: it is something else.
    """
    asked = os.environ.get(JIT_VARIABLE) or "1"
    if asked not in ("0", "1"):
        raise MachineSettingError(
            f"it is not known whether to make machine code: {asked!r} means nothing",
            f"the environment variable {JIT_VARIABLE} is {asked!r}, and can be 0 or 1",
            f"unset {JIT_VARIABLE}, or set it to 0 to compute without machine code",
        )
    return Compiled.NOTHING if asked == "0" else Compiled.STEPS


def _cpus() -> int:
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _arrays(operands: Sequence[Tensor]) -> list[Tensor]:
    return [np.ascontiguousarray(operand) for operand in operands]
