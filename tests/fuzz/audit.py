"""What nobody does who only looks at a task: events that Python's audit hooks tell of.

Rust and C++ beneath (safetensors, the kernels) tell nothing, and take no names out of a task.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

FORBIDDEN = (
    "exec", "compile", "import", "pickle.find_class", "marshal.", "code.__new__", "subprocess.",
    "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.chmod", "shutil.", "socket.",
    "ctypes.", "urllib.", "webbrowser.", "ftplib.", "http.", "smtplib.", "telnetlib.",
)  # fmt: skip
HARMLESS = ("ctypes.create_string_buffer",)
"""Zeros, which the chain's own hash function asks for."""
CHANGES = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate")
"""Events whose arguments begin with a path that is changed."""


def crime(event: str, arguments: tuple[Any, ...], folder: Path, *, may_write: bool) -> str | None:
    """What is wrong with an event; None if nothing is.

    Args:
        event: its name.
        arguments: as the hook gets them.
        folder: the only place where files are opened.
        may_write: whether files in it are written and removed, too.
    """
    told = f"{event} {arguments!r}"[:300]
    if event.startswith(FORBIDDEN) and event not in HARMLESS:
        return told
    if event == "open" or event.startswith(CHANGES):
        changes = event != "open" or _writes(*arguments[1:])
        if not _is_inside(arguments[0], folder) or (changes and not may_write):
            return told
    return None


def _writes(mode: str | None, flags: int) -> bool:
    if isinstance(mode, str):
        return bool(set(mode) & set("wax+"))
    return bool(flags & (os.O_WRONLY | os.O_RDWR))


def _is_inside(path: Any, folder: Path) -> bool:
    """Whether a path, with the links in it followed, leads into the folder."""
    if isinstance(path, int):  # it is open already
        return True
    found = os.path.realpath(os.fsdecode(path))
    return found == str(folder) or found.startswith(f"{folder}{os.sep}")
