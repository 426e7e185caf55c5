"""What `Gpu` asks of the driver, told by a stub of it: contexts, modules, streams, arguments."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

STUB = Path(__file__).with_name("shim") / "driver_stub.c"

# NVRTC asks the driver too, and the stub has no answer: the machine code is only a name here.
SCRIPT = """
import contextlib
from types import SimpleNamespace
import torch
from protocol.kernels.cuda import device
from protocol.kernels.cuda.compiler import Compiled
from protocol.kernels.cuda.errors import CudaUnavailable

torch.version.cuda = "13.0"
torch.cuda.is_available = lambda: True
torch.cuda.device_count = lambda: 3
torch.cuda.get_device_capability = lambda number: (8, 6)
torch.cuda.device = lambda number: contextlib.nullcontext()
torch.zeros = lambda *_, **__: None

def compile_source(source, architecture):
    print("compile for", architecture)
    return Compiled("", b"\\x7fELF" + bytes(60))

device.compile_source = compile_source
try:
    gpu = device.Gpu(2)
    gpu.load(['extern "C" __global__ void __launch_bounds__(256)\\nf(u32* a, u64 n) {}'], ())
    for stream in (0xABCD, 0):
        torch.cuda.current_stream = lambda _, s=stream: SimpleNamespace(cuda_stream=s)
        gpu.launch("f", 7, [0x7F0012345678, (1 << 63) + 17])
except CudaUnavailable as error:
    print("|".join((error.what, error.why, error.todo, error.read)))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with the stub as the driver's library."""
    folder = tmp_path_factory.mktemp("driver")
    command = ["gcc", "-Wall", "-Wextra", "-shared", "-fPIC", str(STUB)]
    subprocess.run([*command, "-o", str(folder / "libcuda.so.1")], check=True)
    return folder


def told(folder: Path, **environment: str) -> list[str]:
    """The lines that the stub and the script print."""
    path = os.pathsep.join([str(folder), os.environ.get("LD_LIBRARY_PATH", "")])
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, **environment, "LD_LIBRARY_PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


def test_gpu_loads_and_launches_in_torchs_context_and_on_its_stream(folder) -> None:
    arguments = "7f0012345678 8000000000000011"
    launch = "launch 0x34, grid 7 1 1, block 256 1 1, shared 0, stream {}, extra 0, " + arguments
    assert told(folder) == [
        "device 2",
        "retain the context of 2",
        "compile for sm_86",
        "current context 0x99",
        "load ELF",
        "function f of module 0x12",
        "current context 0x99",
        launch.format("abcd"),
        "current context 0x99",
        launch.format("0"),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("call", ["cuModuleLoadData", "cuLaunchKernel"])
def test_gpu_call_that_the_driver_refuses_is_told_in_four_parts(folder, call) -> None:
    assert told(folder, STUB_REFUSES=call)[-1] == (
        f"{call} failed on cuda:2|the driver says CUDA_ERROR_INVALID_VALUE|"
        "update the NVIDIA driver, or use --device cpu|docs/CUDA.md"
    )
