"""Roots hashed by the CUDA kernels, run on the CPU by the shim, are those of `protocol.merkle`."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from protocol.kernels.cuda.hashing import TensorHasher
from protocol.merkle import tensor_roots
from tests.kernels.cuda.shim.host import HostDevice

# Around every edge of SHA-256's padding, of a chunk, and of a tree's levels.
SIZES = [1, 2, 3, 4, 5, 53, 54, 55, 56, 62, 63, 64, 118, 119, 120, 1023, 1024, 1025, 2047, 2048]
CHUNKS = [3, 4, 5, 7, 8, 9, 33, 300]


@pytest.fixture(scope="module")
def hasher() -> TensorHasher:
    return TensorHasher(HostDevice())


def test_roots_bytes_of_all_lengths_equal_merkle(hasher) -> None:
    generator = np.random.default_rng(0)
    sizes = [*SIZES, *(1024 * n + d for n in CHUNKS for d in (-1, 0, 1))]
    arrays = [generator.integers(0, 256, size, dtype=np.uint8) for size in sizes]
    assert hasher.roots([torch.from_numpy(a) for a in arrays]) == tensor_roots(arrays)


def test_roots_words_and_scalars_equal_merkle(hasher) -> None:
    arrays = [np.array(1.5, "<f4"), np.arange(5000, dtype="<i4").reshape(50, 100)]
    assert hasher.roots([torch.from_numpy(a) for a in arrays]) == tensor_roots(arrays)


def test_roots_bytes_that_start_between_words_equal_merkle(hasher) -> None:
    array = np.arange(3000, dtype=np.uint8)
    for start in (1, 2, 3):
        tensor = torch.from_numpy(array)[start:]
        assert tensor.data_ptr() % 4
        assert hasher.roots([tensor]) == tensor_roots([array[start:]])


def test_roots_of_nothing_are_none(hasher) -> None:
    assert hasher.roots([]) == []
