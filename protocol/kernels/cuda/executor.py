"""Runs fold nodes on torch tensors of a GPU, with the interface of `protocol.kernels.Executor`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from protocol.kernels.cuda.device import Device, Gpu
from protocol.kernels.cuda.generate import kernel_of
from protocol.kernels.cuda.source import OUT, KernelSource, translation_unit
from protocol.kernels.executor import Executor
from protocol.program.canonical import encode_node
from protocol.program.isa import DType
from protocol.program.node import Node, numel

if TYPE_CHECKING:
    import torch

UNIT_KERNELS: Final = 16  # compiled together: what they include is then read once, and cores share


class CudaExecutor:
    """Computes nodes on a GPU, bit for bit as the specification says.

    Kernels are compiled when a node is first seen, checked (`ptx_check`), and kept by the hash of
    their source. `run` returns before the GPU is done, as torch's own operations do.

    Args:
        device: where to run; default: torch's current GPU.
        host: records folds, on copies of the operands.
        unit_kernels: how many kernels are compiled together.

    Raises:
        CudaUnavailable: there is no GPU, or the packages for CUDA are missing.
    """

    isa = "cuda"

    def __init__(
        self,
        device: Device | None = None,
        host: Executor | None = None,
        unit_kernels: int = UNIT_KERNELS,
    ) -> None:
        self.device: Device = Gpu() if device is None else device
        self.host = Executor() if host is None else host
        self.threads = self.host.threads
        self._unit_kernels = unit_kernels
        self._kernels: dict[bytes, KernelSource] = {}
        self._loaded: set[str] = set()
        self._scratch: torch.Tensor | None = None

    @property
    def torch_device(self) -> torch.device:
        """Where operands and outputs lie."""
        return self.device.torch_device

    def prepare(self, encoded_nodes: Iterable[tuple[bytes, Node]]) -> None:
        """Compile the kernels of many nodes at once, which is quicker than one by one.

        Args:
            encoded_nodes: nodes with their canonical bytes.
        """
        new: dict[str, KernelSource] = {}
        for encoded, node in encoded_nodes:
            if encoded not in self._kernels:
                kernel = self._kernels[encoded] = kernel_of(node)
                if kernel.name not in self._loaded:
                    new[kernel.name] = kernel
        kernels = list(new.values())
        size = self._unit_kernels
        units = [kernels[i : i + size] for i in range(0, len(kernels), size)]
        if units:
            fused = {kernel.name for kernel in kernels if kernel.fused}
            self.device.load([translation_unit(unit) for unit in units], fused)
            self._loaded |= set(new)

    def run(
        self,
        node: Node,
        operands: Sequence[torch.Tensor],
        out: torch.Tensor | None = None,
        *,
        encoded: bytes | None = None,
    ) -> torch.Tensor:
        """The node's output, of ``node.shape`` and ``node.dtype``.

        Args:
            node: a validated descriptor.
            operands: one tensor per operand slot, on the device, contiguous, of its dtype and
                number of elements.
            out: where to write, contiguous and apart from all operands; default: a new tensor.
            encoded: the node's canonical bytes, if the caller has them.

        Raises:
            ValueError: a tensor does not fit the node.
            UnsafeKernel: the compiler made what might give other bits.
        """
        import torch

        encoded = encode_node(node) if encoded is None else encoded
        if encoded not in self._kernels:
            self.prepare([(encoded, node)])
        kernel = self._kernels[encoded]
        if out is None:
            out = torch.empty(node.shape, dtype=torch_dtype(node.dtype), device=self.torch_device)
        self._check(node, operands, out)
        addresses = [operand.data_ptr() for operand in operands]
        for launch in kernel.launches:
            arguments = []
            for argument in launch.arguments:
                if isinstance(argument, int):
                    arguments.append(addresses[argument])
                elif argument == OUT:
                    arguments.append(out.data_ptr())
                else:
                    arguments.append(self._working_memory(kernel.scratch_words).data_ptr())
            self.device.launch(launch.function, launch.blocks, arguments)
        return out

    def fold(
        self, node: Node, operands: Sequence[torch.Tensor | NDArray[Any]], element: int
    ) -> NDArray[np.uint32]:
        """The fold of one output element, computed on the host; see `Executor.fold`."""
        return self.host.fold(node, [to_host(operand) for operand in operands], element)

    def _working_memory(self, words: int) -> torch.Tensor:
        """Memory that launches share: they run in order, so the next node may use it too."""
        import torch

        if self._scratch is None or self._scratch.numel() < words:
            self._scratch = torch.empty(words, dtype=torch.int32, device=self.torch_device)
        return self._scratch

    def _check(self, node: Node, operands: Sequence[torch.Tensor], out: torch.Tensor) -> None:
        if len(operands) != len(node.operands):
            raise ValueError(f"{len(operands)} operands, the node has {len(node.operands)}")
        if tuple(out.shape) != node.shape:
            raise ValueError(f"output has shape {tuple(out.shape)}, the node makes {node.shape}")
        self._check_tensor(out, node.dtype, node.numel, "output")
        for slot, (tensor, operand) in enumerate(zip(operands, node.operands, strict=True)):
            self._check_tensor(tensor, operand.dtype, numel(operand.shape), f"operand {slot}")
            start, end = tensor.data_ptr(), tensor.data_ptr() + tensor.nbytes
            if start < out.data_ptr() + out.nbytes and out.data_ptr() < end:
                raise ValueError(f"output overlaps operand {slot}")

    def _check_tensor(self, tensor: torch.Tensor, dtype: DType, count: int, what: str) -> None:
        if tensor.dtype != torch_dtype(dtype):
            raise ValueError(f"{what}: dtype differs: {tensor.dtype}, the node says {dtype.label}")
        if tensor.numel() != count:
            raise ValueError(f"{what} has {tensor.numel()} elements, the node says {count}")
        if tensor.device != self.torch_device or not tensor.is_contiguous():
            raise ValueError(f"{what} must be contiguous on {self.torch_device}")


def torch_dtype(dtype: DType) -> torch.dtype:
    """The name that torch has for a storage type."""
    import torch

    return {DType.F32: torch.float32, DType.I32: torch.int32, DType.U8: torch.uint8}[dtype]


def to_host(tensor: torch.Tensor | NDArray[Any]) -> NDArray[Any]:
    """The tensor as an array of the stored little-endian form; arrays are returned as they are."""
    if isinstance(tensor, np.ndarray):
        return tensor
    array: NDArray[Any] = tensor.cpu().numpy()
    return array


def to_device(array: NDArray[Any], device: torch.device) -> torch.Tensor:
    """A copy of an array on the device."""
    import torch

    # torch refuses to promise that it will not write to a read-only array; it copies this one.
    return torch.from_numpy(array.copy()).to(device)
