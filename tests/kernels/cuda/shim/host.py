"""CUDA source run on the CPU by g++ and a shim: a device for `CudaExecutor`, and an executor."""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from protocol.kernels.cuda.executor import CudaExecutor
from protocol.kernels.cuda.source import THREADS, function_names
from protocol.kernels.executor import Executor
from protocol.program.canonical import encode_node
from protocol.program.node import Node

HEADER = Path(__file__).with_name("cuda_shim.h")
FLAGS = [
    "-std=c++17", "-O1", "-ffp-contract=off", "-fno-strict-aliasing", "-fno-fast-math",
    "-fno-math-errno", "-Wno-unknown-pragmas", "-shared", "-fPIC",
]  # fmt: skip

SANITIZED = [
    "-fsanitize=undefined,float-cast-overflow", "-fno-sanitize=alignment",
    "-fsanitize-undefined-trap-on-error",
]  # fmt: skip


class HostDevice:
    """Kernels on the CPU; a launch is done when it returns.

    Args:
        reversed_order: run a block's threads from the last to the first.
        sanitized: end the process where the source does what C++ leaves undefined (and a GPU does
            otherwise than this machine): shifts by 32 and more, casts out of range, overflows.
    """

    def __init__(self, reversed_order: bool = False, sanitized: bool = False) -> None:
        self.torch_device = torch.device("cpu")
        self._flags = [*FLAGS, *(SANITIZED if sanitized else ())]
        self.reversed_order = reversed_order
        self._functions: dict[str, Any] = {}
        self._folder = tempfile.TemporaryDirectory()
        self._libraries = 0

    def load(self, sources: Sequence[str], fused: Collection[str]) -> None:
        """Compile for the CPU; ``fused`` is for devices that check machine code."""
        del fused
        for source in sources:
            unit = Path(self._folder.name) / f"unit{self._libraries}.cu"
            self._libraries += 1
            names = function_names(source)
            unit.write_text("\n".join([source, *map(_launcher, names)]))
            library = unit.with_suffix(".so")
            command = ["g++", "-x", "c++", "-include", str(HEADER), *self._flags, str(unit)]
            subprocess.run([*command, "-o", str(library)], check=True)
            functions = ctypes.CDLL(str(library))
            for name in names:
                self._functions[name] = functions[f"launch_{name}"]
                self._functions[name].restype = ctypes.c_bool

    def launch(self, function: str, blocks: int, arguments: Sequence[int]) -> None:
        """Run a kernel. RuntimeError if only some threads of a block reached a barrier."""
        values = (ctypes.c_uint64 * len(arguments))(*arguments)
        if not self._functions[function](blocks, THREADS, values, self.reversed_order):
            raise RuntimeError(f"{function}: a barrier was reached by some threads of a block only")


class HostShimExecutor:
    """`CudaExecutor` on the CPU, for numpy arrays: the interface of `protocol.kernels.Executor`.

    Args:
        nodes: compiled together at once, which is far quicker than one by one as they come.
        reversed_order: run a block's threads from the last to the first.
    """

    isa = "cuda on the host"
    threads = 1

    def __init__(self, nodes: Iterable[Node] = (), reversed_order: bool = False) -> None:
        self.cuda = CudaExecutor(HostDevice(reversed_order), Executor(1), unit_kernels=1000)
        self.cuda.prepare((encode_node(node), node) for node in nodes)

    def run(
        self,
        node: Node,
        operands: Sequence[NDArray[Any]],
        out: NDArray[Any] | None = None,
        *,
        encoded: bytes | None = None,
    ) -> NDArray[Any]:
        """As `Executor.run`."""
        out = np.empty(node.shape, node.dtype.numpy) if out is None else out
        tensors = [torch.from_numpy(np.array(operand)) for operand in operands]
        self.cuda.run(node, tensors, torch.from_numpy(out), encoded=encoded)
        return out

    def fold(
        self, node: Node, operands: Sequence[NDArray[Any]], element: int
    ) -> NDArray[np.uint32]:
        """As `Executor.fold`, and by it: folds are recorded on the CPU."""
        return self.cuda.fold(node, operands, element)


def _launcher(function: str) -> str:
    return (
        f'extern "C" bool launch_{function}(unsigned blocks, unsigned threads, '
        "const uint64_t* slots, bool reversed) {\n"
        f"  return shim::launch({function}, blocks, threads, slots, reversed);\n}}\n"
    )
