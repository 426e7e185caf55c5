"""The numbers that words make: where they lie, and how near the inverse error function is."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from protocol.capture.writing import draws
from protocol.kernels.executor import Executor
from protocol.program.builder import FoldBuilder
from protocol.program.isa import DType
from protocol.program.node import Operand, OperandKind

EXTREME = np.array([0, 127, 128, 0x7FFFFFFF, 0x80000000, 0xFFFFFF80, 0xFFFFFFFF], np.uint32)


def run(emit, given: np.ndarray) -> np.ndarray:
    dtype = DType.F32 if given.dtype == np.float32 else DType.I32
    b = FoldBuilder(DType.F32, given.shape)
    operand = Operand(OperandKind.DATA, 0, dtype, given.shape)
    node = b.finish(emit(b, b.load(operand, [b.out(0).axis(given.size, 1)])))
    return Executor(1).run(node, [given.view(dtype.numpy)])


def test_numbers_between_minus_one_and_one_are_odd_multiples_of_the_smallest_step() -> None:
    words = np.concatenate([EXTREME, np.arange(0, 1 << 32, 65_537, dtype=np.uint32)])
    own = run(draws.between, words).astype(np.float64) * 2**24
    expected = (words.view(np.int32) >> 7) | 1
    np.testing.assert_array_equal(own, expected)
    assert own.min() == -(2**24) + 1
    assert own.max() == 2**24 - 1


def test_inverse_error_function_is_within_three_ten_millionths() -> None:
    odd = np.arange(-(2**24) + 1, 2**24, 514).astype(np.float64)
    near = 2**24 - np.arange(1, 4001, 2).astype(np.float64)
    x = (np.concatenate([odd, near, -near]) / 2**24).astype(np.float32)
    expected = torch.erfinv(torch.from_numpy(x).double()).numpy()
    assert np.abs(run(draws.erfinv, x) / expected - 1).max() < 3e-7


@pytest.mark.parametrize("ends", [(-1.0, 1.0), (0.999, 1.0), (-1.0, -0.3), (-0.9999999, 0.9999999)])
def test_stretched_numbers_stay_inside_minus_one_and_one(ends: tuple[float, float]) -> None:
    x = np.array([-draws.LARGEST, -0.5, 0.5, draws.LARGEST], np.float32)
    own = run(lambda b, v: draws.stretched(b, v, *ends), x)
    assert np.abs(own).max() <= draws.LARGEST
    assert (np.diff(own) > 0).all()
    np.testing.assert_allclose(own[[0, -1]], ends, atol=2e-7)
    assert np.isfinite(run(draws.erfinv, own)).all()
