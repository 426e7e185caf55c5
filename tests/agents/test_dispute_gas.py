"""The gas of a dispute: what was measured, and how it grows with a task."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from protocol.agents.dispute_gas import MOVES, dispute_gas

TABLE = json.loads((Path(__file__).parents[2] / "docs" / "gas.json").read_text())
PLAYED = {
    name: dispute
    for section, disputes in TABLE.items()
    if section.startswith("disputes")
    for name, dispute in disputes.items()
}
SIZES = {"checkpoints": 5, "steps": 5, "nodes": 42, "chunks": 1, "terms": 64}


def test_moves_cost_what_the_table_has_rounded_up() -> None:
    dearest: dict[str, int] = {}
    for dispute in PLAYED.values():
        for name, gas in dispute["moves"]:
            dearest[name] = max(gas, dearest.get(name, 0))
    assert MOVES.keys() <= dearest.keys()
    for name, most in MOVES.items():
        assert dearest[name] <= most <= dearest[name] + 8_000, name


@pytest.mark.parametrize("name", PLAYED)
def test_dispute_that_was_played_took_no_more(name: str) -> None:
    found = dispute_gas(**SIZES, judgement=PLAYED[name]["judgement"])
    assert PLAYED[name]["gas"] <= (found.served if "leaves served" in name else found.longest)


def test_dispute_grows_with_the_levels_of_the_longest_way_only() -> None:
    small = dispute_gas(**SIZES, judgement=1)
    for name in SIZES:
        large = dispute_gas(**{**SIZES, name: 1 << 16}, judgement=1)
        assert large.served == small.served
        assert large.longest > small.longest
    assert dispute_gas(**SIZES, judgement=1_001).longest == small.longest + 1_000
