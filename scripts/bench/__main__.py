"""Speed beside stock PyTorch, in one run: the table of docs/BENCH.md.

    python -m scripts.bench                      measure everything and print
    python -m scripts.bench --write              the same, and rewrite docs/bench.json and BENCH.md
    python -m scripts.bench --rows mm GPT --threads 1 --quick     some rows, roughly

A row is chosen by a part of its name or group. Exit code 1 if a bar is missed or a row failed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.bench.catalogue import all_rows
from scripts.bench.machine import describe
from scripts.bench.pairs import Effort, measure
from scripts.bench.report import missed_bars, render
from scripts.bench.side import Side
from scripts.bench.stock import EAGER
from scripts.bench.work import Row
from scripts.bench.worker import OURS

DOCS = Path(__file__).resolve().parents[2] / "docs"
TABLE, PAGE = DOCS / "bench.json", DOCS / "BENCH.md"


def chosen(parts: Sequence[str]) -> list[Row]:
    """Rows whose name or group has one of ``parts``; all if there is none."""
    rows = all_rows()
    found = [r for r in rows if any(p.lower() in f"{r.name} {r.group}".lower() for p in parts)]
    if parts and not found:
        names = ", ".join(row.name for row in rows)
        sys.exit(f"error: no row has any of {', '.join(parts)} in its name; there are: {names}")
    return found if parts else rows


def run(rows: Sequence[Row], threads: Sequence[int], effort: Effort) -> dict[str, Any]:
    """The table of ``rows``."""
    machine, measured, start = describe(), [], time.monotonic()
    for count in threads:
        sides = [Side(name, count) for name in effort.sides]
        try:
            for row in rows:
                measured.append(measure(row, sides, effort))
                print(_progress(measured[-1], time.monotonic() - start), file=sys.stderr)
        finally:
            for side in sides:
                side.close()
    machine["minutes"] = round((time.monotonic() - start) / 60, 1)
    return {"machine": machine, "rows": measured}


def _progress(row: dict[str, Any], seconds: float) -> str:
    ratios = " ".join(f"{ratio:.2f}" for ratio in sorted(row["ratios"]))
    return f"{seconds:6.1f} s  {row['threads']} threads  {row['name']:32} {ratios}"


def main() -> int:
    """Exit code 1 if a bar is missed or a row failed."""
    text = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m scripts.bench", description=__doc__, formatter_class=text
    )
    parser.add_argument("--rows", nargs="+", default=[], help="parts of names or groups of rows")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--pairs", type=int, help="pairs of turns of a row")
    parser.add_argument("--quick", action="store_true", help="3 short pairs, ours and eager only")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    parser.add_argument("--write", action="store_true", help="rewrite bench.json and BENCH.md")
    options = parser.parse_args()
    effort = Effort(pairs=3, turn_s=0.06, sides=(OURS, EAGER)) if options.quick else Effort()
    if options.pairs is not None:
        effort = Effort(options.pairs, effort.turn_s, effort.sides)
    table = run(chosen(options.rows), options.threads, effort)
    print(render(table))
    figures = json.dumps(table, indent=1) + "\n"
    if options.json is not None:
        options.json.write_text(figures)
    if options.write:
        TABLE.write_text(figures)
        PAGE.write_text(render(table) + "\n")
    missed = missed_bars(table)
    for line in missed:
        print(f"missed bar: {line}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
