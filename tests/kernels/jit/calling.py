"""Calls compiled regions, and computes the same with the reference evaluator."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol.kernels.isa import instruction_sets
from protocol.kernels.jit.compile import MachineCode
from protocol.kernels.reference.evaluator import evaluate_node
from protocol.kernels.region import Region
from tests.kernels.nodes import words_of

Tensor = NDArray[Any]
COMPILED = [isa for isa in instruction_sets() if isa != "baseline"]
ALIGNMENT = 64


def call(code: MachineCode, buffers: Sequence[Tensor], begin: int, end: int) -> None:
    """Compute the units [begin, end); scratch is filled with what nobody should see."""
    function = ctypes.CFUNCTYPE(
        None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64
    )(code.address)
    pointers = (ctypes.c_void_p * len(buffers))(*(b.ctypes.data for b in buffers))
    scratch = np.full(code.scratch_bytes + ALIGNMENT, 0xA5, np.uint8)
    aligned = -(-scratch.ctypes.data // ALIGNMENT) * ALIGNMENT
    function(ctypes.addressof(pointers), aligned, begin, end)


def empty_buffers(region: Region, inputs: dict[int, Tensor]) -> list[Tensor]:
    """The region's buffers: the given ones, and outputs full of a pattern."""
    found: dict[int, Tensor] = dict(inputs)
    for node, number in zip(region.nodes, region.outputs, strict=True):
        if number is not None and number not in found:
            raw = np.full(node.nbytes, 0x5A, np.uint8)
            found[number] = raw.view(node.dtype.numpy).reshape(node.shape)
    return [found[number] for number in range(region.buffers)]


def run(
    code: MachineCode, region: Region, inputs: dict[int, Tensor], cuts: Sequence[int] = ()
) -> dict[int, list[int]]:
    """Words of each output buffer; the units are computed in parts, the last part first."""
    buffers = empty_buffers(region, inputs)
    ends = [0, *sorted(cuts), region.units]
    for begin, end in reversed(list(pairwise(ends))):
        call(code, buffers, begin, end)
    return {n: words_of(buffers[n]) for n in region.outputs if n is not None}


def expected(region: Region, inputs: dict[int, Tensor]) -> dict[int, list[int]]:
    """The same by the reference evaluator, node by node."""
    values: list[list[int]] = []
    found = {}
    for member, node in enumerate(region.nodes):
        operands = [
            values[source.member] if source.member is not None else words_of(inputs[source.buffer])
            for source in region.sources[member]
        ]
        values.append(evaluate_node(node, operands))
        number = region.outputs[member]
        if number is not None:
            found[number] = values[-1]
    return found
