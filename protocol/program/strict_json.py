"""JSON of strangers: looked at before it is taken apart.

Python's reader recurses for each bracket. Libraries of this ecosystem raise the recursion limit so
far that a text of brackets would overflow the stack, and end the process, before the limit is met.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

MAX_DEPTH: Final = 64
"""Far above what any file or answer of this project has."""

_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKET: Final = re.compile(rb"[\[\]{}]")


def read_json(data: bytes | str, max_depth: int = MAX_DEPTH) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: it is not JSON, or its lists and objects are nested deeper than ``max_depth``.
    """
    raw = data.encode() if isinstance(data, str) else data
    require_shallow(raw, max_depth)
    try:
        return json.loads(raw)
    except RecursionError as error:
        raise ValueError(f"nested too deep: {error}") from error


def require_shallow(data: bytes, max_depth: int = MAX_DEPTH) -> None:
    """ValueError if brackets outside of texts are nested deeper than ``max_depth``."""
    if data.count(b"[") + data.count(b"{") <= max_depth:
        return
    depth = 0
    for bracket in _BRACKET.finditer(_STRING.sub(b"", data)):
        depth += 1 if bracket.group() in b"[{" else -1
        if depth > max_depth:
            raise ValueError(f"lists and objects are nested deeper than {max_depth}")
