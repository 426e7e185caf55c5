"""The store that parties meet through: blobs by SHA-256, tree leaves and tensors by their root.

Any fsspec file system works (``file:///…``, ``memory://…``, an S3 or IPFS package). The store is
not trusted: what is fetched counts only if it hashes to its name, and never exceeds the size asked.

Objects: ``blob/<sha256>``, ``leaves/<root>`` (u32 count, then u32 length and bytes per leaf,
big-endian), ``tensor/<root>`` (the stored bytes).
"""

from __future__ import annotations

import hashlib
import os
import secrets
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import fsspec

from protocol.merkle import root_of_leaves, tensor_root

MAX_BLOB_BYTES: Final = 1 << 30
MAX_LEAVES_BYTES: Final = 1 << 28


class ContentMissing(LookupError):
    """The store has no object of this name, or cannot be reached."""


class ContentWrong(ValueError):
    """An object does not hash to its name, or is larger than allowed."""


class ContentStore:
    """Reads and writes content-addressed objects below ``url`` (an fsspec URL or a local path)."""

    def __init__(self, url: str | Path) -> None:
        self._fs, root = fsspec.core.url_to_fs(str(url))
        self._root = root.rstrip("/")
        self._local = "file" in (
            self._fs.protocol if isinstance(self._fs.protocol, tuple) else (self._fs.protocol,)
        )

    def put(self, data: bytes) -> bytes:
        """Store a blob; its SHA-256 (32 bytes)."""
        name = hashlib.sha256(data).digest()
        self._write("blob", name, data)
        return name

    def get(self, name: bytes, max_bytes: int = MAX_BLOB_BYTES) -> bytes:
        """The blob with SHA-256 ``name``. ContentMissing, ContentWrong."""
        data = self._read("blob", name, max_bytes)
        self._check("blob", name, hashlib.sha256(data).digest())
        return data

    def put_leaves(self, leaves: Sequence[bytes]) -> bytes:
        """Store the leaf values of a Merkle tree; its root."""
        root = root_of_leaves(list(leaves))
        parts = [struct.pack(">I", len(leaves))]
        parts += [struct.pack(">I", len(leaf)) + leaf for leaf in leaves]
        self._write("leaves", root, b"".join(parts))
        return root

    def get_leaves(self, root: bytes, max_bytes: int = MAX_LEAVES_BYTES) -> list[bytes]:
        """The leaf values of the tree with this root. ContentMissing, ContentWrong."""
        leaves = _split(self._read("leaves", root, max_bytes))
        self._check("leaves", root, root_of_leaves(leaves))
        return leaves

    def put_tensor(self, stored: bytes) -> bytes:
        """Store a tensor's little-endian bytes; its tensor root."""
        root = tensor_root(stored)
        self._write("tensor", root, stored)
        return root

    def get_tensor(self, root: bytes, nbytes: int) -> bytes:
        """The ``nbytes`` bytes of the tensor with this root. ContentMissing, ContentWrong."""
        data = self._read("tensor", root, nbytes)
        if len(data) != nbytes:
            raise ContentWrong(f"tensor {root.hex()} has {len(data)} bytes, expected {nbytes}")
        self._check("tensor", root, tensor_root(data))
        return data

    def _path(self, kind: str, name: bytes) -> str:
        if len(name) != 32:
            raise ValueError(f"a name has 32 bytes, got {len(name)}")
        return f"{self._root}/{kind}/{name.hex()[:2]}/{name.hex()}"

    def _write(self, kind: str, name: bytes, data: bytes) -> None:
        path = self._path(kind, name)
        if self._fs.exists(path):
            return
        self._fs.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
        if not self._local:
            self._fs.pipe_file(path, data)
            return
        # A reader must never see half an object, nor a crash leave one.
        partial = f"{path}.{secrets.token_hex(8)}.part"
        with Path(partial).open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(partial).replace(path)

    def _read(self, kind: str, name: bytes, max_bytes: int) -> bytes:
        path = self._path(kind, name)
        try:
            size = self._fs.size(path)  # None where the file system does not know
            # A read takes memory for all that it asks for: ask for no more than there is.
            most = max_bytes if size is None else min(size, max_bytes)
            with self._fs.open(path, "rb") as file:
                data: bytes = file.read(most + 1)
        except FileNotFoundError as error:
            raise ContentMissing(f"no {kind} {name.hex()} in {self._root}") from error
        except OSError as error:
            raise ContentMissing(f"cannot read {kind} {name.hex()}: {error}") from error
        if len(data) > max_bytes:
            raise ContentWrong(f"{kind} {name.hex()} is larger than the {max_bytes} bytes allowed")
        return data

    def _check(self, kind: str, name: bytes, got: bytes) -> None:
        if got != name:
            raise ContentWrong(
                f"{kind} {name.hex()} hashes to {got.hex()}: the store was changed or lies; "
                "fetch it from elsewhere"
            )


def _split(data: bytes) -> list[bytes]:
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
