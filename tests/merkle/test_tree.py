"""Trees against the RFC written down naively, and against pymerkle."""

import random

import numpy as np
import pymerkle
import pytest

from protocol.merkle import MerkleTree, leaf_hash, node_hash, root_of_leaves
from tests.merkle import rfc9162

SIZES = range(1, 131)


@pytest.fixture(scope="module")
def trees() -> dict[int, MerkleTree]:
    return {size: MerkleTree(rfc9162.values(size)) for size in SIZES}


def test_tree_every_size_to_130_has_the_root_of_the_rfc(trees: dict[int, MerkleTree]) -> None:
    for size, tree in trees.items():
        assert tree.size == size
        assert tree.root == rfc9162.mth(0, size)


def test_tree_every_inclusion_proof_is_the_path_of_the_rfc(trees: dict[int, MerkleTree]) -> None:
    for size, tree in trees.items():
        for index in range(size):
            assert tree.inclusion_proof(index) == rfc9162.path(index, 0, size), (index, size)


def test_tree_every_consistency_proof_is_the_proof_of_the_rfc(trees: dict[int, MerkleTree]) -> None:
    for size, tree in trees.items():
        for old in range(1, size + 1):
            assert tree.consistency_proof(old) == rfc9162.proof(old, size), (old, size)
            assert tree.root_at(old) == rfc9162.mth(0, old)


def test_tree_every_size_agrees_with_pymerkle(trees: dict[int, MerkleTree]) -> None:
    theirs = pymerkle.InmemoryTree(algorithm="sha256")
    for size, tree in trees.items():
        theirs.append_entry(rfc9162.value(size - 1))
        assert tree.root == theirs.get_root()
        for index in range(size):
            path = theirs.prove_inclusion(index + 1).path
            assert [tree.leaf_hash(index), *tree.inclusion_proof(index)] == path


def test_tree_subroot_exists_exactly_for_the_nodes_of_the_rfc(trees: dict[int, MerkleTree]) -> None:
    for size in (1, 2, 3, 5, 21, 32, 33, 50, 130):
        nodes = set(rfc9162.nodes(0, size))
        for low in range(size + 1):
            for high in range(low, size + 2):
                if (low, high) in nodes:
                    assert trees[size].subroot(low, high - low) == rfc9162.mth(low, high)
                else:
                    with pytest.raises(IndexError):
                        trees[size].subroot(low, high - low)


@pytest.mark.parametrize("bad", [-1, 5, 6])
def test_tree_index_outside_raises(trees: dict[int, MerkleTree], bad: int) -> None:
    with pytest.raises(IndexError):
        trees[5].inclusion_proof(bad)
    with pytest.raises(IndexError):
        trees[5].leaf_hash(bad)


@pytest.mark.parametrize("bad", [-1, 0, 6])
def test_tree_old_size_outside_raises(trees: dict[int, MerkleTree], bad: int) -> None:
    with pytest.raises(IndexError):
        trees[5].consistency_proof(bad)
    with pytest.raises(IndexError):
        trees[5].root_at(bad)


def test_tree_without_leaves_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 leaf"):
        MerkleTree([])
    with pytest.raises(ValueError, match="at least 1 leaf"):
        MerkleTree(np.zeros((0, 32), np.uint8))


def test_tree_one_leaf_has_the_leaf_hash_as_root_and_an_empty_proof() -> None:
    tree = MerkleTree([b"only"])
    assert tree.root == leaf_hash(b"only")
    assert tree.inclusion_proof(0) == []
    assert tree.consistency_proof(1) == []


def test_tree_leaves_of_any_lengths_are_hashed_one_by_one() -> None:
    leaves = [b"", b"a", b"bc" * 600]
    expected = node_hash(node_hash(*map(leaf_hash, leaves[:2])), leaf_hash(leaves[2]))
    assert root_of_leaves(leaves) == expected
    assert root_of_leaves([b"", b""]) == node_hash(leaf_hash(b""), leaf_hash(b""))


def test_tree_array_rows_are_leaves() -> None:
    leaves = rfc9162.values(77)
    rows = np.frombuffer(b"".join(leaves), np.uint8).reshape(77, 32)
    assert MerkleTree(rows).root == rfc9162.mth(0, 77)
    spread = np.repeat(rows, 2, axis=0)[::2]
    assert MerkleTree(spread).root == rfc9162.mth(0, 77)
    hashes = np.frombuffer(b"".join(map(leaf_hash, leaves)), np.uint8).reshape(77, 32)
    assert MerkleTree.from_leaf_hashes(hashes).root == rfc9162.mth(0, 77)


@pytest.mark.parametrize(
    "leaves", [np.zeros(64, np.uint8), np.zeros((2, 32), np.int32), np.zeros((2, 0), np.uint8)]
)
def test_tree_array_of_another_form_is_refused(leaves: np.ndarray) -> None:
    with pytest.raises(ValueError, match="bytes per leaf"):
        MerkleTree(leaves)


def test_tree_of_two_to_the_20_and_a_bit_proves_its_edges() -> None:
    size = (1 << 20) + 3
    rows = np.arange(size * 4, dtype=np.uint64).view(np.uint8).reshape(size, 32)
    tree = MerkleTree(rows, threads=2)
    assert MerkleTree(rows).root == tree.root
    edges = [0, 1, 1 << 19, (1 << 20) - 1, 1 << 20, size - 1, random.Random(1).randrange(size)]
    for index in edges:
        given = tree.inclusion_proof(index)
        assert rfc9162.includes(leaf_hash(rows[index].tobytes()), index, size, tree.root, given)
    for old in (1, 3, 1 << 19, 1 << 20, (1 << 20) + 1, size - 1):
        given = tree.consistency_proof(old)
        assert rfc9162.consistent(old, tree.root_at(old), size, tree.root, given)
