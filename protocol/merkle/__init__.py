"""Merkle trees of RFC 9162 with SHA-256: one tree shape for all commitments.

Read in this order: `hashing`, `shape`, `tree`, `proof`, `subroots`, `tensor`, `log`.
"""

from protocol.merkle.errors import ProofError, Refusal
from protocol.merkle.hashing import leaf_hash, node_hash
from protocol.merkle.proof import root_from_inclusion, verify_consistency, verify_inclusion
from protocol.merkle.shape import compute_consistency_length, compute_inclusion_length
from protocol.merkle.subroots import child_range, compute_child_count, frontier, recombine, subroots
from protocol.merkle.tensor import (
    CHUNK_BYTES,
    TensorTree,
    chunk_count,
    chunk_length,
    tensor_root,
    tensor_roots,
)
from protocol.merkle.tree import MerkleTree, root_of_leaves

__all__ = [
    "CHUNK_BYTES",
    "MerkleTree",
    "ProofError",
    "Refusal",
    "TensorTree",
    "child_range",
    "chunk_count",
    "chunk_length",
    "compute_child_count",
    "compute_consistency_length",
    "compute_inclusion_length",
    "frontier",
    "leaf_hash",
    "node_hash",
    "recombine",
    "root_from_inclusion",
    "root_of_leaves",
    "subroots",
    "tensor_root",
    "tensor_roots",
    "verify_consistency",
    "verify_inclusion",
]
