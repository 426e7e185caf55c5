"""Objects on any file system that fsspec knows: ``memory://``, ``s3://``, ``ipfs://``, others."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, Final, TypeVar

import fsspec

from protocol.storage.errors import (
    READ_MORE,
    ContentMissing,
    ContentUnreachable,
    ContentWrong,
    StoreUnusable,
)
from protocol.storage.limits import Limits
from protocol.storage.objects import BLOB, Wanted, object_path

PIECE_BYTES: Final = 1 << 20
PACKAGES: Final = {"s3": "s3fs", "s3a": "s3fs", "ipfs": "ipfsspec", "ipns": "ipfsspec"}

T = TypeVar("T")


class Remote:
    """A store's objects below an fsspec URL. StoreUnusable if its package is not installed."""

    def __init__(self, url: str, limits: Limits) -> None:
        scheme = url.split("://", 1)[0]
        try:
            self._fs, root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            package = PACKAGES.get(scheme)
            todo = f"pip install {package}" if package else "choose another address"
            raise StoreUnusable(
                0, f"cannot open the store {url}: {error}; {todo}; see {READ_MORE}"
            ) from error
        self._root = root.rstrip("/")
        self._limits = limits
        self.label = url

    def open(self) -> None:
        """See that it can be written, with an empty blob: anybody may have that. StoreUnusable."""
        self.write(BLOB, hashlib.sha256(b"").digest(), b"")

    def read(self, wanted: Wanted[object], patience: float = 1.0) -> bytes:
        """The bytes, unchecked. ContentMissing, ContentWrong if there are too many."""
        path = f"{self._root}/{wanted.path}"
        most_bytes = min(wanted.most_bytes, self._limits.object_bytes)
        start = time.monotonic()
        limit_s = self._limits.fetch_s * patience + most_bytes / self._limits.least_bytes_per_s
        try:
            if self._fs.async_impl:
                data = self._wait(self._fetch(wanted, path), limit_s)
            else:
                data = self._read(wanted, path, start + limit_s)
        except FileNotFoundError as error:
            raise ContentMissing(f"no {wanted} in {self.label}") from error
        except TimeoutError as error:
            raise ContentUnreachable(
                f"cannot read {wanted} in {self.label}: not done within {limit_s:.0f} s",
                timed_out=True,
            ) from error
        except (ContentMissing, ContentWrong):
            raise
        # Each package has its own errors, and none of them may stop an agent.
        except Exception as error:
            raise ContentUnreachable(f"cannot read {wanted} in {self.label}: {error}") from error
        return data

    async def _fetch(self, wanted: Wanted[object], path: str) -> bytes:
        size = (await self._fs._info(path)).get("size")
        if size is not None:
            self._check_size(wanted, size)
        if size == 0:
            return b""  # some stores refuse a range of nothing
        end = wanted.most_bytes + 1 if size is None else size
        data: bytes = await self._fs._cat_file(path, start=0, end=end)
        self._check_size(wanted, len(data))
        return data

    def _read(self, wanted: Wanted[object], path: str, deadline: float) -> bytes:
        size = self._fs.size(path)  # None where the file system does not know
        if size is not None:
            self._check_size(wanted, size)
        data = bytearray()
        with self._fs.open(path, "rb") as file:
            while piece := file.read(min(PIECE_BYTES, wanted.most_bytes + 1 - len(data))):
                data += piece
                self._check_size(wanted, len(data))
                if time.monotonic() > deadline:
                    raise TimeoutError
        return bytes(data)

    def _check_size(self, wanted: Wanted[object], nbytes: int) -> None:
        wanted.check_size(nbytes)
        if nbytes > self._limits.object_bytes:
            raise ContentMissing(
                f"{wanted} has {nbytes:,} bytes, at most {self._limits.object_bytes:,} are fetched"
            )

    def _wait(self, work: Coroutine[Any, Any, T], limit_s: float) -> T:
        running: Future[T] = asyncio.run_coroutine_threadsafe(
            asyncio.wait_for(work, limit_s), self._fs.loop
        )
        try:
            return running.result(limit_s + 5.0)
        finally:
            running.cancel()

    def write(self, kind: str, name: bytes, data: bytes) -> None:
        """Store an object, unless it is there. StoreUnusable."""
        path = f"{self._root}/{object_path(kind, name)}"
        try:
            if self._fs.async_impl:
                self._wait(self._store(path, data), self._limits.wall_s(len(data)))
            elif not self._fs.exists(path):
                self._fs.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
                self._fs.pipe_file(path, data)
        # As above: what the package raises is its own affair.
        except Exception as error:
            raise self._unusable(f"{kind} {name.hex()}", len(data), error) from error

    async def _store(self, path: str, data: bytes) -> None:
        if not await self._fs._exists(path):
            await self._fs._pipe_file(path, data)

    def _unusable(self, what: str, nbytes: int, error: Exception) -> StoreUnusable:
        number = error.errno if isinstance(error, OSError) and error.errno else 0
        why = "it took too long" if isinstance(error, TimeoutError) else str(error)
        return StoreUnusable(
            number,
            f"cannot write {what} ({nbytes:,} bytes) to {self.label}: {why}; check that it can be "
            f"reached and written; see {READ_MORE}",
        )
