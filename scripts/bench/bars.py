"""The bars of the issue and how the measured figures stand to them."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from scripts.bench.memory import MOST
from scripts.bench.stock import EAGER
from scripts.bench.worker import OURS

MET, MISSED, FAILED = "met", "missed", "failed"
COMMITMENT_SHARE = 0.02
HASHING_GB_S, HASHING_THREADS = 2.0, 2


@dataclass(frozen=True)
class Bar:
    """Least throughput, ours / stock eager, of each row and of the median of a group's rows."""

    each: float
    median: float | None = None

    def text(self) -> str:
        """As the table shows it."""
        median = "" if self.median is None else f", median ≥ {self.median:.2f}"
        return f"≥ {self.each:.2f}{median}"

    def verdict(self, ratios: Sequence[float]) -> str:
        """Whether rows with these ratios meet it."""
        has_median = self.median is None or statistics.median(ratios) >= self.median
        return MET if has_median and min(ratios) >= self.each else MISSED


BARS = {
    "matrix product": Bar(0.75, 0.85),
    "attention": Bar(0.8),
    "convolution": Bar(0.8),
    "elementwise": Bar(0.95, 1.0),
    "optimizer": Bar(1.0),
    "training step": Bar(0.9),
}
"""Groups without a bar inform."""


@dataclass(frozen=True)
class Standing:
    """How a work stands to its bar; ``worst`` and ``median`` as texts."""

    work: str
    threads: int
    bar: str
    worst: str
    median: str
    verdict: str

    def cells(self) -> tuple[str, ...]:
        """The line of the table."""
        return self.work, str(self.threads), self.bar, self.worst, self.median, self.verdict

    def complaint(self) -> str:
        """A missed bar in words."""
        return (
            f"{self.work}, {self.threads} threads: worst {self.worst}, median {self.median}, "
            f"bar {self.bar}"
        )


def standings(table: dict[str, Any]) -> list[Standing]:
    """Every bar about which something was measured."""
    return [*_throughputs(table), *_commitments(table), *_hashings(table), *_memories(table)]


def missed(table: dict[str, Any]) -> list[Standing]:
    """The bars that are not met, and the works that failed."""
    return [standing for standing in standings(table) if standing.verdict != MET]


def commitment_share(row: dict[str, Any]) -> float:
    """Time to hash the state over the time of the steps between two checkpoints."""
    return float(row["commit"]["seconds"] / (row["commit"]["interval"] * row["seconds"][OURS]))


def memory_ratio(entry: dict[str, Any]) -> float:
    """Our peak over stock eager's."""
    return float(entry[OURS] / entry[EAGER])


def _by_threads(rows: Sequence[dict[str, Any]]) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    for threads in sorted({row["threads"] for row in rows}):
        yield threads, [row for row in rows if row["threads"] == threads]


def _throughputs(table: dict[str, Any]) -> Iterator[Standing]:
    for group, bar in BARS.items():
        rows = [row for row in table["rows"] if row["group"] == group]
        for threads, some in _by_threads(rows):
            ratios = [statistics.median(row["ratios"]) for row in some if row["ratios"]]
            if len(ratios) < len(some):
                yield Standing(group, threads, bar.text(), "-", "-", FAILED)
            else:
                figures = f"{min(ratios):.2f}", f"{statistics.median(ratios):.2f}"
                yield Standing(group, threads, bar.text(), *figures, bar.verdict(ratios))


def _commitments(table: dict[str, Any]) -> Iterator[Standing]:
    rows = [row for row in table["rows"] if "commit" in row and OURS in row["seconds"]]
    bar = f"≤ {100 * COMMITMENT_SHARE:.0f} % of step time, at the default interval"
    for threads, some in _by_threads(rows):
        shares = [commitment_share(row) for row in some]
        verdict = MET if max(shares) <= COMMITMENT_SHARE else MISSED
        worst, median = (f"{100 * f(shares):.2f} %" for f in (max, statistics.median))
        yield Standing("commitments", threads, bar, worst, median, verdict)


def _hashings(table: dict[str, Any]) -> Iterator[Standing]:
    for entry in table["hashing"]:
        if entry["threads"] == HASHING_THREADS:
            rate = f"{entry['gb_s']:.2f} GB/s"
            verdict = MET if entry["gb_s"] >= HASHING_GB_S else MISSED
            bar = f"≥ {HASHING_GB_S:.0f} GB/s"
            yield Standing("tensor hashing", entry["threads"], bar, rate, rate, verdict)


def _memories(table: dict[str, Any]) -> Iterator[Standing]:
    bar = f"≤ {MOST:.2f} times stock eager's"
    for threads, some in _by_threads(table["memory"]):
        ratios = [memory_ratio(entry) for entry in some]
        verdict = MET if max(ratios) <= MOST else MISSED
        worst, median = (f"{f(ratios):.2f}" for f in (max, statistics.median))
        yield Standing("peak memory", threads, bar, worst, median, verdict)
