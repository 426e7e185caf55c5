"""No load touches a byte outside its operand: operands end where the readable memory does."""

from __future__ import annotations

import ctypes
import mmap
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from protocol.kernels.jit.compile import compile_region
from protocol.kernels.reference.evaluator import evaluate_node
from protocol.kernels.region import single
from protocol.program.builder import FoldBuilder
from protocol.program.isa import DType
from protocol.program.node import Node
from tests.kernels.jit.calling import COMPILED, Tensor, call
from tests.kernels.jit.regions import lane_fold, own, row_fold
from tests.kernels.nodes import random_tensor, words_of
from tests.kernels.shapes import embedding, tensor

NONE = 0  # PROT_NONE


@contextmanager
def fenced(array: Tensor, before: bool) -> Iterator[Tensor]:
    """A copy that ends (or with ``before`` begins) at a page that no access survives."""
    page = mmap.PAGESIZE
    size = -(-array.nbytes // page) * page
    area = mmap.mmap(-1, size + 2 * page)
    start = ctypes.addressof(ctypes.c_char.from_buffer(area))
    libc = ctypes.CDLL(None, use_errno=True)
    for at in (start, start + page + size):
        assert libc.mprotect(ctypes.c_void_p(at), page, NONE) == 0
    first = page if before else page + size - array.nbytes
    whole = np.frombuffer(area, np.uint8)
    copy = whole[first : first + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    try:
        yield copy
    finally:
        for at in (start, start + page + size):
            libc.mprotect(ctypes.c_void_p(at), page, mmap.PROT_READ | mmap.PROT_WRITE)


def strided(count: int, stride: int, dtype: DType, padding: int = 0) -> Node:
    """Every stride-th element from one end to the other; outside is filled with 3."""
    b = FoldBuilder(DType.F32 if dtype is DType.F32 else DType.I32, (count,))
    size = abs(stride) * (count - 1) + 1
    place = b.out(0) * stride + (0 if stride > 0 else size - 1) + padding
    word = b.load(tensor(0, dtype, size), [place.axis(size, 1)], fill=3)
    return b.finish(word)


NODES = [
    *(strided(count, stride, DType.F32) for count in (16, 21, 40) for stride in (1, 2, 3, 4, 7)),
    *(strided(21, stride, DType.F32) for stride in (-1, -2, -5)),
    *(strided(37, stride, DType.U8) for stride in (1, 2, 4, -1, 9)),
    *(strided(40, stride, DType.I32, p) for stride in (1, 2, -1) for p in (-3, 3, 100)),
    *(row_fold(19, n, tensor(0, DType.F32, 19, n), lambda b, a, x: b.add(a, x), 0.0)
      for n in (16, 40)),
    lane_fold(5, 70, 32, own, tensor(0, DType.F32, 5, 70)),
    embedding(9, 20, 13),
]  # fmt: skip


@pytest.mark.parametrize("isa", COMPILED)
@pytest.mark.parametrize("before", [False, True])
def test_loads_at_a_fence_stay_inside(isa: str, before: bool) -> None:
    for number, node in enumerate(NODES):
        rng = random.Random(number)
        operands = [random_tensor(rng, operand) for operand in node.operands]
        region = single(node)
        code = compile_region(region, isa)
        out = np.zeros(node.shape, node.dtype.numpy)
        with fenced(operands[0], before) as first, fenced(out, before) as target:
            call(code, [first, *operands[1:], target], 0, region.units)
            got = words_of(target)
        elements = [words_of(operand) for operand in operands]
        assert got == evaluate_node(node, elements), f"node {number}"
