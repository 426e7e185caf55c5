"""The native module: every implementation of SHA-256 against hashlib at every padding boundary."""

import sys
import threading
from hashlib import sha256

import numpy as np
import pytest

from protocol.merkle import _hash

BYTES = bytes(np.random.default_rng(3).integers(0, 256, 300_000, dtype=np.uint8))


@pytest.fixture(params=_hash.implementations())
def implementation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PINPOINT_SHA256", request.param)
    assert _hash.implementation() == request.param
    return request.param


@pytest.mark.usefixtures("implementation")
def test_leaf_hashes_every_length_to_200_equal_hashlib() -> None:
    for size in range(1, 201):
        data = BYTES[: 5 * size]
        expected = [sha256(b"\0" + data[i : i + size]).digest() for i in range(0, 5 * size, size)]
        assert _hash.leaf_hashes(data, size).tobytes() == b"".join(expected)


@pytest.mark.usefixtures("implementation")
@pytest.mark.parametrize("leaf_size", [32, 63, 64, 1024, 4096])
@pytest.mark.parametrize("length", [1, 1023, 2048, 262_145])
def test_leaf_hashes_with_a_short_last_leaf_equal_hashlib(leaf_size: int, length: int) -> None:
    data = BYTES[:length]
    cuts = range(0, length, leaf_size)
    expected = b"".join(sha256(b"\0" + data[i : i + leaf_size]).digest() for i in cuts)
    for threads in (1, 3):
        hashes = _hash.leaf_hashes(data, leaf_size, threads)
        assert hashes.shape == (len(cuts), 32)
        assert hashes.tobytes() == expected


@pytest.mark.usefixtures("implementation")
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7, 1023, 1024, 1025, 4097])
def test_levels_any_count_equal_hashlib(count: int) -> None:
    nodes = [BYTES[32 * i : 32 * i + 32] for i in range(count)]
    leaves = np.frombuffer(b"".join(nodes), np.uint8).reshape(count, 32)
    expected = []
    while len(nodes) > 1:
        pairs = [nodes[i : i + 2] for i in range(0, len(nodes), 2)]
        nodes = [sha256(b"\1" + b"".join(p)).digest() if len(p) == 2 else p[0] for p in pairs]
        expected.append(b"".join(nodes))
    for threads in (1, 2):
        assert [level.tobytes() for level in _hash.levels(leaves, threads)] == expected


def test_leaf_hashes_empty_buffer_gives_no_hashes() -> None:
    assert _hash.leaf_hashes(b"", 32).shape == (0, 32)


@pytest.mark.parametrize("threads", [0, -1])
def test_threads_below_one_are_refused(threads: int) -> None:
    for call in (
        lambda: _hash.leaf_hashes(b"x", 32, threads),
        lambda: _hash.levels(np.zeros((2, 32), np.uint8), threads),
        lambda: _hash.tensor_roots([b"x"], threads),
    ):
        with pytest.raises(ValueError, match="give at least 1"):
            call()


def test_leaf_size_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="leaf_size is 0"):
        _hash.leaf_hashes(b"x", 0)


@pytest.mark.parametrize("shape", [(0, 32), (4, 31), (32,)])
def test_levels_array_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises((TypeError, ValueError)):
        _hash.levels(np.zeros(shape, np.uint8))


def test_hashing_releases_the_gil_and_keeps_no_reference() -> None:
    data = bytearray(64 << 20)
    references = sys.getrefcount(data)
    done = threading.Event()

    def hash_all() -> None:
        _hash.tensor_roots([data])
        done.set()

    worker = threading.Thread(target=hash_all)
    worker.start()
    turns = 0
    while not done.wait(0.001):
        turns += 1
    worker.join()
    assert turns >= 3
    assert sys.getrefcount(data) == references
    data.append(0)
