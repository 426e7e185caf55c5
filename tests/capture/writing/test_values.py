"""Views: any chain of movements reads the elements that PyTorch reads."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from protocol.capture.errors import Origin
from protocol.capture.writing.values import View
from protocol.capture.writing.writer import Writer
from protocol.kernels.executor import Executor
from protocol.program.isa import DType
from protocol.program.node import Operand, OperandKind
from protocol.program.validate import validate_node

STEP = View.whole(Operand(OperandKind.STATE, 0, DType.I32, ()))


def read(view: View, x: np.ndarray) -> np.ndarray:
    """The view's elements, by the node that copies it."""
    writer = Writer(0, STEP)
    writer.copy(view, view.shape, Origin())
    (node,) = writer.nodes
    validate_node(node)
    return Executor(threads=1).run(node, [x])


@st.composite
def movements(draw: st.DrawFn) -> tuple[View, torch.Tensor, np.ndarray]:
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)))
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    view = View.whole(Operand(OperandKind.DATA, 0, DType.F32, shape))
    tensor = torch.from_numpy(x)
    for _ in range(draw(st.integers(1, 5))):
        view, tensor = _moved(draw, view, tensor)
    return view, tensor, x


def _moved(draw: st.DrawFn, view: View, tensor: torch.Tensor) -> tuple[View, torch.Tensor]:
    rank = tensor.dim()
    kind = draw(st.sampled_from(["permute", "unsqueeze", "expand", "slice", "select", "flip"]))
    if kind == "unsqueeze" and rank < 5:
        dim = draw(st.integers(-rank - 1, rank))
        return view.unsqueeze(dim), tensor.unsqueeze(dim)
    if kind == "expand" and rank < 5:
        size = draw(st.integers(1, 3))
        shape = [size, *(3 if d == 1 else -1 for d in tensor.shape)]
        return view.expand(shape), tensor.expand(shape)
    if rank == 0:
        return view, tensor
    dim = draw(st.integers(0, rank - 1))
    length = tensor.shape[dim]
    if kind == "permute":
        order = draw(st.permutations(range(rank)))
        return view.permute(order), tensor.permute(order)
    if kind == "flip":
        return view.flip([dim]), tensor.flip(dim)
    if kind == "select":
        index = draw(st.integers(-length, length - 1))
        return view.select(dim, index), tensor.select(dim, index)
    start = draw(st.integers(0, length - 1))
    stop, step = draw(st.integers(start + 1, length)), draw(st.integers(1, 3))
    part = [slice(None)] * rank
    part[dim] = slice(start, stop, step)
    return view.slice(dim, start, stop, step), tensor[tuple(part)]


@given(movements())
def test_any_chain_of_movements_reads_what_torch_reads(case) -> None:
    view, tensor, x = case
    assert view.shape == tuple(tensor.shape)
    np.testing.assert_array_equal(read(view, x), tensor.numpy())


@given(movements(), st.data())
def test_reshape_without_a_copy_reads_what_torch_reads(case, data) -> None:
    view, tensor, x = case
    shape: list[int] = []
    left = tensor.numel()
    while left > 1:
        size = data.draw(st.sampled_from([d for d in range(2, left + 1) if left % d == 0]))
        shape.insert(data.draw(st.integers(0, len(shape))), size)
        left //= size
    if len(shape) < 8:
        shape.insert(data.draw(st.integers(0, len(shape))), 1)
    moved = view.reshape(shape)
    if moved is not None:
        np.testing.assert_array_equal(read(moved, x), tensor.reshape(shape).numpy())


def test_reshape_that_needs_a_copy_says_so() -> None:
    view = View.whole(Operand(OperandKind.DATA, 0, DType.F32, (2, 3)))
    assert view.permute([1, 0]).reshape((6,)) is None
    assert view.expand((4, 2, 3)).reshape((8, 3)) is None
    assert view.reshape((3, 1, 2)) is not None
