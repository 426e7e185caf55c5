"""Every implementation of SHA-256 on this machine, at every number of messages side by side."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

import numpy as np
import pymerkle
import pytest

from protocol.cli.errors import explain
from protocol.merkle import _hash, tensor_root

NAMES = _hash.implementations()
BYTES = np.random.default_rng(5).integers(0, 256, 1_700_000, dtype=np.uint8)
WIDEST = 16
"""Messages that the widest kernel hashes at a time."""

# NIST, "additional SHA-256 test vectors": messages of zero bytes, so a leaf's prefix begins them.
ZEROS = {
    55: "02779466cdec163811d078815c633f21901413081449002f24aa3e80f0b88ef7",
    56: "d4817aa5497628e7c77e6b606107042bbba3130888c5f47a375e6179be789fbb",
    57: "65a16cb7861335d5ace3c60718b5052e44660726da4cd13bb745381b235a1785",
    64: "f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb4b",
    1000: "541b3e9daa09b20bf85fa273e5cbd3e80185aa4ec298e765db87742b70138a53",
    1_000_000: "d29751f2649b32ff572b5e0a9f541ea660a50f94ff0beedfb0b692b924cc8025",
}


def leaves(data: bytes, size: int) -> list[bytes]:
    return [sha256(b"\0" + data[i : i + size]).digest() for i in range(0, len(data), size)]


def root(data: bytes) -> bytes:
    """Root of the chunks of `data` by pymerkle."""
    tree = pymerkle.InmemoryTree(algorithm="sha256")
    for i in range(0, len(data), 1024):
        tree.append_entry(data[i : i + 1024])
    return tree.get_root()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", ZEROS)
def test_leaf_of_zero_bytes_has_the_digest_that_nist_gives(name: str, size: int) -> None:
    for count in (1, 2, WIDEST - 1, WIDEST):
        hashes = _hash.leaf_hashes(bytes((size - 1) * count), size - 1, 1, name)
        assert {row.tobytes().hex() for row in hashes} == {ZEROS[size]}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [1, 12, 54, 55, 56, 62, 63, 64, 65, 119, 127, 1023, 1024, 1025])
def test_leaf_hashes_any_number_side_by_side_equal_hashlib(name: str, size: int) -> None:
    expected = b"".join(leaves(BYTES[: size * 2 * WIDEST].tobytes(), size))
    for count in range(1, 2 * WIDEST + 1):
        whole = _hash.leaf_hashes(BYTES[: size * count], size, 1, name)
        assert whole.tobytes() == expected[: 32 * count]
        if size > 1:
            short = BYTES[: size * count - 1]
            last = leaves(short[size * (count - 1) :].tobytes(), size)[0]
            hashes = _hash.leaf_hashes(short, size, 1, name)
            assert hashes.tobytes() == expected[: 32 * (count - 1)] + last


@pytest.mark.parametrize("name", NAMES)
def test_leaf_hashes_at_any_alignment_equal_hashlib(name: str) -> None:
    for offset in range(65):
        data = BYTES[offset : offset + 1024 * (WIDEST + 3) + 5]
        assert _hash.leaf_hashes(data, 1024, 1, name).tobytes() == b"".join(
            leaves(data.tobytes(), 1024)
        )


@pytest.mark.parametrize("name", NAMES)
def test_levels_any_number_of_nodes_equal_hashlib(name: str) -> None:
    for count in range(2, 4 * WIDEST + 3):
        nodes = BYTES[: 32 * count].reshape(count, 32)
        pairs = range(0, count - count % 2, 2)
        above = [sha256(b"\1" + nodes[i : i + 2].tobytes()).digest() for i in pairs]
        above += [nodes[-1].tobytes()] * (count % 2)
        assert _hash.levels(nodes, 1, name)[0].tobytes() == b"".join(above)


@pytest.fixture(scope="module")
def tensors() -> list[np.ndarray]:
    sizes = [1, 1023, 1024, 1025, 15 * 1024, 33 * 1024 + 9, 511 * 1024, 512 * 1024, 513 * 1024 + 7]
    return [BYTES[i : i + size] for i, size in enumerate([*sizes, 1_600_003])]


@pytest.fixture(scope="module")
def roots(tensors: list[np.ndarray]) -> list[bytes]:
    return [root(tensor.tobytes()) for tensor in tensors]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("threads", [1, 2, 3, 4, 5])
def test_tensor_roots_equal_pymerkle(
    name: str, threads: int, tensors: list[np.ndarray], roots: list[bytes]
) -> None:
    assert _hash.tensor_roots(tensors, threads, name) == roots


def test_tensor_roots_of_hundreds_of_small_tensors_keep_their_order() -> None:
    small = [BYTES[i : i + 1 + i % 1500] for i in range(700)]
    expected = [root(tensor.tobytes()) for tensor in small]
    for threads in (1, 2, 5):
        assert _hash.tensor_roots(small, threads) == expected


def test_tensor_roots_called_from_many_threads_at_once_are_right(
    tensors: list[np.ndarray], roots: list[bytes]
) -> None:
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda _: _hash.tensor_roots(tensors, 3), range(60)))
    assert all(result == roots for result in results)


FORK = """
import os
from protocol.merkle import tensor_root
data = bytes(range(256)) * 8192
root = tensor_root(data, threads=3)
child = os.fork()
if child == 0:
    grandchild = os.fork()
    right = tensor_root(data, threads=3) == root
    if grandchild == 0:
        os._exit(0 if right else 1)
    os._exit(0 if right and os.waitpid(grandchild, 0)[1] == 0 else 1)
assert os.waitpid(child, 0)[1] == 0
print(root.hex())
"""


def test_tensor_root_in_a_forked_child_is_the_parents() -> None:
    command = [sys.executable, "-W", "error", "-c", FORK]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == tensor_root(bytes(range(256)) * 8192).hex()


def test_implementations_end_with_portable_and_hold_the_chosen_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("PINPOINT_SHA256", raising=False)
    assert NAMES[-1] == "portable"
    assert _hash.implementation() in NAMES
    assert len(NAMES) == 1 or _hash.implementation() != "portable"
    monkeypatch.setenv("PINPOINT_SHA256", "")
    assert _hash.implementation() in NAMES


def test_implementation_given_counts_before_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PINPOINT_SHA256", "md5")
    assert _hash.tensor_roots([b"x"], 1, "portable") == [sha256(b"\0x").digest()]
    for call in (
        lambda: _hash.tensor_roots([b"x"]),
        lambda: _hash.leaf_hashes(b"x", 1),
        lambda: _hash.levels(np.zeros((2, 32), np.uint8)),
        _hash.implementation,
    ):
        with pytest.raises(ValueError, match='PINPOINT_SHA256 is "md5", which is no'):
            call()


@pytest.mark.parametrize("name", ["md5", "", "AVX512", "avx512 "])
def test_implementation_unknown_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(_hash.ImplementationError) as refused:
        _hash.leaf_hashes(b"x", 1, 1, name)
    text = str(refused.value)
    assert f'sha256 is "{name}"' in text
    assert f"this machine has {', '.join(NAMES)}:" in text
    error = explain(refused.value)
    assert "PINPOINT_SHA256" in error.todo
    assert error.why == text


def test_implementation_of_another_machine_is_refused_as_such() -> None:
    known = {"avx512", "shani", "avx2", "armv8", "portable"}
    missing = known - set(NAMES)
    assert missing, "no machine has the instructions of x86 and of Arm"
    for name in missing:
        with pytest.raises(_hash.ImplementationError, match="instructions this machine lacks"):
            _hash.tensor_roots([b"x"], 1, name)
