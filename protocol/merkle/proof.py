"""Checks of inclusion and consistency proofs (RFC 9162, sections 2.1.3.2 and 2.1.4.2).

The verifier knows every size from the task, never from the party that proves. So the index must lie
below the size, the proof has exactly the length that the sizes give, and every node of it is used.
Each check has a twin in `contracts/libraries/Merkle.sol` that refuses for the same reason.
"""

from collections.abc import Sequence

from protocol.merkle.errors import ProofError, Refusal
from protocol.merkle.hashing import DIGEST_BYTES, node_hash
from protocol.merkle.shape import (
    SIZE_LIMIT,
    compute_consistency_length,
    compute_inclusion_length,
)


def root_from_inclusion(leaf_hash: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """Root that a tree of `size` leaves must have if leaf `index` has this hash.

    Raises:
        ProofError: INDEX_OUT_OF_RANGE, WRONG_LENGTH, SIZE_TOO_LARGE or WRONG_NODE_LENGTH.
    """
    if not 0 <= index < size:
        advice = "give the index of a leaf of this tree"
        raise ProofError(Refusal.INDEX_OUT_OF_RANGE, f"an index below {size}", index, advice)
    _check_size(size)
    _check_proof(compute_inclusion_length(index, size), [leaf_hash], proof)
    inner = (index ^ (size - 1)).bit_length()
    return _chain(leaf_hash, proof, index, inner)


def verify_inclusion(
    root: bytes, leaf_hash: bytes, index: int, size: int, proof: Sequence[bytes]
) -> None:
    """Check that leaf `index` of the tree with this root and size has this hash.

    Args:
        root: 32 bytes.
        leaf_hash: 32 bytes, the hash of the leaf's value and not the value.
        index: position of the leaf, from 0.
        size: number of leaves.
        proof: 32-byte siblings from the leaf to the root.

    Raises:
        ProofError: the reasons of `root_from_inclusion`, or ROOT_MISMATCH.
    """
    _match(Refusal.ROOT_MISMATCH, root, root_from_inclusion(leaf_hash, index, size, proof))


def verify_consistency(
    size1: int, root1: bytes, size2: int, root2: bytes, proof: Sequence[bytes]
) -> None:
    """Check that the tree (size1, root1) is the beginning of the tree (size2, root2).

    Equal sizes need equal roots and an empty proof. Nothing can be proven about an empty tree.

    Raises:
        ProofError: SIZE_ZERO, SIZES_REVERSED, SIZE_TOO_LARGE, WRONG_LENGTH, WRONG_NODE_LENGTH,
            OLD_ROOT_MISMATCH (the proof does not give root1) or NEW_ROOT_MISMATCH.
    """
    if size1 < 1:
        raise ProofError(Refusal.SIZE_ZERO, "at least 1 leaf", size1, "prove from a non-empty tree")
    if size1 > size2:
        advice = "give the smaller size first"
        raise ProofError(Refusal.SIZES_REVERSED, f"at most {size2} leaves", size1, advice)
    _check_size(size2)
    _check_proof(compute_consistency_length(size1, size2), [root1, root2], proof)
    if size1 == size2:
        _match(Refusal.NEW_ROOT_MISMATCH, root1, root2)
        return
    # Below `shift` the old tree's last leaf is a right child everywhere: the proof starts above.
    shift = (size1 & -size1).bit_length() - 1
    if size1 == 1 << shift:
        seed, rest = root1, proof
    else:
        seed, rest = proof[0], proof[1:]
    index = (size1 - 1) >> shift
    inner = (index ^ ((size2 - 1) >> shift)).bit_length()
    _match(Refusal.OLD_ROOT_MISMATCH, root1, _chain_left(seed, rest, index, inner))
    _match(Refusal.NEW_ROOT_MISMATCH, root2, _chain(seed, rest, index, inner))


def _chain(seed: bytes, proof: Sequence[bytes], index: int, inner: int) -> bytes:
    """Hash from a node up: `inner` levels as the bits of `index` say, then only left siblings."""
    node = seed
    for level, sibling in enumerate(proof):
        if level < inner and not index >> level & 1:
            node = node_hash(node, sibling)
        else:
            node = node_hash(sibling, node)
    return node


def _chain_left(seed: bytes, proof: Sequence[bytes], index: int, inner: int) -> bytes:
    """The same way up in the tree that ends with the seed: right siblings do not exist there."""
    node = seed
    for level, sibling in enumerate(proof):
        if level >= inner or index >> level & 1:
            node = node_hash(sibling, node)
    return node


def _check_size(size: int) -> None:
    if size >= SIZE_LIMIT:
        advice = "sizes are 64-bit numbers on chain"
        raise ProofError(Refusal.SIZE_TOO_LARGE, f"a size below {SIZE_LIMIT}", size, advice)


def _check_proof(length: int, ends: Sequence[bytes], proof: Sequence[bytes]) -> None:
    if len(proof) != length:
        advice = "give exactly the siblings on the path"
        raise ProofError(Refusal.WRONG_LENGTH, length, len(proof), advice)
    for node in (*ends, *proof):
        if len(node) != DIGEST_BYTES:
            advice = "give SHA-256 hashes"
            raise ProofError(Refusal.WRONG_NODE_LENGTH, DIGEST_BYTES, len(node), advice)


def _match(reason: Refusal, expected: bytes, got: bytes) -> None:
    if expected != got:
        advice = "the proof is for another leaf, index, size or tree"
        raise ProofError(reason, expected, got, advice)
