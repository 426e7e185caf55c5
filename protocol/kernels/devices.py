"""Which processor computes: the CPU, or an NVIDIA GPU; the bits are the same."""

from __future__ import annotations

from typing import Final, TypeAlias

from protocol.kernels.cuda.executor import CudaExecutor
from protocol.kernels.executor import Executor

AnyExecutor: TypeAlias = Executor | CudaExecutor

DEVICES: Final = ("cpu", "cuda")


def executor_on(device: str, threads: int | None = None, isa: str | None = None) -> AnyExecutor:
    """An executor on a device.

    Args:
        device: one of `DEVICES`.
        threads: of the CPU; on a GPU those that record folds. Default: all.
        isa: instruction set of the CPU, with the same meaning on a GPU. Default: the best.

    Raises:
        ValueError: another device, or no such instruction set on this machine.
        CudaUnavailable: there is no GPU, or the packages for CUDA are missing.
    """
    if device not in DEVICES:
        raise ValueError(f"device {device!r}: use one of {', '.join(DEVICES)}")
    host = Executor(threads, isa)
    return CudaExecutor(host=host) if device == "cuda" else host
