"""Measures one row: sides take turns, and each pair of turns gives a ratio."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scripts.bench.side import Side, SideFailed
from scripts.bench.stock import COMPILED, DETERMINISTIC, EAGER
from scripts.bench.training import TRAINING
from scripts.bench.work import Row
from scripts.bench.worker import OURS

OTHERS = 3
"""Turns of the sides that no bar is about."""


@dataclass(frozen=True)
class Effort:
    """How long to measure: pairs of turns, seconds of a turn, and the sides that take part."""

    pairs: int = 5
    turn_s: float = 0.1
    sides: tuple[str, ...] = (OURS, EAGER, DETERMINISTIC, COMPILED)
    alone: bool = False
    """Turns in real-time priority: what else the machine does waits."""
    tiny: bool = False


def measure(row: Row, sides: Sequence[Side], effort: Effort) -> dict[str, Any]:
    """The row's figures: seconds per side (or why it failed), and the ratios of the pairs."""
    result: dict[str, Any] = {"name": row.name, "group": row.group, "threads": sides[0].threads}
    failed = _prepare(row, sides, effort, result)
    present = [side for side in sides if side.name not in failed]
    seconds: dict[str, list[float]] = {side.name: [] for side in present}
    try:
        for pair in range(effort.pairs):
            for side in present if pair % 2 == 0 else reversed(present):
                if side.name in (OURS, EAGER) or pair < OTHERS:
                    seconds[side.name].append(side.turn(effort.turn_s, alone=effort.alone))
        if row.group == TRAINING and OURS in seconds:
            result["commit"] = present[0].request({"do": "commit", "alone": effort.alone})
        for side in present:
            side.request({"do": "drop"})
    except SideFailed as error:
        failed["turn"] = str(error)
    result["failed"] = failed
    result["seconds"] = {name: statistics.median(times) for name, times in seconds.items() if times}
    result["ratios"] = [
        theirs / own
        for own, theirs in zip(seconds.get(OURS, []), seconds.get(EAGER, []), strict=False)
    ]
    return result


def _prepare(
    row: Row, sides: Sequence[Side], effort: Effort, result: dict[str, Any]
) -> dict[str, str]:
    """Let all sides prepare at the same time; what failed, and why."""
    failed = {}
    for side in sides:
        side.ask({"do": "prepare", "row": row.name, "tiny": effort.tiny})
    for side in sides:
        try:
            nodes = side.answer()["nodes"]
            if nodes is not None:
                result["nodes"] = nodes
        except SideFailed as error:
            failed[side.name] = str(error)
            print(f"{row.name}: {side.name} failed: {error}", file=sys.stderr)
    return failed


def spread(ratios: Sequence[float]) -> tuple[float, float, float]:
    """Median, least and greatest."""
    return statistics.median(ratios), min(ratios), max(ratios)
