"""The store that parties meet through: blobs by SHA-256, tree leaves and tensors by their root.

A store is a place (a folder, an HTTP server, any fsspec file system) and is not trusted: what is
fetched counts only if it hashes to its name, and never exceeds the size asked.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from protocol.merkle import root_of_leaves, tensor_root
from protocol.storage.folder import Folder
from protocol.storage.limits import Limits
from protocol.storage.objects import (
    BLOB,
    LEAVES,
    MAX_BLOB_BYTES,
    MAX_LEAVES_BYTES,
    TENSOR,
    Wanted,
    pack_leaves,
    wanted_blob,
    wanted_leaves,
    wanted_tensor,
)

T = TypeVar("T")


class Store(Protocol):
    """What agents need of a store, wherever its objects lie."""

    def put(self, data: bytes) -> bytes:
        """Store a blob; its SHA-256 (32 bytes). StoreUnusable."""

    def get(self, name: bytes, max_bytes: int = MAX_BLOB_BYTES) -> bytes:
        """The blob with SHA-256 ``name``. ContentMissing, ContentWrong."""

    def put_leaves(self, leaves: Sequence[bytes]) -> bytes:
        """Store the leaf values of a Merkle tree; its root. StoreUnusable."""

    def get_leaves(
        self, root: bytes, max_bytes: int = MAX_LEAVES_BYTES, *, count: int | None = None
    ) -> list[bytes]:
        """The leaf values of the tree with this root, ``count`` of them if that is known.

        Raises:
            ContentMissing: they are not to be had.
            ContentWrong: what is there is something else.
        """

    def put_tensor(self, stored: bytes) -> bytes:
        """Store a tensor's little-endian bytes; its tensor root. StoreUnusable."""

    def get_tensor(self, root: bytes, nbytes: int) -> bytes:
        """The ``nbytes`` bytes of the tensor with this root. ContentMissing, ContentWrong."""


class Location(Protocol):
    """A place that holds objects as bytes and checks nothing but sizes."""

    label: str

    def open(self) -> None:
        """Prepare it for use. StoreUnusable."""

    def read(self, wanted: Wanted[object], patience: float = 1.0) -> bytes:
        """The bytes of an object, in a part of the usual time. ContentMissing, ContentWrong."""

    def write(self, kind: str, name: bytes, data: bytes) -> None:
        """Store an object, unless it is there. StoreUnusable."""


class ObjectStore(ABC):
    """The methods of ``Store``, on top of one that finds checked objects and one that writes."""

    @abstractmethod
    def find(self, wanted: Wanted[T]) -> T:
        """The checked content of an object. ContentMissing, ContentWrong."""

    @abstractmethod
    def write(self, kind: str, name: bytes, data: bytes) -> None:
        """Store the bytes of an object under its name. StoreUnusable."""

    def put(self, data: bytes) -> bytes:
        """Store a blob; its SHA-256 (32 bytes). StoreUnusable."""
        name = hashlib.sha256(data).digest()
        self.write(BLOB, name, data)
        return name

    def get(self, name: bytes, max_bytes: int = MAX_BLOB_BYTES) -> bytes:
        """The blob with SHA-256 ``name``. ContentMissing, ContentWrong."""
        return self.find(wanted_blob(name, max_bytes))

    def put_leaves(self, leaves: Sequence[bytes]) -> bytes:
        """Store the leaf values of a Merkle tree; its root. StoreUnusable."""
        root = root_of_leaves(list(leaves))
        self.write(LEAVES, root, pack_leaves(leaves))
        return root

    def get_leaves(
        self, root: bytes, max_bytes: int = MAX_LEAVES_BYTES, *, count: int | None = None
    ) -> list[bytes]:
        """The leaf values of the tree with this root, ``count`` of them if that is known.

        Raises:
            ContentMissing: they are not to be had.
            ContentWrong: what is there is something else.
        """
        return self.find(wanted_leaves(root, max_bytes, count))

    def put_tensor(self, stored: bytes) -> bytes:
        """Store a tensor's little-endian bytes; its tensor root. StoreUnusable."""
        root = tensor_root(stored)
        self.write(TENSOR, root, stored)
        return root

    def get_tensor(self, root: bytes, nbytes: int) -> bytes:
        """The ``nbytes`` bytes of the tensor with this root. ContentMissing, ContentWrong."""
        return self.find(wanted_tensor(root, nbytes))


class ContentStore(ObjectStore):
    """Reads and writes objects at one place.

    Args:
        url: a folder, or a URL: ``file://``, ``memory://``, ``http(s)://`` (read-only; of somebody
            you chose, so it may be in a private network), or of any installed fsspec package.
        limits: on what is fetched from elsewhere.

    Raises:
        StoreUnusable: the package for this kind of URL is not installed.
        AddressRefused: an HTTP address that is not opened.
    """

    def __init__(self, url: str | Path, limits: Limits | None = None) -> None:
        self._at = _locate(url, limits or Limits())

    @classmethod
    def at(cls, location: Location) -> ContentStore:
        """The store at a place that is open already."""
        store = cls.__new__(cls)
        store._at = location
        return store

    @property
    def label(self) -> str:
        """How people know the place."""
        return self._at.label

    @property
    def folder(self) -> Folder | None:
        """The folder that the objects lie in, if the place is one of this machine."""
        return self._at if isinstance(self._at, Folder) else None

    def open(self) -> None:
        """See now that the place can be used, and clear what crashes left. StoreUnusable."""
        self._at.open()

    def find(self, wanted: Wanted[T]) -> T:
        """The checked content of an object. ContentMissing, ContentWrong."""
        return wanted.decode(self._at.read(wanted))

    def fetch(self, wanted: Wanted[T], patience: float) -> tuple[bytes, T]:
        """The bytes of an object and their checked content, in a part of the usual time."""
        data = self._at.read(wanted, patience)
        return data, wanted.decode(data)

    def write(self, kind: str, name: bytes, data: bytes) -> None:
        """Store the bytes of an object under its name. StoreUnusable."""
        self._at.write(kind, name, data)


def _locate(url: str | Path, limits: Limits) -> Location:
    scheme, separator, rest = str(url).partition("://")
    if not separator:
        return Folder(url)
    if scheme == "file":
        return Folder(rest)
    if scheme in ("http", "https"):
        # Imported here: aiohttp takes a while, and most commands never need it.
        from protocol.storage.http import Fetcher, HttpLocation

        return HttpLocation(str(url), Fetcher(limits, allow_private=True))
    from protocol.storage.remote import Remote

    return Remote(str(url), limits)
