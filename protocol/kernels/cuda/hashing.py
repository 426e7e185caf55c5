"""Roots of tensors, hashed where they lie: equal to `protocol.merkle.tensor_roots`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from protocol.kernels.cuda.device import Device
from protocol.kernels.cuda.source import blocks_for, read_source
from protocol.merkle.hashing import DIGEST_BYTES
from protocol.merkle.tensor import CHUNK_BYTES

if TYPE_CHECKING:
    import torch


class TensorHasher:
    """Hashes tensors on a device.

    Args:
        device: where the tensors lie.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        device.load([read_source("ops.cuh") + read_source("sha256.cuh")], ())

    def queue_root(self, tensor: torch.Tensor) -> torch.Tensor:
        """The root of one contiguous tensor as 32 bytes on the device, when the device is done."""
        import torch

        nodes = -(-tensor.nbytes // CHUNK_BYTES)
        shape = (nodes, DIGEST_BYTES)
        level = torch.empty(shape, dtype=torch.uint8, device=self._device.torch_device)
        arguments = [tensor.data_ptr(), tensor.nbytes, level.data_ptr()]
        self._device.launch("leaf_hashes", blocks_for(nodes), arguments)
        while nodes > 1:
            above = torch.empty_like(level[: (nodes + 1) // 2])
            arguments = [level.data_ptr(), nodes, above.data_ptr()]
            nodes = len(above)
            self._device.launch("parent_hashes", blocks_for(nodes), arguments)
            level = above
        return level[0]

    def roots(self, tensors: Sequence[torch.Tensor]) -> list[bytes]:
        """The root of each tensor, 32 bytes; waits for the device."""
        return fetch_roots([self.queue_root(tensor) for tensor in tensors])


def fetch_roots(queued: Sequence[torch.Tensor]) -> list[bytes]:
    """The roots that `TensorHasher.queue_root` gave, once the device is done."""
    import torch

    if not queued:
        return []
    return [bytes(root) for root in torch.stack(list(queued)).cpu().numpy()]
