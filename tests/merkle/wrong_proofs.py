"""Wrong proofs with names: what an attacker would try, and why each is refused.

Every case is an honest proof with one thing changed. The reason is found with the naive RFC code
alone; protocol/ and the contracts must both refuse for that reason. After a change here, write
the vectors anew:

    python -m tests.merkle.wrong_proofs
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.merkle import rfc9162

FOLDER = Path(__file__).parents[1] / "vectors" / "merkle"
LARGEST = (1 << 64) - 1
ZERO = bytes(32)
EMPTY_ROOT = sha256(b"").digest()
STRANGER = sha256(b"a node of no tree").digest()

# (index, size): one leaf, two leaves, complete trees, ragged edges, first, middle and last leaf.
INCLUSIONS = [
    (0, 1),
    (0, 2),
    (1, 2),
    (2, 3),
    (5, 8),
    (0, 33),
    (32, 33),
    (9, 21),
    (20, 21),
    (77, 130),
]
# (old size, new size): powers of two, ragged, one leaf added, and no growth.
CONSISTENCIES = [(1, 2), (2, 8), (3, 7), (4, 7), (6, 8), (7, 8), (64, 65), (65, 130), (5, 5)]


@dataclass(frozen=True)
class Inclusion:
    """A claim that leaf `index` of the tree has a hash."""

    root: bytes
    leaf: bytes
    index: int
    size: int
    proof: tuple[bytes, ...]

    def reason(self) -> str | None:
        """The error's name on chain, None if the claim is true."""
        if self.index >= self.size:
            return "IndexOutOfRange"
        if _depth(self.index, self.size) != len(self.proof):
            return "WrongProofLength"
        if rfc9162.includes(self.leaf, self.index, self.size, self.root, list(self.proof)):
            return None
        return "RootMismatch"


@dataclass(frozen=True)
class Consistency:
    """A claim that one tree is the beginning of another."""

    size1: int
    root1: bytes
    size2: int
    root2: bytes
    proof: tuple[bytes, ...]

    def reason(self) -> str | None:
        """The error's name on chain, None if the claim is true."""
        if self.size1 == 0:
            return "EmptyTree"
        if self.size1 > self.size2:
            return "SizesReversed"
        if len(rfc9162.proof(self.size1, self.size2)) != len(self.proof):
            return "WrongProofLength"
        if self.size1 == self.size2:
            return None if self.root1 == self.root2 else "NewRootMismatch"
        roots = rfc9162.roots_from_consistency(self.size1, self.root1, self.size2, list(self.proof))
        assert roots is not None
        if roots[0] != self.root1:
            return "OldRootMismatch"
        return None if roots[1] == self.root2 else "NewRootMismatch"


def wrong_inclusions(index: int, size: int) -> Iterator[tuple[str, Inclusion]]:
    leaf, root = rfc9162.mth(index, index + 1), rfc9162.mth(0, size)
    honest = Inclusion(root, leaf, index, size, tuple(rfc9162.path(index, 0, size)))
    yield "honest", honest
    for name, other in {
        "index_is_size": size,
        "index_above_size": size + 1,
        "index_largest": LARGEST,
        "index_with_a_high_bit": index + (1 << 32),
        "index_after": index + 1,
        "index_before": index - 1,
        "index_of_sibling": index ^ 1,
        "index_of_cousin": index ^ 2,
        "index_mirrored": size - 1 - index,
    }.items():
        if other >= 0:
            yield name, replace(honest, index=other)
    for name, other in {
        "size_zero": 0,
        "size_off_by_one_below": size - 1,
        "size_off_by_one_above": size + 1,
        "size_doubled": 2 * size,
        "size_with_a_high_bit": size + (1 << 32),
        "size_largest": LARGEST,
    }.items():
        yield name, replace(honest, size=other)
    for name, other_root in {
        "root_zero": ZERO,
        "root_of_the_empty_tree": EMPTY_ROOT,
        "root_of_one_leaf_less": rfc9162.mth(0, size - 1) if size > 1 else STRANGER,
        "root_of_one_leaf_more": rfc9162.mth(0, size + 1),
        "root_is_the_value": rfc9162.value(index),
        "root_is_the_leaf": leaf,
        "root_flipped_bit": _flip(root),
    }.items():
        yield name, replace(honest, root=other_root)
    for name, other_leaf in {
        "leaf_zero": ZERO,
        "leaf_is_the_value_unhashed": rfc9162.value(index),
        "leaf_without_prefix": sha256(rfc9162.value(index)).digest(),
        "leaf_with_node_prefix": sha256(b"\x01" + rfc9162.value(index)).digest(),
        "leaf_of_the_next_index": rfc9162.mth(index + 1, index + 2),
        "leaf_is_the_root": root,
        "leaf_flipped_bit": _flip(leaf),
    }.items():
        yield name, replace(honest, leaf=other_leaf)
    for name, other_proof in _wrong_nodes(honest.proof, root, leaf):
        yield name, replace(honest, proof=other_proof)
    if size > 1:
        yield from _confused_levels(honest)
        other = (index + 1) % size
        yield "proof_of_another_leaf", replace(honest, proof=tuple(rfc9162.path(other, 0, size)))
        longer = tuple(rfc9162.path(index, 0, size + 1))
        yield "proof_from_a_larger_tree", replace(honest, proof=longer)


