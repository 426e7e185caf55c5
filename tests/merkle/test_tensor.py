"""Tensor commitments against hashlib, over every chunk boundary (traps X06 and X07)."""

import numpy as np
import pytest

from protocol.merkle import (
    MerkleTree,
    TensorTree,
    chunk_count,
    chunk_length,
    leaf_hash,
    root_of_leaves,
    tensor_root,
    tensor_roots,
    verify_inclusion,
)

BYTES = bytes(np.random.default_rng(7).integers(0, 256, 1 << 20, dtype=np.uint8))
LENGTHS = [1, 4, 32, 62, 63, 64, 1020, 1023, 1024, 1025, 2047, 2048, 2049, 3072, 5000, 70_000]


def chunks(data: bytes) -> list[bytes]:
    return [data[i : i + 1024] for i in range(0, len(data), 1024)]


@pytest.mark.parametrize("length", LENGTHS)
def test_tensor_any_length_is_the_tree_of_its_chunks(length: int) -> None:
    data = BYTES[:length]
    tree = TensorTree(data)
    assert tensor_root(data) == tree.root == MerkleTree(chunks(data)).root
    assert tree.size == chunk_count(length, 1) == len(chunks(data))
    for i, chunk in enumerate(chunks(data)):
        assert tree.chunk(i) == chunk
        assert len(chunk) == chunk_length(length, 1, i)
        verify_inclusion(tree.root, leaf_hash(chunk), i, tree.size, tree.inclusion_proof(i))


@pytest.mark.parametrize("pieces", [1023, 1024, 1025, 2048, 2049, 3000, 5121])
def test_tensor_across_pieces_of_work_has_the_same_root_on_any_threads(pieces: int) -> None:
    data = np.resize(np.frombuffer(BYTES, np.uint8), pieces * 1024 - 5)
    expected = root_of_leaves(chunks(data.tobytes()))
    assert {tensor_root(data, threads=n) for n in (1, 2, 3, 16)} == {expected}
    assert TensorTree(data, threads=3).root == expected


def test_tensor_roots_of_many_are_each_its_own() -> None:
    tensors = [BYTES[i : i + n] for i, n in enumerate([1, 1024, 1025, 1 << 20, 7])]
    expected = [tensor_root(t) for t in tensors]
    assert tensor_roots(tensors) == tensor_roots(tensors, threads=4) == expected
    assert tensor_roots([]) == []


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.uint8])
def test_tensor_array_is_its_little_endian_bytes(dtype: type) -> None:
    array = np.arange(1200).astype(dtype).reshape(30, 40)
    assert tensor_root(array) == tensor_root(array.tobytes())
    assert TensorTree(array).size == chunk_count(array.size, array.itemsize)


def test_tensor_scalar_is_one_chunk_of_four_bytes() -> None:
    step = np.array(258, dtype=np.int32)
    assert tensor_root(step) == leaf_hash(b"\x02\x01\x00\x00")
    assert TensorTree(step).chunk(0) == b"\x02\x01\x00\x00"


def test_tensor_big_endian_array_is_refused() -> None:
    with pytest.raises(ValueError, match=r"astype\('<f4'\)"):
        tensor_root(np.zeros(3, ">f4"))


def test_tensor_not_row_major_is_refused() -> None:
    with pytest.raises(ValueError, match="ascontiguousarray"):
        tensor_root(np.zeros((3, 4), np.float32).T)
    with pytest.raises(TypeError):
        tensor_root(memoryview(BYTES)[::2])


def test_tensor_without_bytes_is_refused() -> None:
    with pytest.raises(ValueError, match="tensor 1 has 0 bytes"):
        tensor_roots([b"x", b""])
    with pytest.raises(ValueError, match="at least 1 leaf"):
        TensorTree(np.zeros((0, 3), np.float32))


@pytest.mark.parametrize("index", [-1, 3])
def test_tensor_chunk_outside_raises(index: int) -> None:
    tree = TensorTree(BYTES[:3000])
    with pytest.raises(IndexError):
        tree.chunk(index)
    with pytest.raises(IndexError):
        chunk_length(750, 4, index)


def test_chunk_count_of_the_stored_types_is_256_words_or_1024_bytes() -> None:
    assert [chunk_count(n, 4) for n in (1, 256, 257)] == [1, 1, 2]
    assert [chunk_count(n, 1) for n in (1, 1024, 1025)] == [1, 1, 2]
    assert chunk_length(257, 4, 1) == 4


def test_tensor_read_only_and_writable_buffers_are_the_same() -> None:
    assert tensor_root(bytearray(BYTES)) == tensor_root(memoryview(BYTES)) == tensor_root(BYTES)
