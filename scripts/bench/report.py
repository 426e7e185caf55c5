"""The table as a page: bars, rows, commitments, memory, machine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from scripts.bench.bars import (
    BARS,
    FAILED,
    MET,
    MISSED,
    commitment_share,
    memory_ratio,
    standings,
)
from scripts.bench.catalogue import SUBNORMAL
from scripts.bench.memory import MOST
from scripts.bench.pairs import spread
from scripts.bench.stock import COMPILED, DETERMINISTIC, EAGER
from scripts.bench.worker import OURS

SIDES = (OURS, EAGER, COMPILED, DETERMINISTIC)

INTRODUCTION = """\
Measured and written by `python -m scripts.bench --write`; `bench.json` has the same figures. Each
side runs in a process of its own, in turns, and a pair of turns gives a ratio: *ratio* is
throughput, ours / stock eager, the median of the pairs, then the least and the greatest. A time is
the median over the turns, of a turn its best call. *compile* is `torch.compile`, of a training step
the model and loss; *deterministic* is eager under `torch.use_deterministic_algorithms(True)`. Works
without a bar inform. Other programs on the machine disturb runs of two threads most: *others* under
Machine says how busy they were."""


def render(table: dict[str, Any]) -> str:
    """The page in Markdown; parts that were not measured are left out."""
    rows = table["rows"]
    parts = [
        ("Bars", _table(("work", "threads", "bar", "worst", "median", ""), _bar_lines(table))),
        ("Rows", _rows(rows)),
        ("What failed", _failures(rows)),
        ("Commitments", _commitments(rows)),
        ("Tensor hashing", _hashings(table["hashing"])),
        ("Peak memory of a training step", _memories(table["memory"])),
        ("Slower with subnormal products", _subnormal(rows)),
        ("Machine", _machine(table["machine"])),
    ]
    pages = [f"## {title}\n\n{text}" for title, text in parts if text]
    return "\n\n".join(["# Speed beside stock PyTorch", INTRODUCTION, *pages])


def _bar_lines(table: dict[str, Any]) -> list[tuple[str, ...]]:
    return [standing.cells() for standing in standings(table)]


def _rows(rows: Sequence[dict[str, Any]]) -> str:
    head = "work", "threads", "nodes", *SIDES, "ratio", "least – greatest", "bar", ""
    return _table(head, map(_row_line, rows))


def _row_line(row: dict[str, Any]) -> tuple[str, ...]:
    bar = BARS.get(row["group"])
    times = (_time(row, side) for side in SIDES)
    start = row["name"], str(row["threads"]), str(row.get("nodes", "-"))
    if not row["ratios"]:
        return *start, *times, "-", "-", "-", FAILED
    median, least, greatest = spread(row["ratios"])
    ratio = f"{median:.2f}", f"{least:.2f} – {greatest:.2f}"
    if bar is None:
        return *start, *times, *ratio, "", ""
    # A group's other bar is about the median of its rows.
    verdict = MET if median >= bar.each else MISSED
    return *start, *times, *ratio, f"≥ {bar.each:.2f}", verdict


def _time(row: dict[str, Any], side: str) -> str:
    if side in row["failed"]:
        return FAILED
    seconds = row["seconds"].get(side)
    return "-" if seconds is None else f"{1e3 * seconds:.3f} ms"


def _failures(rows: Iterable[dict[str, Any]]) -> str:
    return "\n".join(
        f"- {row['name']}, {row['threads']} threads, {side}: failed: {reason}"
        for row in rows
        for side, reason in row["failed"].items()
    )


def _commitments(rows: Sequence[dict[str, Any]]) -> str:
    head = "work", "threads", "state", "to hash", "interval", "share of step time", "with the file"
    lines = [
        (
            *(row["name"], str(row["threads"]), f"{row['commit']['bytes'] / 1e6:.1f} MB"),
            f"{1e3 * row['commit']['seconds']:.2f} ms",
            str(row["commit"]["interval"]),
            f"{100 * commitment_share(row):.2f} %",
            f"{1e3 * row['commit']['file_seconds']:.1f} ms",
        )
        for row in rows
        if "commit" in row and OURS in row["seconds"]
    ]
    note = (
        "\n\n*interval*: steps between checkpoints, as `task_from` chooses them if it is not told. "
        "*with the file*: hashed, and the state written and flushed to disk. The bar is about "
        "hashing alone."
    )
    return _table(head, lines) + note if lines else ""


def _hashings(entries: Sequence[dict[str, Any]]) -> str:
    return "\n".join(
        f"- {entry['threads']} threads: {entry['gb_s']:.2f} GB/s of a tensor of "
        f"{entry['bytes'] / 1e6:.0f} MB"
        for entry in entries
    )


def _memories(entries: Sequence[dict[str, Any]]) -> str:
    lines = [
        (
            *(entry["name"], str(entry["threads"])),
            *(f"{entry[side] / 1e6:.0f} MB" for side in (OURS, EAGER)),
            *(f"{memory_ratio(entry):.2f}", f"≤ {MOST:.2f}"),
        )
        for entry in entries
    ]
    return _table(("work", "threads", OURS, EAGER, "ratio", "bar"), lines) if lines else ""


def _subnormal(rows: Sequence[dict[str, Any]]) -> str:
    """How much slower each side gets when all products are subnormal."""
    lines = []
    for threads in sorted({row["threads"] for row in rows}):
        both = [r for r in rows if (r["group"], r["threads"]) == (SUBNORMAL, threads)]
        if len(both) == 2:
            ordinary, subnormal = (row["seconds"] for row in both)
            shared = [side for side in SIDES if side in ordinary and side in subnormal]
            slower = (f"{side} {subnormal[side] / ordinary[side]:.1f} times" for side in shared)
            lines.append(f"- {threads} threads: {', '.join(slower)}")
    return "\n".join(lines)


def _machine(machine: dict[str, Any]) -> str:
    return "\n".join(
        f"- {key.replace('_', ' ')}: {', '.join(value) if isinstance(value, list) else value}"
        for key, value in machine.items()
    )


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    left = ("work", "", "bar")
    ruler = ("---" if name in left else "---:" for name in head)
    cells = [f"| {' | '.join(cells)} |" for cells in (head, ruler, *lines)]
    return "\n".join(cells) if len(cells) > 2 else ""
