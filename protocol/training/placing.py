"""Puts a task into a folder, whole or not at all.

It is written beside a new folder, or inside one that exists (which may be a disk of its own), and
moved to its place when all of it is on disk. What a killed process left is removed by the next one.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from protocol.program.manifest import MAX_MANIFEST_BYTES, Manifest, ManifestError
from protocol.training.task import DATA, MANIFEST, PROGRAM, STATE, Task
from protocol.training.tensors import put_in_place

PAGE: Final = "docs/operate/requester.md#1-a-task-folder"


class PlaceTaken(Exception):
    """The task cannot be put there; in four parts for people."""

    def __init__(self, what: str, why: str, todo: str, read: str = PAGE) -> None:
        super().__init__(f"{what}: {why}; {todo}")
        self.what = what
        self.why = why
        self.todo = todo
        self.read = read


def place_task(task: Task, folder: Path, *, replace: bool = False) -> None:
    """Write ``task`` into ``folder``, which is made if it is missing. Other files in it stay.

    A kill leaves the folder as it was, or with the task; while another task is replaced also,
    for a moment, without a manifest, which nobody takes for a task.

    Args:
        task: validated.
        folder: where.
        replace: whether another task may be there, and is lost.

    Raises:
        PlaceTaken: another task is there, a file is, or another process writes there.
        OSError: it cannot be written; the folder is as before.
    """
    folder = folder.resolve()
    require_place(folder)
    there = root_in(folder)
    if there is not None and there != task.manifest.root and not replace:
        raise PlaceTaken(
            f"another task is in {folder}",
            f"its manifest root is 0x{there.hex() or '?'}, that of the new one "
            f"0x{task.manifest.root.hex()}",
            "choose another folder with --out, or give --replace",
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _staging(folder) as staging:
        task.save(staging)
        if staging.parent != folder:
            put_in_place(staging, folder)
            return
        (folder / MANIFEST).unlink(missing_ok=True)
        for name in (PROGRAM, STATE, DATA, MANIFEST):
            put_in_place(staging / name, folder / name)


def require_place(folder: Path) -> None:
    """PlaceTaken if there is a file where the folder should be."""
    if folder.exists() and not folder.is_dir():
        raise PlaceTaken(
            f"{folder} is no folder",
            "there is a file of that name, expected a folder or nothing",
            "choose another folder with --out",
        )


def root_in(folder: Path) -> bytes | None:
    """Root of the manifest in a folder; empty if it cannot be read, None if there is none."""
    file = folder / MANIFEST
    if not file.exists():
        return None
    try:
        with file.open("rb") as opened:
            return Manifest.from_bytes(opened.read(MAX_MANIFEST_BYTES + 1)).root
    except (ManifestError, OSError):
        return b""


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    """An empty folder beside or inside ``folder`` that no other process uses; gone afterwards."""
    is_new = not folder.exists()
    staging = folder.with_name(f".{folder.name}.building") if is_new else folder / ".building"
    staging.mkdir(exist_ok=True)
    descriptor = os.open(staging, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PlaceTaken(
                f"another process writes a task into {folder}",
                f"it holds {staging}, expected nobody there",
                "wait until it has ended, or choose another folder with --out",
            ) from None
        try:
            for left in staging.iterdir():  # by a process that was killed
                left.unlink()
            yield staging
        finally:
            if staging.exists():
                shutil.rmtree(staging)
    finally:
        os.close(descriptor)
