"""The objects of a store: what they are called, how they are laid out, and how they are checked.

``blob/<xx>/<sha256>`` holds any bytes, ``leaves/<xx>/<root>`` the leaves of a Merkle tree (u32
count, then u32 length and bytes per leaf, big-endian), ``tensor/<xx>/<root>`` a tensor's stored
bytes.
``<xx>`` are the first two of the name's 64 hex digits.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from protocol.merkle import root_of_leaves, tensor_root
from protocol.storage.errors import ContentWrong

BLOB: Final = "blob"
LEAVES: Final = "leaves"
TENSOR: Final = "tensor"
KINDS: Final = (BLOB, LEAVES, TENSOR)

MAX_BLOB_BYTES: Final = 1 << 30
MAX_LEAVES_BYTES: Final = 1 << 28

_PATH = re.compile(rf"({'|'.join(KINDS)})/([0-9a-f]{{2}})/(\2[0-9a-f]{{62}})")

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True)
class Wanted(Generic[T_co]):
    """An object that somebody asks for: at most so many bytes, and how to know that it is right.

    Attributes:
        kind: one of ``KINDS``.
        name: 32 bytes.
        most_bytes: no more than this is read.
        decode: the checked content of the bytes; ContentWrong if they are not what was asked for.
    """

    kind: str
    name: bytes
    most_bytes: int
    decode: Callable[[bytes], T_co]

    def __str__(self) -> str:
        return f"{self.kind} {self.name.hex()}"

    @property
    def path(self) -> str:
        """Where it lies below a store's root."""
        return object_path(self.kind, self.name)

    def check_size(self, nbytes: int) -> None:
        """ContentWrong if an object of this size is larger than asked for."""
        if nbytes > self.most_bytes:
            raise ContentWrong(f"{self} is larger than the {self.most_bytes} bytes allowed")


def object_path(kind: str, name: bytes) -> str:
    """Where an object lies below a store's root. ValueError unless the name has 32 bytes."""
    if len(name) != 32:
        raise ValueError(f"a name has 32 bytes, got {len(name)}")
    return f"{kind}/{name.hex()[:2]}/{name.hex()}"


def parse_path(path: str) -> tuple[str, bytes] | None:
    """Kind and name of the object at a path below a store's root; None if none lies there."""
    match = _PATH.fullmatch(path)
    return (match[1], bytes.fromhex(match[3])) if match else None


def wanted_blob(name: bytes, most_bytes: int) -> Wanted[bytes]:
    """A blob of at most ``most_bytes``."""

    def decode(data: bytes) -> bytes:
        _check(BLOB, name, hashlib.sha256(data).digest())
        return data

    return Wanted(BLOB, name, most_bytes, decode)


def wanted_leaves(root: bytes, most_bytes: int, count: int | None = None) -> Wanted[list[bytes]]:
    """The leaves of a tree, in at most ``most_bytes``; exactly ``count`` of them, if that is known.

    Tiny leaves take ten times their bytes in memory: who knows the number should say it.
    """

    def decode(data: bytes) -> list[bytes]:
        stated = int.from_bytes(data[:4], "big")
        if count is not None and stated != count:
            raise ContentWrong(f"leaves {root.hex()} are {stated}, expected {count}")
        leaves = split_leaves(data)
        _check(LEAVES, root, root_of_leaves(leaves))
        return leaves

    return Wanted(LEAVES, root, most_bytes, decode)


def wanted_tensor(root: bytes, nbytes: int) -> Wanted[bytes]:
    """A tensor of exactly ``nbytes`` stored bytes."""

    def decode(data: bytes) -> bytes:
        if len(data) != nbytes:
            raise ContentWrong(f"tensor {root.hex()} has {len(data)} bytes, expected {nbytes}")
        _check(TENSOR, root, tensor_root(data))
        return data

    return Wanted(TENSOR, root, nbytes, decode)


def _check(kind: str, name: bytes, got: bytes) -> None:
    if got != name:
        raise ContentWrong(
            f"{kind} {name.hex()} hashes to {got.hex()}: the store was changed or lies; "
            "fetch it from elsewhere"
        )


def pack_leaves(leaves: Sequence[bytes]) -> bytes:
    """The bytes of a ``leaves`` object."""
    parts = [struct.pack(">I", len(leaves))]
    parts += [struct.pack(">I", len(leaf)) + leaf for leaf in leaves]
    return b"".join(parts)


def split_leaves(data: bytes) -> list[bytes]:
    """The leaves in the bytes of a ``leaves`` object. ContentWrong unless they are well formed."""
    leaves: list[bytes] = []
    try:
        (count,) = struct.unpack_from(">I", data, 0)
        at = 4
        for _ in range(count):
            (length,) = struct.unpack_from(">I", data, at)
            leaf = data[at + 4 : at + 4 + length]
            if len(leaf) != length:
                raise ContentWrong(f"leaf {len(leaves)} has {len(leaf)} of {length} bytes")
            leaves.append(leaf)
            at += 4 + length
    except struct.error as error:
        raise ContentWrong(f"leaves end in the middle of a length: {error}") from error
    if not leaves or at != len(data):
        raise ContentWrong(f"{count} leaves announced, {len(data) - at} bytes left over")
    return leaves
