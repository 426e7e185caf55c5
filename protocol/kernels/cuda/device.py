"""Where kernels are loaded and launched: one GPU, through NVIDIA's own bindings.

Nothing else of this package touches the driver, so that everything else runs in tests on a machine
without a GPU, with another `Device`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from protocol.kernels.cuda.compiler import compile_source
from protocol.kernels.cuda.errors import CudaUnavailable, MissingPackage
from protocol.kernels.cuda.ptx_check import check_ptx
from protocol.kernels.cuda.source import THREADS, function_names

if TYPE_CHECKING:
    import torch


class Device(Protocol):
    """Runs kernels on tensors of one torch device, in the order in which they are launched."""

    @property
    def torch_device(self) -> torch.device:
        """Where operands and outputs lie."""
        ...

    def load(self, sources: Sequence[str], fused: Collection[str]) -> None:
        """Make the kernel functions of these translation units known.

        Args:
            sources: CUDA source.
            fused: the functions that may hold fused multiply-adds.
        """
        ...

    def launch(self, function: str, blocks: int, arguments: Sequence[int]) -> None:
        """Queue a kernel of `THREADS` threads a block; arguments are addresses or 64-bit words."""
        ...


class Gpu:
    """The GPU that torch calls ``cuda:<index>``; kernels run on torch's current stream.

    Args:
        index: torch's number of the device; default: torch's current one.

    Raises:
        CudaUnavailable: torch sees no GPU, or the packages for CUDA are missing.
    """

    def __init__(self, index: int | None = None) -> None:
        import torch

        _require_gpu(index)
        self._driver = _driver()
        number = torch.cuda.current_device() if index is None else index
        self._device = torch.device("cuda", number)
        major, minor = torch.cuda.get_device_capability(number)
        self._architecture = f"sm_{major}{minor}"
        self._functions: dict[str, Any] = {}
        self._modules: list[Any] = []
        torch.zeros(1, device=self._device)  # torch's context is the device's primary one
        self._context = self._call("cuDevicePrimaryCtxRetain", self._call("cuDeviceGet", number))

    @property
    def torch_device(self) -> torch.device:
        """Where operands and outputs lie."""
        return self._device

    def load(self, sources: Sequence[str], fused: Collection[str]) -> None:
        """Compile, check the PTX, and load.

        Raises:
            UnsafeKernel: the compiler made what might give other bits.
        """

        def compiled(source: str) -> bytes:
            result = compile_source(source, self._architecture)
            check_ptx(result.ptx, fused)
            return result.cubin

        with ThreadPoolExecutor() as pool:
            cubins = list(pool.map(compiled, sources))
        with self._current():
            for source, cubin in zip(sources, cubins, strict=True):
                module = self._call("cuModuleLoadData", cubin)
                self._modules.append(module)
                for name in function_names(source):
                    self._functions[name] = self._call("cuModuleGetFunction", module, name.encode())

    def launch(self, function: str, blocks: int, arguments: Sequence[int]) -> None:
        """Queue a kernel on torch's current stream."""
        import torch

        types = (ctypes.c_uint64,) * len(arguments)
        with self._current():
            stream = torch.cuda.current_stream(self._device).cuda_stream
            self._call(
                "cuLaunchKernel",
                self._functions[function],
                *(blocks, 1, 1),
                *(THREADS, 1, 1),
                0,
                stream,
                (tuple(arguments), types),
                0,
            )

    @contextmanager
    def _current(self) -> Iterator[None]:
        """Torch's context is the calling thread's, which a thread that is new to CUDA lacks."""
        import torch

        with torch.cuda.device(self._device):
            self._call("cuCtxSetCurrent", self._context)
            yield

    def _call(self, name: str, *arguments: Any) -> Any:
        """The value of a driver call; CudaUnavailable, with what the driver says, if it failed."""
        status, *values = getattr(self._driver, name)(*arguments)
        if status != self._driver.CUresult.CUDA_SUCCESS:
            raise CudaUnavailable(
                f"{name} failed on {self._device}",
                f"the driver says {status.name}",
                "update the NVIDIA driver, or use --device cpu",
            )
        return values[0] if values else None


def _require_gpu(index: int | None) -> None:
    import torch

    if torch.version.cuda is None:
        raise CudaUnavailable(
            "there is no GPU to compute with",
            f"torch {torch.__version__} was built without CUDA",
            "install a CUDA build of torch, or use --device cpu",
        )
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count <= (index or 0):
        raise CudaUnavailable(
            "there is no GPU to compute with",
            f"torch {torch.__version__} sees {count} GPUs, wanted number {index or 0}",
            "check `nvidia-smi` and the driver, or use --device cpu",
        )


def _driver() -> Any:
    try:
        from cuda.bindings import driver
    except ImportError as error:
        raise MissingPackage(str(error)) from error
    return driver
