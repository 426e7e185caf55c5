"""Speed beside stock PyTorch, in one run: the table of docs/BENCH.md.

    python -m scripts.bench                      measure everything and print
    python -m scripts.bench --write              the same, and rewrite docs/bench.json and BENCH.md
    python -m scripts.bench --rows mm GPT --threads 1 --quick     some rows, roughly

A row is chosen by a part of its name or group. Exit code 1 if a bar is missed or a row failed.
Two threads cannot be measured while other programs use the cores. With --alone, turns run in
real-time priority, and what else the machine does waits (root, or CAP_SYS_NICE).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from scripts.bench.bars import missed
from scripts.bench.catalogue import all_rows
from scripts.bench.machine import OtherPrograms, describe
from scripts.bench.memory import measure_memory
from scripts.bench.pairs import Effort, measure
from scripts.bench.report import render
from scripts.bench.side import Side
from scripts.bench.stock import EAGER
from scripts.bench.training import gpt, resnet
from scripts.bench.work import Row
from scripts.bench.worker import OURS, alone

DOCS = Path(__file__).resolve().parents[2] / "docs"
HASHING, MEMORY = EXTRAS = ("tensor hashing", "peak memory")
TABLE, PAGE = DOCS / "bench.json", DOCS / "BENCH.md"


def matches(text: str, parts: Sequence[str]) -> bool:
    """Whether ``text`` has one of ``parts``, or there is none."""
    return not parts or any(part.lower() in text.lower() for part in parts)


def chosen(parts: Sequence[str]) -> list[Row]:
    """Rows whose name or group has one of ``parts``; all if there is none."""
    rows = all_rows()
    found = [row for row in rows if matches(f"{row.name} {row.group}", parts)]
    if not found and not any(matches(extra, parts) for extra in EXTRAS):
        names = ", ".join([*(row.name for row in rows), *EXTRAS])
        sys.exit(f"error: no row has any of {', '.join(parts)} in its name; there are: {names}")
    return found


def run(parts: Sequence[str], threads: Sequence[int], effort: Effort) -> dict[str, Any]:
    """The table of the rows that ``parts`` choose."""
    rows, machine = chosen(parts), describe()
    table: dict[str, Any] = {"machine": machine, "rows": [], "hashing": [], "memory": []}
    others, start = OtherPrograms(), time.monotonic()
    for count in threads:
        sides = [Side(name, count) for name in effort.sides]
        try:
            for row in rows:
                table["rows"].append(measure(row, sides, effort))
                print(_progress(table["rows"][-1], time.monotonic() - start), file=sys.stderr)
            if matches(HASHING, parts):
                request = {"do": "hash", "alone": effort.alone}
                table["hashing"].append({"threads": count, **sides[0].request(request)})
        finally:
            for side in sides:
                side.close()
    if matches(MEMORY, parts):
        weighed = [row for row in all_rows() if row.make in (gpt, resnet)]
        table["memory"] = [measure_memory(row, max(threads)) for row in weighed]
    machine["turns"] = f"{effort.pairs} pairs of {effort.turn_s:.2f} s" + (
        ", in real-time priority" if effort.alone else ""
    )
    machine["others"] = others.share()
    machine["minutes"] = round((time.monotonic() - start) / 60, 1)
    return table


def _progress(row: dict[str, Any], seconds: float) -> str:
    ratios = " ".join(f"{ratio:.2f}" for ratio in sorted(row["ratios"]))
    return f"{seconds:6.1f} s  {row['threads']} threads  {row['name']:32} {ratios}"


def refuse_without_right() -> None:
    """End with an error unless this process may use real-time priority."""
    try:
        with alone():
            pass
    except PermissionError as error:
        sys.exit(
            f"error: no real-time priority for this user ({error}): run as root, or leave out "
            "--alone on a machine that does nothing else; see sched(7)"
        )


def main() -> int:
    """Exit code 1 if a bar is missed or a row failed."""
    text = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m scripts.bench", description=__doc__, formatter_class=text
    )
    parser.add_argument("--rows", nargs="+", default=[], help="parts of names or groups of rows")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--pairs", type=int, help="pairs of turns of a row")
    parser.add_argument("--alone", action="store_true", help="turns in real-time priority")
    parser.add_argument("--quick", action="store_true", help="3 short pairs, ours and eager only")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    parser.add_argument("--write", action="store_true", help="rewrite bench.json and BENCH.md")
    options = parser.parse_args()
    if options.write and (options.rows or options.quick or options.threads != [1, 2]):
        parser.error("--write takes the whole table: leave out --rows, --threads and --quick")
    effort = Effort(pairs=3, turn_s=0.06, sides=(OURS, EAGER)) if options.quick else Effort()
    if options.pairs is not None:
        effort = replace(effort, pairs=options.pairs)
    if options.alone:
        refuse_without_right()
        effort = replace(effort, alone=True)
    table = run(options.rows, options.threads, effort)
    print(render(table))
    figures = json.dumps(table, indent=1) + "\n"
    if options.json is not None:
        options.json.write_text(figures)
    if options.write:
        TABLE.write_text(figures)
        PAGE.write_text(render(table) + "\n")
    complaints = missed(table)
    for standing in complaints:
        print(f"{standing.verdict} bar: {standing.complaint()}", file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
