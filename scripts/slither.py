"""Runs slither over the production contracts and compares its findings with docs/SLITHER.md.

Every finding has to be answered there, and every answer has to have its finding: a section for each
detector, a list item for each place. Slither lives in an environment of its own (`make slither`),
because it needs an older web3 than the protocol; the compiler is the one that everything else uses.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from protocol.chain.compiler import SETTINGS
from protocol.chain.solc import find_solc
from protocol.chain.sources import ROOT, collect_sources, find_definitions

ANSWERS = ROOT / "docs" / "SLITHER.md"
WORK_DIR = ROOT / "build" / "slither"
SLITHER = ROOT / ".venv-audit" / "bin" / "slither"

_SECTION = re.compile(r"^## `([a-z0-9-]+)`")
_ITEM = re.compile(r"^- `([^`]+)`")


class AuditError(Exception):
    """Slither could not be run."""


@dataclass(frozen=True, order=True)
class Finding:
    """A detector's complaint about one place; several about the same place count as one.

    Attributes:
        check: The detector.
        place: Contract and function, variable or file: no line numbers, which any edit moves.
    """

    check: str
    place: str


def main(arguments: list[str] | None = None) -> int:
    """Return 0 if findings and answers agree, 1 if they do not, 2 if slither could not be run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--list", action="store_true", help="print every finding and stop")
    options = parser.parse_args(arguments)
    try:
        report = run_slither()
    except AuditError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    found = parse_report(report)
    if options.list:
        print("\n".join(f"{f.check}\t{f.place}" for f in sorted(found)))
        return 0
    complaints = compare(found, parse_answers(ANSWERS.read_text(encoding="utf-8")))
    print("\n".join(complaints) or f"slither: {len(found)} findings, all answered")
    return 1 if complaints else 0


def compare(found: Iterable[Finding], answered: Iterable[Finding]) -> list[str]:
    """Return a sentence for each finding without answer and each answer without finding."""
    found, answered = set(found), set(answered)
    return [
        f"slither complains ({f.check}) about `{f.place}` and nobody answered: fix it, or answer "
        f"in docs/SLITHER.md under `{f.check}`"
        for f in sorted(found - answered)
    ] + [
        f"docs/SLITHER.md answers `{f.check}` about `{f.place}`, which slither does not find: "
        "delete the line"
        for f in sorted(answered - found)
    ]


def parse_answers(text: str) -> set[Finding]:
    """Return what docs/SLITHER.md answers: the list items below each detector's heading."""
    answered, check = set(), ""
    for line in text.splitlines():
        if line.startswith("## "):
            match = _SECTION.match(line)
            check = match[1] if match else ""
        elif check and (match := _ITEM.match(line)):
            answered.add(Finding(check, match[1]))
    return answered


def parse_report(report: dict[str, Any]) -> set[Finding]:
    """Return the findings about our own sources.

    Raises:
        AuditError: The report says that the analysis failed.
    """
    if not report["success"]:
        raise AuditError(f"slither failed: {report['error']}")
    return {
        Finding(entry["check"], _place(entry["elements"][0]))
        for entry in report["results"].get("detectors", [])
        if any(_is_ours(element) for element in entry["elements"])
    }


def run_slither() -> dict[str, Any]:
    """Analyse the production contracts and return slither's report.

    Raises:
        AuditError: Slither is not installed, or it wrote no report.
    """
    slither = Path(os.environ.get("PINPOINT_SLITHER", SLITHER))
    if not slither.is_file():
        raise AuditError(
            f"there is no slither at {slither}; run `make slither`, see docs/SLITHER.md"
        )
    WORK_DIR.mkdir(parents=True, exist_ok=True)
    target, output = WORK_DIR / "input.json", WORK_DIR / "report.json"
    target.write_text(json.dumps(_standard_json()), encoding="utf-8")
    output.unlink(missing_ok=True)
    command: list[str | Path] = [slither, target, "--compile-force-framework", "Solc-json"]
    # Slither's own exit code counts findings; whether they are answered is decided here.
    run = subprocess.run(
        [*command, "--solc", find_solc(), "--exclude-dependencies", "--json", output],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if not output.is_file():
        raise AuditError(
            f"slither wrote no report (exit code {run.returncode}): {run.stderr[-2000:]}"
        )
    report: dict[str, Any] = json.loads(output.read_text(encoding="utf-8"))
    return report


def _standard_json() -> dict[str, Any]:
    """What `make artifacts` compiles, in one input."""
    sources: dict[str, str] = {}
    for definition in find_definitions().values():
        if not definition.is_harness:
            sources |= collect_sources(definition.source)
    contents = {name: {"content": text} for name, text in sorted(sources.items())}
    return {"language": "Solidity", "sources": contents, "settings": dict(SETTINGS)}


def _is_ours(element: dict[str, Any]) -> bool:
    return bool(element["source_mapping"]["filename_relative"].startswith("contracts/"))


def _place(element: dict[str, Any]) -> str:
    """Contract.function(types), Contract.function(types).variable, Contract.variable, or a name."""
    fields = element.get("type_specific_fields", {})
    name = str(fields.get("signature", element["name"]))
    parent = fields.get("parent")
    # A node is a statement, whose text is no name: its function is the place.
    if element["type"] in {"node", "pragma"} and parent:
        return _place(parent)
    if parent and parent["type"] in {"contract", "function"}:
        return f"{_place(parent)}.{name}"
    return name


if __name__ == "__main__":
    sys.exit(main())
