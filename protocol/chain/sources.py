"""The Solidity sources: what each file defines and imports, and the hash of all that matters."""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS_DIR = ROOT / "contracts"
HARNESS_PREFIX = "contracts/harness/"

# Strings are matched first, so that `//` inside one is not taken for a comment.
_TOKEN = re.compile(
    r"""(?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')|(?P<comment>//[^\n]*|/\*.*?\*/)""",
    re.DOTALL,
)
_IMPORT = re.compile(r"""^\s*import\s[^;]*?["']([^"']+)["']""", re.MULTILINE)
_DEFINITION = re.compile(
    r"^\s*(?P<abstract>abstract\s+)?(?P<kind>contract|interface|library)\s+(?P<name>\w+)[^{;]*\{",
    re.MULTILINE,
)
_ENTRY_POINT = re.compile(r"\bfunction\b[^;{]*\b(?:external|public)\b")


class SourceError(Exception):
    """A source file is missing, or two define the same contract."""


@dataclass(frozen=True)
class Definition:
    """A contract, interface or library, and the file of it, relative to the repository."""

    name: str
    kind: str
    source: str

    @property
    def is_harness(self) -> bool:
        """Whether it exists only for tests."""
        return self.source.startswith(HARNESS_PREFIX)


def strip_comments(text: str) -> str:
    """Remove what cannot change the code: comments, and white space between tokens.

    Comments that the compiler obeys (`@solidity memory-safe-assembly`) are kept.
    """

    def keep(match: re.Match[str]) -> str:
        comment = match["comment"]
        return match[0] if comment is None or "@solidity" in comment else " "

    parts = re.split(r"""("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')""", _TOKEN.sub(keep, text))
    # Odd parts are string literals: their spaces count.
    return "".join(p if i % 2 else re.sub(r"\s+", " ", p) for i, p in enumerate(parts)).strip()


def resolve_import(importer: str, target: str) -> str:
    """Return the source name that an import statement in `importer` means."""
    if target.startswith("."):
        return posixpath.normpath(posixpath.join(posixpath.dirname(importer), target))
    return target


def read_source(name: str) -> str:
    """Return the text of a source, ours or a library's of node_modules.

    Raises:
        SourceError: There is no such file.
    """
    path = ROOT / name if name.startswith("contracts/") else ROOT / "node_modules" / name
    if not path.is_file():
        if not name.startswith("contracts/") and not (ROOT / "node_modules").is_dir():
            raise SourceError(
                f"cannot read {name}: Solidity libraries come from node_modules, which "
                "does not exist; run `make setup`"
            )
        raise SourceError(f"cannot read {name}: {path} does not exist; check the import")
    return path.read_text(encoding="utf-8")


def collect_sources(entry: str) -> dict[str, str]:
    """Return the text of `entry` and of everything it imports, by source name, sorted by name."""
    texts: dict[str, str] = {}
    waiting = [entry]
    while waiting:
        name = waiting.pop()
        if name not in texts:
            texts[name] = read_source(name)
            waiting += [resolve_import(name, t) for t in _IMPORT.findall(texts[name])]
    return dict(sorted(texts.items()))


def hash_sources(sources: dict[str, str], settings: dict[str, Any], version: str) -> str:
    """Return the hexadecimal SHA-256 of all that decides the compiler's output."""
    stripped = {name: strip_comments(text) for name, text in sources.items()}
    text = json.dumps([version, settings, stripped], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def find_definitions() -> dict[str, Definition]:
    """Return every deployable contract, interface and linkable library of the project by name.

    Libraries without an external function are compiled into their users and not listed.

    Raises:
        SourceError: There are no sources, or two definitions share a name.
    """
    if not CONTRACTS_DIR.is_dir():
        raise SourceError(
            f"no Solidity sources: {CONTRACTS_DIR} does not exist. An installed package carries "
            "only the compiled artefacts; compile in a checkout of the repository"
        )
    found: dict[str, Definition] = {}
    for path in sorted(CONTRACTS_DIR.rglob("*.sol")):
        source = path.relative_to(ROOT).as_posix()
        for name, kind in _parse_definitions(path, path.stat().st_mtime_ns):
            if name in found:
                raise SourceError(
                    f"two contracts are called {name}: one in {found[name].source}, one in "
                    f"{source}; rename one, since artefacts are found by name"
                )
            found[name] = Definition(name, kind, source)
    return found


@cache
def _parse_definitions(path: Path, _mtime_ns: int) -> tuple[tuple[str, str], ...]:
    text = _TOKEN.sub(lambda m: m["string"] or " ", path.read_text(encoding="utf-8"))
    matches = list(_DEFINITION.finditer(text))
    ends = [m.start() for m in matches[1:]] + [len(text)]
    return tuple(
        (m["name"], m["kind"])
        for m, end in zip(matches, ends, strict=True)
        if not m["abstract"] and (m["kind"] != "library" or _ENTRY_POINT.search(text, m.end(), end))
    )
