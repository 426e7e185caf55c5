"""Bisection of a tree: a node is opened into at most 32 nodes below it.

The frontier of a node follows from the number of leaves under it alone: its leaves are cut into
runs of one width, the smallest power of two that gives at most `fanout` runs, and the last run may
be shorter. Each run is a node of the tree, and the node's hash is the root over the runs' hashes.
One round takes log2(fanout) levels, so that a node of n leaves is down to one leaf after
ceil(log32(n)) rounds. `contracts/libraries/Merkle.sol` computes the same.
"""

from collections.abc import Sequence

from protocol.merkle.errors import ProofError, Refusal
from protocol.merkle.hashing import node_hash
from protocol.merkle.shape import compute_height
from protocol.merkle.tree import MerkleTree

FANOUT = 32


def compute_child_width(size: int, fanout: int = FANOUT) -> int:
    """Leaves under each child of a node over `size` >= 2 leaves (the last child may have fewer).

    Args:
        size: leaves under the node.
        fanout: largest number of children, a power of two.

    Raises:
        ProofError: SINGLE_LEAF; a leaf is opened, not bisected: that would not shrink the range.
    """
    if size < 2:
        raise ProofError(Refusal.SINGLE_LEAF, "at least 2 leaves", size, "open the leaf instead")
    return 1 << max(0, compute_height(size) - compute_height(fanout))


def compute_child_count(size: int, fanout: int = FANOUT) -> int:
    """Number of children in the frontier of a node over `size` leaves, 2 to `fanout`."""
    return -(-size // compute_child_width(size, fanout))


def child_range(low: int, size: int, child: int, fanout: int = FANOUT) -> tuple[int, int]:
    """Range (first leaf, number of leaves) of one child of the node over low .. low+size-1.

    Raises:
        ProofError: SINGLE_LEAF, or CHILD_OUT_OF_RANGE.
    """
    width, count = compute_child_width(size, fanout), compute_child_count(size, fanout)
    if not 0 <= child < count:
        advice = "pick one of the revealed children"
        raise ProofError(Refusal.CHILD_OUT_OF_RANGE, f"a child below {count}", child, advice)
    return low + child * width, min(width, size - child * width)


def frontier(low: int, size: int, fanout: int = FANOUT) -> list[tuple[int, int]]:
    """Ranges (first leaf, number of leaves) of all children of the node over low .. low+size-1."""
    count = compute_child_count(size, fanout)
    return [child_range(low, size, child, fanout) for child in range(count)]


def subroots(tree: MerkleTree, low: int, size: int, fanout: int = FANOUT) -> list[bytes]:
    """Hashes of the children of a node of `tree`: what its owner reveals when asked to bisect."""
    return [tree.subroot(*child) for child in frontier(low, size, fanout)]


def recombine(size: int, children: Sequence[bytes], fanout: int = FANOUT) -> bytes:
    """Hash of the node over `size` leaves whose frontier has these hashes.

    Raises:
        ProofError: SINGLE_LEAF, or WRONG_CHILD_COUNT.
    """
    count = compute_child_count(size, fanout)
    if len(children) != count:
        advice = "reveal the whole frontier"
        raise ProofError(Refusal.WRONG_CHILD_COUNT, count, len(children), advice)
    level = list(children)
    while len(level) > 1:
        pairs = zip(level[0::2], level[1::2], strict=False)
        above = [node_hash(left, right) for left, right in pairs]
        level = above + level[2 * len(above) :]
    return level[0]
