"""Kernels touch nothing beyond their tensors, and do nothing that C++ leaves undefined.

The shim runs them in a process of its own, which ends at the first such thing. Tensors end where a
page begins that may not be touched. On a GPU either would be another result, or a fault.
"""

from __future__ import annotations

import ctypes
import faulthandler
import mmap
import multiprocessing
import resource
import signal
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from protocol.kernels.cuda.source import OUT, read_source, translation_unit
from protocol.program.isa import Op
from tests.kernels.cuda.cases import NODES, all_kernels, named_case, opcode, random_cases
from tests.kernels.cuda.shim.host import HostDevice
from tests.kernels.nodes import Case

PAGE = mmap.PAGESIZE
KEPT: list[mmap.mmap] = []


def fenced(array: NDArray[Any]) -> NDArray[Any]:
    """A copy that ends where memory ends."""
    size = -(-array.nbytes // PAGE) * PAGE
    memory = mmap.mmap(-1, size + PAGE)
    KEPT.append(memory)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.mprotect(ctypes.c_void_p(start + size), PAGE, 0) == 0
    copy = np.frombuffer(memory, array.dtype, array.size, size - array.nbytes)
    copy[:] = array.reshape(-1)
    return copy


def run_all(device: HostDevice, cases: Sequence[Case]) -> None:
    """Every kernel that could run each node, on fenced tensors."""
    kernels = [all_kernels(case.node) for case in cases]
    device.load([translation_unit(kernel for several in kernels for kernel in several)], ())
    for case, several in zip(cases, kernels, strict=True):
        operands = [fenced(operand) for operand in case.operands]
        out = fenced(np.zeros(case.node.numel, case.node.dtype.numpy))
        for kernel in several:
            scratch = fenced(np.zeros(max(1, kernel.scratch_words), np.uint32))
            for launch in kernel.launches:
                places = [
                    operands[a] if isinstance(a, int) else out if a == OUT else scratch
                    for a in launch.arguments
                ]
                addresses = [place.ctypes.data for place in places]
                device.launch(launch.function, launch.blocks, addresses)


def run_named_and_random_nodes() -> None:
    run_all(HostDevice(sanitized=True), [*map(named_case, NODES), *random_cases(40)[::3]])


def run_every_opcode() -> None:
    run_all(HostDevice(sanitized=True), [opcode(op) for op in Op])


def run_hashing() -> None:
    device = HostDevice(sanitized=True)
    device.load([read_source("ops.cuh") + read_source("sha256.cuh")], ())
    for size in (1, 3, 4, 1023, 1024, 1027, 5000):
        chunks = -(-size // 1024)
        data, hashes = fenced(np.ones(size, np.uint8)), fenced(np.zeros(32 * chunks, np.uint8))
        above = fenced(np.zeros(32 * ((chunks + 1) // 2), np.uint8))
        device.launch("leaf_hashes", 1, [data.ctypes.data, size, hashes.ctypes.data])
        device.launch("parent_hashes", 1, [hashes.ctypes.data, chunks, above.ctypes.data])


def run_a_read_beyond_the_end() -> None:
    read(fenced(np.zeros(8, np.float32)), 8)


def run_an_undefined_shift() -> None:
    source = "b[0] = 1u << (u32)n;"
    device = HostDevice(sanitized=True)
    kernel = f'extern "C" __global__ void f(u32* b, u64 n) {{ {source} }}'
    device.load([read_source("ops.cuh") + kernel], ())
    device.launch("f", 1, [np.zeros(1, np.uint32).ctypes.data, 32])


def read(array: NDArray[Any], at: int) -> float:
    return float(ctypes.c_float.from_address(array.ctypes.data + 4 * at).value)


def _quietly(work: Callable[[], None]) -> None:
    faulthandler.disable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    work()


def exit_code_of(work: Callable[[], None]) -> int | None:
    """How a process of its own ends that does the work; negative: by this signal."""
    process = multiprocessing.get_context("fork").Process(target=_quietly, args=(work,))
    process.start()
    process.join()
    return process.exitcode


@pytest.mark.parametrize(
    "work",
    [
        run_every_opcode,
        run_hashing,
        pytest.param(run_named_and_random_nodes, marks=pytest.mark.slow),
    ],
)
def test_kernels_stay_within_their_tensors_and_within_cpp(work) -> None:
    assert exit_code_of(work) == 0


@pytest.mark.parametrize(
    ("work", "ends"),
    [(run_a_read_beyond_the_end, signal.SIGSEGV), (run_an_undefined_shift, signal.SIGILL)],
)
def test_fence_and_sanitizer_end_the_process(work, ends) -> None:
    assert exit_code_of(work) == -ends
