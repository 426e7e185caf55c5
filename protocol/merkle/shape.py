"""The shape of a tree of a given size: which node covers which leaves.

A tree of `size` leaves splits at the largest power of two below `size` (RFC 9162, section 2.1.1).
Counted upwards from the leaves, that is the same as pairing neighbours level by level and moving a
node without a sibling up unchanged: the node `i` of level `h` covers the leaves from `i << h` up to
`(i + 1) << h`, cut off at the end of the tree. A range of leaves is a pair (first leaf, number of
leaves). Everything here follows from sizes alone, so that no proof has to be believed about them.
"""

SIZE_LIMIT = 1 << 64
"""Sizes and indices are unsigned 64-bit numbers, as on chain."""


def compute_height(size: int) -> int:
    """Levels between the leaves and the root of a tree of `size` >= 1 leaves: ceil(log2(size))."""
    return (size - 1).bit_length()


def is_node(low: int, count: int, size: int) -> bool:
    """Whether the leaves low .. low+count-1 are all leaves under one node of a tree of `size`."""
    if low < 0 or count < 1 or low + count > size:
        return False
    width = 1 << compute_height(count)
    return low % width == 0 and (count == width or low + count == size)


def inclusion_ranges(index: int, size: int) -> list[tuple[int, int]]:
    """Ranges of the nodes in an inclusion proof, in proof order: from the leaf to the root."""
    ranges = []
    for height in range(compute_height(size)):
        sibling = (index >> height) ^ 1
        low = sibling << height
        if low < size:
            ranges.append((low, min(1 << height, size - low)))
    return ranges


def consistency_ranges(old_size: int, new_size: int) -> list[tuple[int, int]]:
    """Ranges of the nodes in a consistency proof, in proof order (RFC 9162, section 2.1.4.1).

    The proof starts with the largest complete subtree that ends the old tree, unless that is the
    whole old tree (the verifier knows its root), and goes on with the siblings on the way up.
    """
    if old_size == new_size:
        return []
    # The last leaf of the old tree, and the highest complete subtree that ends with it.
    height = (old_size & -old_size).bit_length() - 1
    low = old_size - (1 << height)
    ranges = [] if low == 0 else [(low, 1 << height)]
    for above in range(height, compute_height(new_size)):
        sibling = (low >> above) ^ 1
        sibling_low = sibling << above
        if sibling_low < new_size:
            ranges.append((sibling_low, min(1 << above, new_size - sibling_low)))
    return ranges


def compute_inclusion_length(index: int, size: int) -> int:
    """Number of nodes in the inclusion proof of leaf `index` < `size`.

    Below the level where the paths of this leaf and of the last leaf meet, every level has a
    sibling; above it only those levels where the path is a right child.
    """
    inner = (index ^ (size - 1)).bit_length()
    return inner + (index >> inner).bit_count()


def compute_consistency_length(old_size: int, new_size: int) -> int:
    """Number of nodes in the consistency proof between 1 <= `old_size` <= `new_size`."""
    if old_size == new_size:
        return 0
    shift = (old_size & -old_size).bit_length() - 1
    seed = 0 if old_size == 1 << shift else 1
    return seed + compute_inclusion_length(old_size - 1, new_size) - shift
