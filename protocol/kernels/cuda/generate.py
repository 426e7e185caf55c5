"""Chooses the kernel of a node: tiles for products, scatters for guards, threads for the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from protocol.kernels.cuda.fold import plain_kernel, shared_kernel
from protocol.kernels.cuda.product import product_kernel
from protocol.kernels.cuda.scatter import scatter_kernel
from protocol.kernels.cuda.source import KernelSource
from protocol.program.node import Node

RECOGNISERS: Final[tuple[Callable[[Node], KernelSource | None], ...]] = (
    product_kernel,
    scatter_kernel,
    shared_kernel,
)


def kernel_of(node: Node) -> KernelSource:
    """The fastest kernel that this node's pattern allows; every validated node has one."""
    for recognise in RECOGNISERS:
        kernel = recognise(node)
        if kernel is not None:
            return kernel
    return plain_kernel(node)
