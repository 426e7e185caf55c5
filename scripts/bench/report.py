"""The table as a page: rows, bars, machine."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from scripts.bench.catalogue import BARS, SUBNORMAL, Bar
from scripts.bench.pairs import spread
from scripts.bench.stock import COMPILED, DETERMINISTIC, EAGER
from scripts.bench.worker import OURS

SIDES = (OURS, EAGER, COMPILED, DETERMINISTIC)
MET, MISSED, FAILED = "met", "missed", "failed"


def render(table: dict[str, Any]) -> str:
    """The page in Markdown."""
    rows = table["rows"]
    return "\n\n".join(
        [
            "# Speed beside stock PyTorch",
            "Measured and written by `python -m scripts.bench --write`; `bench.json` has the same "
            "figures. Each side runs in a process of its own, in turns; a pair of turns gives a "
            "ratio. *ratio* is throughput, ours / stock eager: the median of the pairs, then the "
            "least and the greatest. Times are medians of a call.",
            "## Bars",
            _table(("work", "threads", "bar", "worst", "median", ""), _bar_lines(table)),
            "## Rows",
            _table(
                ("work", "threads", "nodes", "ours", "eager", "compile", "deterministic", "ratio",
                 "least – greatest", "bar", ""),
                map(_row_line, rows),
            ),
            *_failures(rows),
            *_subnormal(rows),
            "## Machine",
            _machine(table["machine"]),
        ]
    )  # fmt: skip


def missed_bars(table: dict[str, Any]) -> list[str]:
    """The bars that are not met, each with what was measured."""
    return [
        f"{work}, {threads} threads: worst {worst}, median {median}, bar {bar}"
        for work, threads, bar, worst, median, verdict in _bar_lines(table)
        if verdict != MET
    ]


def _bar_lines(table: dict[str, Any]) -> list[tuple[str, ...]]:
    lines = []
    for group, bar in BARS.items():
        for threads in sorted({row["threads"] for row in table["rows"]}):
            rows = [r for r in table["rows"] if (r["group"], r["threads"]) == (group, threads)]
            if rows:
                lines.append(_bar_line(group, threads, bar, rows))
    return lines


def _bar_line(
    group: str, threads: int, bar: Bar, rows: Sequence[dict[str, Any]]
) -> tuple[str, ...]:
    ratios = [statistics.median(row["ratios"]) for row in rows if row["ratios"]]
    if len(ratios) < len(rows):
        return group, str(threads), bar.text(), "-", "-", FAILED
    worst, median = min(ratios), statistics.median(ratios)
    is_met = worst >= bar.each and (bar.median is None or median >= bar.median)
    figures = f"{worst:.2f}", f"{median:.2f}"
    return group, str(threads), bar.text(), *figures, MET if is_met else MISSED


def _row_line(row: dict[str, Any]) -> tuple[str, ...]:
    bar = BARS.get(row["group"])
    times = (_time(row, side) for side in SIDES)
    start = row["name"], str(row["threads"]), str(row.get("nodes", "-"))
    if not row["ratios"]:
        return *start, *times, "-", "-", "-", FAILED
    median, least, greatest = spread(row["ratios"])
    verdict = "" if bar is None else MET if median >= bar.each else MISSED
    least_greatest = f"{least:.2f} – {greatest:.2f}"
    return (
        *(*start, *times, f"{median:.2f}", least_greatest),
        *("" if bar is None else f"{bar.each:.2f}", verdict),
    )


def _time(row: dict[str, Any], side: str) -> str:
    if side in row["failed"]:
        return FAILED
    seconds = row["seconds"].get(side)
    return "-" if seconds is None else f"{1e3 * seconds:.3f} ms"


def _failures(rows: Iterable[dict[str, Any]]) -> list[str]:
    lines = [
        f"- {row['name']}, {row['threads']} threads, {side}: failed: {reason}"
        for row in rows
        for side, reason in row["failed"].items()
    ]
    return ["## What failed", "\n".join(lines)] if lines else []


def _subnormal(rows: Sequence[dict[str, Any]]) -> list[str]:
    """How much slower each side gets when all products are subnormal."""
    lines = []
    for threads in sorted({row["threads"] for row in rows}):
        both = [r for r in rows if (r["group"], r["threads"]) == (SUBNORMAL, threads)]
        if len(both) == 2:
            ordinary, subnormal = (row["seconds"] for row in both)
            shared = [side for side in SIDES if side in ordinary and side in subnormal]
            slower = (f"{side} {subnormal[side] / ordinary[side]:.0f} times" for side in shared)
            lines.append(f"- {threads} threads: {', '.join(slower)}")
    return ["## Slower with subnormal products", "\n".join(lines)] if lines else []


def _machine(machine: dict[str, Any]) -> str:
    return "\n".join(
        f"- {key.replace('_', ' ')}: {', '.join(value) if isinstance(value, list) else value}"
        for key, value in machine.items()
    )


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    left = ("work", "", "bar")
    ruler = ("---" if name in left else "---:" for name in head)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ruler, *lines))
