"""The checkpoint log: state roots that a solver commits to, one after another, on disk.

Storage and roots are pymerkle's; an appended entry is on disk when `append` returns, and the
database refuses to change or delete one. Proofs have the form of RFC 9162 that the contracts take.
"""

from pathlib import Path
from types import TracebackType
from typing import Self

from pymerkle import SqliteTree

from protocol.merkle.hashing import DIGEST_BYTES, node_hash


class CheckpointLog:
    """An append-only Merkle tree of 32-byte state roots in one SQLite file.

    Args:
        path: the file; made if it does not exist, with its folder.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._tree = SqliteTree(str(self.path))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; entries are safe without it."""
        self._tree.close()

    @property
    def size(self) -> int:
        """Number of entries."""
        return int(self._tree.get_size())

    @property
    def root(self) -> bytes:
        """Root over all entries, 32 bytes. Raises IndexError while the log is empty."""
        return self.root_at(self.size)

    def root_at(self, size: int) -> bytes:
        """Root over the first `size` entries."""
        self._check_size(size)
        return bytes(self._tree.get_root(size))

    def entry(self, index: int) -> bytes:
        """The state root at `index`, from 0."""
        self._check_index(index, self.size)
        return bytes(self._tree.get_entry(index + 1))

    def append(self, state_root: bytes) -> int:
        """Add a state root durably; returns its index."""
        if len(state_root) != DIGEST_BYTES:
            raise ValueError(
                f"a state root of {len(state_root)} bytes: the log takes roots of {DIGEST_BYTES}"
            )
        return int(self._tree.append_entry(bytes(state_root))) - 1

    def record(self, index: int, state_root: bytes) -> None:
        """Make entry `index` this state root: for resuming, where it may be in the log already.

        Raises:
            ValueError: the log has another root there, or entries before it are missing.
        """
        size = self.size
        if index > size:
            raise ValueError(f"entry {index} would leave a gap: the log has {size} entries")
        if index == size:
            self.append(state_root)
        elif self.entry(index) != state_root:
            raise ValueError(
                f"entry {index} is 0x{self.entry(index).hex()} and cannot become "
                f"0x{state_root.hex()}: the log only grows; resume from the state it commits to"
            )

    def inclusion_proof(self, index: int, size: int | None = None) -> list[bytes]:
        """Siblings of entry `index` in the tree of the first `size` entries (default: all)."""
        size = self.size if size is None else size
        self._check_size(size)
        self._check_index(index, size)
        # pymerkle counts from one and lists the leaf's own hash first.
        return list(self._tree.prove_inclusion(index + 1, size).path[1:])

    def consistency_proof(self, old_size: int, new_size: int | None = None) -> list[bytes]:
        """Proof that the first `old_size` entries begin the first `new_size` (default: all)."""
        new_size = self.size if new_size is None else new_size
        self._check_size(new_size)
        if not 1 <= old_size <= new_size:
            raise IndexError(
                f"consistency from {old_size} to {new_size} entries: "
                "give a size of at least 1 first and not above the second"
            )
        if old_size == new_size:
            return []
        proof = self._tree.prove_consistency(old_size, new_size)
        path, in_old_tree = list(proof.path), list(proof.subset)
        # Where the old tree ends at a subtree's edge, pymerkle goes down the right neighbour to its
        # first leaf; RFC 9162 takes that neighbour as one node.
        outside = in_old_tree.index(1)
        if outside == 0:
            return path
        neighbour = path[0]
        for node in path[1:outside]:
            neighbour = node_hash(neighbour, node)
        is_whole_old_tree = not any(in_old_tree[outside + 1 :])
        last_in_old = [] if is_whole_old_tree else [path[outside]]
        return [*last_in_old, neighbour, *path[outside + 1 :]]

    def _check_size(self, size: int) -> None:
        if not 1 <= size <= self.size:
            raise IndexError(f"the first {size} entries of a log of {self.size}")

    def _check_index(self, index: int, size: int) -> None:
        if not 0 <= index < size:
            raise IndexError(f"entry {index} of a log of {size}: entries count from 0")
