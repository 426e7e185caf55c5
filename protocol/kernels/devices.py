"""Which processor computes: the CPU, or an NVIDIA GPU; the bits are the same."""

from __future__ import annotations

from typing import Final, TypeAlias

from protocol.kernels.cuda.executor import CudaExecutor
from protocol.kernels.executor import Executor

AnyExecutor: TypeAlias = Executor | CudaExecutor

DEVICES: Final = ("cpu", "cuda")


def executor_on(device: str, threads: int | None = None) -> AnyExecutor:
    """An executor on a device.

    Args:
        device: one of `DEVICES`.
        threads: of the CPU; on a GPU those that record folds. Default: all.

    Raises:
        ValueError: another device.
        CudaUnavailable: there is no GPU, or the packages for CUDA are missing.
    """
    if device not in DEVICES:
        raise ValueError(f"device {device!r}: use one of {', '.join(DEVICES)}")
    host = Executor() if threads is None else Executor(threads=threads)
    return CudaExecutor(host=host) if device == "cuda" else host