def _confused_levels(honest: Inclusion) -> Iterator[tuple[str, Inclusion]]:
    """An inner node passed off as a leaf, or a leaf as an inner node."""
    sibling, rest = honest.proof[0], honest.proof[1:]
    is_right = honest.index % 2 == 1 or honest.index == honest.size - 1
    children = sibling + honest.leaf if is_right else honest.leaf + sibling
    parent = sha256(b"\x01" + children).digest()
    yield "node_as_leaf_with_the_rest_of_the_path", replace(honest, leaf=parent, proof=rest)
    yield "node_as_leaf_with_the_whole_path", replace(honest, leaf=parent)
    as_leaf = sha256(b"\x00" + children).digest()
    yield "children_hashed_as_a_value", replace(honest, leaf=as_leaf, proof=rest)


def wrong_consistencies(size1: int, size2: int) -> Iterator[tuple[str, Consistency]]:
    root1, root2 = rfc9162.mth(0, size1), rfc9162.mth(0, size2)
    honest = Consistency(size1, root1, size2, root2, tuple(rfc9162.proof(size1, size2)))
    yield "honest", honest
    for name, sizes in {
        "old_size_zero": (0, size2),
        "both_sizes_zero": (0, 0),
        "old_size_off_by_one_below": (size1 - 1, size2),
        "old_size_off_by_one_above": (size1 + 1, size2),
        "new_size_off_by_one_below": (size1, size2 - 1),
        "new_size_off_by_one_above": (size1, size2 + 1),
        "new_size_doubled": (size1, 2 * size2),
        "old_size_largest": (LARGEST, size2),
        "sizes_swapped": (size2, size1),
        "sizes_equal_to_the_old": (size1, size1),
        "sizes_equal_to_the_new": (size2, size2),
    }.items():
        yield name, replace(honest, size1=sizes[0], size2=sizes[1])
    yield "old_size_zero_without_proof", replace(honest, size1=0, root1=EMPTY_ROOT, proof=())
    for name, roots in {
        "old_root_zero": (ZERO, root2),
        "new_root_zero": (root1, ZERO),
        "old_root_of_the_empty_tree": (EMPTY_ROOT, root2),
        "old_root_of_one_leaf_more": (rfc9162.mth(0, size1 + 1), root2),
        "new_root_of_one_leaf_more": (root1, rfc9162.mth(0, size2 + 1)),
        "roots_swapped": (root2, root1),
        "old_root_is_the_new": (root2, root2),
        "new_root_is_the_old": (root1, root1),
        "old_root_flipped_bit": (_flip(root1), root2),
        "new_root_flipped_bit": (root1, _flip(root2)),
    }.items():
        yield name, replace(honest, root1=roots[0], root2=roots[1])
    for name, other_proof in _wrong_nodes(honest.proof, root1, root2):
        yield name, replace(honest, proof=other_proof)
    if size1 < size2:
        with_seed = (root1, *honest.proof)
        yield "proof_with_the_old_root_in_front", replace(honest, proof=with_seed)
        inclusion = tuple(rfc9162.path(size1 - 1, 0, size2))
        yield "proof_of_inclusion_instead", replace(honest, proof=inclusion)
        forked = replace(honest, root2=_flip(root2), proof=(*honest.proof[:-1], STRANGER))
        yield "history_after_the_old_size_replaced", forked


