"""Compiled code kept between runs, in a folder of the user's own.

What lies there is executed, so it is only read from a folder and a file that belong to this user
and that nobody else may write or read, and only if it carries its own digest and key. Anything else
is compiled again. The key covers LLVM's text, the target and LLVM's version.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Final

VARIABLE: Final = "PINPOINT_CACHE"
HEADER: Final = b"pinpoint-jit 1\n"
PAGE: Final = "docs/operate/settings.md"
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class CacheWarning(UserWarning):
    """A cached file or its folder is not to be trusted, or cannot be written."""


def cache_directory() -> Path | None:
    """Where compiled code is kept: `VARIABLE`, else the platform's folder; None without a home."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named) / "jit"
    named = os.environ.get("XDG_CACHE_HOME")
    try:
        if sys.platform == "darwin":
            base = Path.home() / "Library" / "Caches"
        else:
            base = Path(named) if named else Path.home() / ".cache"
    except RuntimeError:
        return None
    return base / "pinpoint" / "jit"


def key_of(*parts: str) -> str:
    """The name of what ``parts`` determine."""
    digest = hashlib.sha256()
    for part in parts:
        raw = part.encode()
        digest.update(len(raw).to_bytes(8, "big") + raw)
    return digest.hexdigest()


class CodeCache:
    """Object files by key; every failure means "not there". Without a folder nothing is kept."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory

    def get(self, key: str) -> bytes | None:
        """The bytes stored under ``key``, if they are there and to be trusted."""
        if self._directory is None:
            return None
        path = self._directory / key
        try:
            if not path.exists() or not _usable(self._directory):
                return None
            handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
            with os.fdopen(handle, "rb") as file:
                why = _not_private(os.fstat(handle), stat.S_ISREG)
                raw = b"" if why else file.read()
        except OSError as error:
            _distrusted(path, str(error))
            return None
        start = len(HEADER) + 32
        code = raw[start:]
        if not why and raw[:start] != HEADER + _digest(key, code):
            why = "its digest does not match its contents"
        if why:
            _distrusted(path, why)
            return None
        return code

    def put(self, key: str, code: bytes) -> None:
        """Store ``code``; another process sees either all of it or nothing."""
        if self._directory is None:
            return
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not _usable(self._directory):
                return
            handle, name = tempfile.mkstemp(dir=self._directory, prefix="new-")  # mode 0600
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(HEADER + _digest(key, code) + code)
                Path(name).replace(self._directory / key)
            except OSError:
                Path(name).unlink(missing_ok=True)
                raise
        except OSError as error:
            _distrusted(self._directory, f"it cannot be written: {error}")


def _usable(directory: Path) -> bool:
    why = _not_private(directory.lstat(), stat.S_ISDIR)
    if why:
        _distrusted(directory, why)
    return not why


def _digest(key: str, code: bytes) -> bytes:
    return hashlib.sha256(HEADER + key.encode() + code).digest()


def _not_private(facts: os.stat_result, is_kind: Callable[[int], bool]) -> str:
    """Why a file or folder is not this user's alone; empty if it is."""
    if not is_kind(facts.st_mode):
        return "it is not of the expected kind"
    if hasattr(os, "getuid") and facts.st_uid != os.getuid():
        return f"it belongs to user {facts.st_uid}, this process runs as {os.getuid()}"
    if os.name == "posix" and facts.st_mode & _OTHERS:
        return f"its mode is {stat.S_IMODE(facts.st_mode):04o}, others may have no rights"
    return ""


def _distrusted(path: Path, why: str) -> None:
    warnings.warn(
        f"cached machine code in {path} is not used: {why}; it is compiled again. Remove it, or "
        f"set {VARIABLE} to a folder of your own; see {PAGE}",
        CacheWarning,
        stacklevel=3,
    )
