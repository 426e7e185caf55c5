"""`receipt.json`: what a receipt has recorded, as canonical JSON, read strictly and totally."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final

from protocol.program.strict_json import read_json

VERSION: Final = 1
MAX_CONTENTS_BYTES: Final = 16 << 20
MOST: Final = (1 << 63) - 1
_FIELDS: Final = {
    "version", "manifest_root", "log_root", "checkpoints", "segments", "steps", "folds"
}  # fmt: skip

FoldPlace = tuple[int, int, int]


@dataclass(frozen=True)
class Contents:
    """What a receipt holds. Roots are 32 bytes; the lists are sorted, without repetition.

    Attributes:
        manifest_root: of the task.
        log_root: root of the checkpoint log as far as the run had come.
        checkpoints: entries of that log.
        segments: (segment, segment root).
        steps: (step, trace root).
        folds: ((step, node, element), fold root).
    """

    manifest_root: bytes
    log_root: bytes
    checkpoints: int
    segments: tuple[tuple[int, bytes], ...] = ()
    steps: tuple[tuple[int, bytes], ...] = ()
    folds: tuple[tuple[FoldPlace, bytes], ...] = ()

    def to_bytes(self) -> bytes:
        """Canonical JSON: sorted keys, no spaces."""
        fields = {
            "version": VERSION,
            "manifest_root": self.manifest_root.hex(),
            "log_root": self.log_root.hex(),
            "checkpoints": self.checkpoints,
            "segments": [[m, root.hex()] for m, root in self.segments],
            "steps": [[s, root.hex()] for s, root in self.steps],
            "folds": [[*place, root.hex()] for place, root in self.folds],
        }
        return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()

    @staticmethod
    def from_bytes(data: bytes) -> Contents:
        """Read canonical JSON. ValueError, with the field, unless all is as the format says."""
        try:
            fields = read_json(data)
        except ValueError as error:
            raise ValueError(f"receipt.json is not JSON: {error}") from error
        if not isinstance(fields, dict) or set(fields) != _FIELDS:
            got = sorted(fields) if isinstance(fields, dict) else type(fields).__name__
            raise ValueError(f"the fields of receipt.json are {got}, expected {sorted(_FIELDS)}")
        if fields["version"] != VERSION:
            raise ValueError(f"receipt.json has version {fields['version']!r}, expected {VERSION}")
        contents = Contents(
            _root(fields["manifest_root"], "manifest_root"),
            _root(fields["log_root"], "log_root"),
            _integer(fields["checkpoints"], "checkpoints", 1),
            tuple((m, root) for (m,), root in _rows(fields, "segments", 1, 1)),
            tuple((s, root) for (s,), root in _rows(fields, "steps", 1, 0)),
            tuple(((s, n, e), root) for (s, n, e), root in _rows(fields, "folds", 3, 0)),
        )
        if contents.to_bytes() != data:
            raise ValueError("receipt.json is not canonical JSON: sort keys, no spaces")
        return contents


def _rows(
    fields: dict[str, Any], field: str, width: int, least: int
) -> list[tuple[tuple[int, ...], bytes]]:
    """Rows of ``width`` integers and a root; their places strictly grow."""
    value = fields[field]
    if not isinstance(value, list):
        raise ValueError(f"{field} of receipt.json must be a list")
    rows: list[tuple[tuple[int, ...], bytes]] = []
    for row in value:
        if not isinstance(row, list) or len(row) != width + 1:
            raise ValueError(f"a row of {field} must be {width} integers and a root")
        place = tuple(_integer(number, field, least) for number in row[:-1])
        if rows and place <= rows[-1][0]:
            raise ValueError(f"{field} of receipt.json: {place} does not come after {rows[-1][0]}")
        rows.append((place, _root(row[-1], field)))
    return rows


def _integer(value: Any, field: str, least: int) -> int:
    if type(value) is not int or not least <= value <= MOST:
        raise ValueError(f"{field} of receipt.json holds {value!r}, expected {least}..{MOST}")
    return value


def _root(value: Any, field: str) -> bytes:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9a-f]{64}", value):
        raise ValueError(f"{field} of receipt.json holds {value!r}, expected 64 hex digits")
    return bytes.fromhex(value)