def _wrong_nodes(
    proof: tuple[bytes, ...], first: bytes, second: bytes
) -> Iterator[tuple[str, tuple[bytes, ...]]]:
    """One thing changed in the list of nodes itself."""
    yield "proof_with_a_zero_node_behind", (*proof, ZERO)
    yield "proof_with_a_strange_node_behind", (*proof, STRANGER)
    yield "proof_with_a_root_behind", (*proof, second)
    yield "proof_with_a_node_in_front", (first, *proof)
    yield "proof_too_long_for_any_tree", (*proof, *[STRANGER] * 65)
    if not proof:
        return
    yield "proof_empty", ()
    yield "proof_without_its_first_node", proof[1:]
    yield "proof_without_its_last_node", proof[:-1]
    yield "proof_with_its_last_node_twice", (*proof, proof[-1])
    yield "proof_with_a_zero_first_node", (ZERO, *proof[1:])
    yield "proof_with_a_zero_last_node", (*proof[:-1], ZERO)
    for place in {0, len(proof) // 2, len(proof) - 1}:
        flipped = (*proof[:place], _flip(proof[place]), *proof[place + 1 :])
        yield f"proof_with_a_flipped_bit_in_node_{place}", flipped
    if len(proof) > 1:
        yield "proof_with_its_first_two_nodes_swapped", (proof[1], proof[0], *proof[2:])
        yield "proof_reversed", proof[::-1]
        yield "proof_without_its_middle_node", (*proof[:1], *proof[2:])


def _flip(node: bytes) -> bytes:
    return node[:-1] + bytes([node[-1] ^ 1])


def _depth(index: int, size: int) -> int:
    depth = 0
    while size > 1:
        k = 1 << ((size - 1).bit_length() - 1)
        index, size = (index, k) if index < k else (index - k, size - k)
        depth += 1
    return depth


def documents() -> dict[str, list[dict[str, Any]]]:
    """The content of each vector file."""
    inclusions = [
        (f"leaf_{index}_of_{size}/{name}", claim)
        for index, size in INCLUSIONS
        for name, claim in wrong_inclusions(index, size)
    ]
    consistencies = [
        (f"from_{old}_to_{new}/{name}", claim)
        for old, new in CONSISTENCIES
        for name, claim in wrong_consistencies(old, new)
    ]
    return {"inclusion": _rows(inclusions), "consistency": _rows(consistencies)}


def _rows(named: Sequence[tuple[str, Inclusion | Consistency]]) -> list[dict[str, Any]]:
    """All false claims, and the honest ones that they were made from.

    A change can leave a claim true. That is so above all for another size at which the path turns
    the same way, since a root does not bind its size: therefore sizes come from the task.
    """
    return [_row(name, c) for name, c in named if c.reason() or name.endswith("/honest")]


def _row(name: str, claim: Inclusion | Consistency) -> dict[str, Any]:
    fields = {key: _encode(value) for key, value in vars(claim).items()}
    return {"name": name, "reason": claim.reason(), **fields}


def _encode(value: Any) -> Any:
    """Hashes as hex; sizes as decimal strings, since JSON numbers lose bits above 2^53."""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return [_encode(node) for node in value] if isinstance(value, tuple) else str(value)


def load(kind: str) -> list[dict[str, Any]]:
    """The committed vectors of one kind, decoded."""
    rows = json.loads((FOLDER / f"{kind}.json").read_text())
    return [{key: _decode(key, value) for key, value in row.items()} for row in rows]


def _decode(key: str, value: Any) -> Any:
    if key in ("name", "reason"):
        return value
    if isinstance(value, list):
        return [bytes.fromhex(node[2:]) for node in value]
    return bytes.fromhex(value[2:]) if value.startswith("0x") else int(value)


def text(rows: list[dict[str, Any]]) -> str:
    return "[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n"


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for file_name, content in documents().items():
        (FOLDER / f"{file_name}.json").write_text(text(content))
