"""JSON of strangers: looked at before it is taken apart.

Python's reader recurses for each bracket. Libraries of this ecosystem raise the recursion limit so
far that a text of brackets would overflow the stack, and end the process, before the limit is met.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any, Final

MAX_DEPTH: Final = 64
"""Far above what any file or answer of this project has."""

_QUOTE: Final = ord('"')
_TOKEN: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)
"""A text, closed or not, or a bracket. It never goes back: time is linear, memory constant."""


def read_json(data: bytes | str, max_depth: int = MAX_DEPTH) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: it is not JSON, its lists and objects are nested deeper than ``max_depth``, or
            an integer has more digits than Python turns into one.
    """
    raw = data.encode() if isinstance(data, str) else data
    require_shallow(raw, max_depth)
    try:
        return json.loads(raw.decode())  # of bytes, the library would guess the encoding
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise
    except ValueError as error:  # Python's own words advise to lift the limit
        most = sys.get_int_max_str_digits()
        raise ValueError(f"an integer in it has more than {most} digits") from error
    except RecursionError as error:
        raise ValueError(f"nested too deep: {error}") from error


def require_shallow(data: bytes, max_depth: int = MAX_DEPTH) -> None:
    """ValueError if brackets outside of texts are nested deeper than ``max_depth``.

    Also if it holds a zero byte: readers take such bytes for UTF-16 or UTF-32, in which this search
    would mistake halves of characters for quotes.
    """
    if b"\0" in data:
        raise ValueError("it holds a zero byte, which UTF-8 JSON never does")
    if data.count(b"[") + data.count(b"{") <= max_depth:
        return
    depth = 0
    for token in _TOKEN.finditer(data):
        first = data[token.start()]
        if first != _QUOTE:
            depth += 1 if first in b"[{" else -1
            if depth > max_depth:
                raise ValueError(f"lists and objects are nested deeper than {max_depth}")
