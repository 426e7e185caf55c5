"""Objects in a folder of this machine: whole or not there, also after a crash or a full disk.

An object is written under ``incoming/``, forced to disk and renamed to its place, so that neither a
reader nor a crash ever meets half of one. An object that is there already is only touched: its time
tells ``prune`` that somebody relies on it.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from protocol.storage.errors import READ_MORE, ContentMissing, ContentUnreachable, StoreUnusable
from protocol.storage.objects import KINDS, Wanted, object_path, parse_path

INCOMING: Final = "incoming"
PARTIAL: Final = ".part"
SET_ASIDE: Final = ".pruned"
LEFTOVER_S: Final = 86400.0
"""A partial file older than this belongs to a process that is gone."""


class Folder:
    """A store's objects below ``root``, which is made when the first one is written."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self.label = str(root)

    def path(self, kind: str, name: bytes) -> Path:
        """Where the object lies, if it is there."""
        return self.root / object_path(kind, name)

    def read(self, wanted: Wanted[object], patience: float = 1.0) -> bytes:  # noqa: ARG002
        """The bytes, unchecked. ContentMissing, ContentWrong if there are too many."""
        try:
            with (self.root / wanted.path).open("rb") as file:
                # A read takes memory for all that it asks for: ask for no more than there is.
                wanted.check_size(os.fstat(file.fileno()).st_size)
                data = file.read(min(os.fstat(file.fileno()).st_size, wanted.most_bytes) + 1)
        except FileNotFoundError as error:
            raise ContentMissing(f"no {wanted} in {self.root}") from error
        except OSError as error:
            raise ContentUnreachable(f"cannot read {wanted} in {self.root}: {error}") from error
        wanted.check_size(len(data))
        return data

    def write(self, kind: str, name: bytes, data: bytes) -> None:
        """Store an object, unless it is there. StoreUnusable; nothing partial is left behind."""
        path = self.path(kind, name)
        partial = self.root / INCOMING / f"{name.hex()}.{secrets.token_hex(8)}{PARTIAL}"
        try:
            if self._touched(path, data):
                return
            _make_folder(partial.parent)
            _make_folder(path.parent)
            try:
                with partial.open("xb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                partial.replace(path)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise
            _sync_folder(path.parent)
        except OSError as error:
            raise self._unusable(f"{kind} {name.hex()}", len(data), error) from error

    def _touched(self, path: Path, data: bytes) -> bool:
        """Whether the object is there; then its time is now, and ``prune`` leaves it alone.

        What is there is compared: a file that the disk damaged must be mended by writing it again.
        """
        try:
            same = path.stat().st_size == len(data) and path.read_bytes() == data
            if same:
                os.utime(path)
        except FileNotFoundError:  # perhaps just now, by prune
            return False
        return same

    def _unusable(self, what: str, nbytes: int, error: OSError) -> StoreUnusable:
        try:
            free = f"{shutil.disk_usage(self.root).free:,} bytes are free there"
        except OSError:
            free = "the folder cannot be reached"
        todo = "check that it is a folder you may write to"
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            todo = "free space or prune; what failed is written when it is tried again"
        return StoreUnusable(
            error.errno or 0,
            f"cannot write {what} ({nbytes:,} bytes) to the store in {self.root}: "
            f"{error.strerror or error}, {free}; {todo}; see {READ_MORE}",
        )

    def open(self) -> None:
        """Make the folder, see that it can be written, clear what crashes left. StoreUnusable."""
        probe = self.root / INCOMING / f"probe.{secrets.token_hex(8)}{PARTIAL}"
        try:
            _make_folder(probe.parent)
            probe.write_bytes(b"")
            probe.unlink()
            self._clear_leftovers(time.time() - LEFTOVER_S)
        except OSError as error:
            raise self._unusable("anything", 0, error) from error

    def _clear_leftovers(self, before: float) -> None:
        """Remove partial files last written ``before``; put back what a killed prune set aside."""
        for path in list((self.root / INCOMING).iterdir()):
            try:
                if path.stat().st_mtime >= before:
                    continue
                if path.suffix == SET_ASIDE:
                    kind, digits = path.name.split(".")[:2]
                    path.replace(self.path(kind, bytes.fromhex(digits)))
                elif path.suffix == PARTIAL:
                    path.unlink()
            except FileNotFoundError:
                continue  # another process clears too

    def objects(self) -> Iterator[tuple[str, bytes, Path]]:
        """Kind, name and path of each object. Files that are none are passed over."""
        for kind in KINDS:
            for path in sorted(self.root.glob(f"{kind}/??/*")):
                parsed = parse_path(path.relative_to(self.root).as_posix())
                if parsed:
                    yield (*parsed, path)


def _make_folder(path: Path) -> None:
    """Make a folder and those above it, on disk before anything is put into it."""
    if path.is_dir():
        return
    if path.parent != path:
        _make_folder(path.parent)
    path.mkdir(exist_ok=True)
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
