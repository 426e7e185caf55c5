"""The shim that runs CUDA source on the CPU notices wrong use of barriers and keeps IEEE bits."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from protocol.kernels.cuda.source import read_source
from tests.kernels.cuda.shim.host import FLAGS, HEADER, HostDevice

REVERSE = """
extern "C" __global__ void __launch_bounds__(256)
reverse(u32* out, const u32* in) {
  __shared__ u32 line[256];
  line[threadIdx.x] = in[256u * blockIdx.x + threadIdx.x];
  BARRIER
  out[256u * blockIdx.x + threadIdx.x] = line[255u - threadIdx.x];
}
"""


def reverse_with(barrier: str) -> HostDevice:
    """A device that knows the kernel, with this barrier."""
    device = HostDevice()
    device.load([read_source("ops.cuh") + REVERSE.replace("BARRIER", barrier)], ())
    return device


def turns_lines(device: HostDevice) -> bool:
    """Whether the kernel turns each line of 256 words round."""
    words = np.arange(512, dtype=np.uint32)
    out = np.zeros(512, np.uint32)
    device.launch("reverse", 2, [out.ctypes.data, words.ctypes.data])
    return bool((out.reshape(2, 256) == words.reshape(2, 256)[:, ::-1]).all())


def test_shim_barrier_orders_shared_memory() -> None:
    right, wrong = reverse_with("__syncthreads();"), reverse_with("")
    for reversed_order in (False, True):
        right.reversed_order = wrong.reversed_order = reversed_order
        assert turns_lines(right)
        assert not turns_lines(wrong)


def test_shim_barrier_for_some_threads_only_is_reported() -> None:
    with pytest.raises(RuntimeError, match="reached by some threads"):
        turns_lines(reverse_with("if (threadIdx.x < 100u) __syncthreads();"))


def test_shim_flags_allow_no_contraction() -> None:
    assert "-ffp-contract=off" in FLAGS
    assert "-fno-fast-math" in FLAGS
    assert not any(flag.startswith(("-march", "-Ofast")) for flag in FLAGS)


def test_shim_header_compiles_without_warnings(tmp_path: Path) -> None:
    unit = tmp_path / "unit.cpp"
    unit.write_text(f'#include "{HEADER}"\n')
    subprocess.run(
        ["g++", "-std=c++17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", str(unit)], check=True
    )
