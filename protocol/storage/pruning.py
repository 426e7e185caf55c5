"""Removing what nobody can ask for any more.

The caller says which roots are alive: the manifests of tasks that are not closed, the log roots of
claims that are not final, and every segment, trace and fold root that it stands for in a dispute.
What these lead to is kept: a manifest to the program, the data and the initial state, leaves to the
trees and tensors whose roots they are. Whatever was written or put again lately is kept too: it may
belong to a claim that the chain does not know yet.
"""

from __future__ import annotations

import errno
import secrets
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from protocol.program.manifest import MAX_MANIFEST_BYTES, Manifest, ManifestError
from protocol.storage.errors import READ_MORE, ContentMissing, ContentWrong, StoreUnusable
from protocol.storage.folder import INCOMING, SET_ASIDE, Folder
from protocol.storage.objects import (
    BLOB,
    LEAVES,
    MAX_LEAVES_BYTES,
    wanted_blob,
    wanted_leaves,
)
from protocol.storage.store import ContentStore

GRACE_S: Final = 86400.0


@dataclass
class Pruned:
    """What pruning did, or with ``dry_run`` would have done, in objects and bytes."""

    removed: int = 0
    removed_bytes: int = 0
    kept: int = 0
    kept_bytes: int = 0
    recent: int = 0
    recent_bytes: int = 0


def prune(
    store: ContentStore,
    keep: Iterable[bytes],
    *,
    grace_s: float = GRACE_S,
    dry_run: bool = False,
) -> Pruned:
    """Remove from a folder what ``keep`` does not lead to. Others may read and write meanwhile.

    Args:
        store: an own store that is a folder.
        keep: names (32 bytes each) of objects that are alive, of whatever kind.
        grace_s: what was written within so many seconds is kept as ``recent``.
        dry_run: only count.

    Raises:
        ContentWrong: a living object that leads to others is damaged. Then nothing is removed,
            for nobody knows what it leads to.
        StoreUnusable: the store is not a folder, objects cannot be removed, or another prune runs.
    """
    folder = store.folder
    if folder is None:
        raise StoreUnusable(
            0,
            f"cannot prune {store.label}: only a folder is pruned; give it rules of its own for "
            f"old objects; see {READ_MORE}",
        )
    before = time.time() - grace_s
    try:
        (folder.root / INCOMING).mkdir(parents=True, exist_ok=True)
        with FileLock(folder.root / INCOMING / "prune.lock", blocking=False):
            return _prune(folder, keep, before, dry_run=dry_run)
    except Timeout as error:
        raise StoreUnusable(
            errno.EBUSY,
            f"cannot prune {folder.root}: another prune of it runs; wait for its end; see "
            f"{READ_MORE}",
        ) from error
    except OSError as error:
        raise StoreUnusable(
            error.errno or 0,
            f"cannot prune {folder.root}: {error.strerror or error} ({error.filename}); check that "
            f"you may write to the folder, and go on with another prune; see {READ_MORE}",
        ) from error


def _prune(folder: Folder, keep: Iterable[bytes], before: float, *, dry_run: bool) -> Pruned:
    # Listed before anything else: what is written from now on is not in the list, and stays.
    objects = list(folder.objects())
    alive = _reachable(folder, keep, objects)
    done = Pruned()
    for kind, name, path in objects:
        try:
            stat = path.stat()
            if name in alive:
                done.kept += 1
                done.kept_bytes += stat.st_size
            elif stat.st_mtime < before and (dry_run or _remove(folder, kind, name, before)):
                done.removed += 1
                done.removed_bytes += stat.st_size
            else:
                done.recent += 1
                done.recent_bytes += stat.st_size
        except FileNotFoundError:
            continue  # somebody else removed it
    return done


def _remove(folder: Folder, kind: str, name: bytes, before: float) -> bool:
    """Remove an object, unless somebody puts it again at this moment.

    A writer that finds the object touches it and relies on it. So it is first set aside: after that
    a writer finds nothing and writes it anew, and a touch that came before is seen here.
    """
    path = folder.path(kind, name)
    aside = folder.root / INCOMING / f"{kind}.{name.hex()}.{secrets.token_hex(8)}{SET_ASIDE}"
    path.rename(aside)
    if aside.stat().st_mtime >= before:
        aside.replace(path)
        return False
    aside.unlink(missing_ok=True)
    return True


def _reachable(
    folder: Folder, keep: Iterable[bytes], objects: list[tuple[str, bytes, Path]]
) -> set[bytes]:
    """Names of the living objects, found by walking from ``keep``."""
    kinds: defaultdict[bytes, list[str]] = defaultdict(list)
    for kind, name, _ in objects:
        kinds[name].append(kind)
    alive: set[bytes] = set()
    waiting = list(keep)
    while waiting:
        name = waiting.pop()
        if name in alive or name not in kinds:
            continue
        alive.add(name)
        for kind in kinds[name]:
            waiting += (child for child in _children(folder, kind, name) if child in kinds)
    return alive


def _children(folder: Folder, kind: str, name: bytes) -> list[bytes]:
    """Names that a living object may lead to. ContentWrong if that cannot be known."""
    try:
        if kind == LEAVES:
            leaves = wanted_leaves(name, MAX_LEAVES_BYTES)
            return [leaf for leaf in leaves.decode(folder.read(leaves)) if len(leaf) == 32]
        if kind == BLOB and folder.path(kind, name).stat().st_size <= MAX_MANIFEST_BYTES:
            blob = wanted_blob(name, MAX_MANIFEST_BYTES)
            manifest = Manifest.from_bytes(blob.decode(folder.read(blob)))
            return [manifest.program_root, manifest.data_root, manifest.initial_state_root]
    except ManifestError:
        return []  # a blob of another kind
    except (ContentMissing, ContentWrong) as error:
        raise ContentWrong(
            f"nothing is pruned: {error}; it is alive, and what it leads to is not known; publish "
            f"or fetch it again; see {READ_MORE}"
        ) from error
    return []
