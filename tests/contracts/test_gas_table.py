"""The committed table of gas: its bars, and the part of it that is quick to measure again.

The rest, training runs and captured programs, is measured by `python scripts/gas_table.py --check`.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from scripts import gas_table
from scripts.gas.report import (
    SOLVER_GAS,
    TOLERANCE,
    all_disputes,
    broken_bars,
    differences,
    longest_dispute,
    render,
)


@pytest.fixture(scope="module")
def table() -> dict[str, Any]:
    return gas_table.load()


def test_gas_of_every_entry_point_and_code_size_are_those_of_the_table(table: dict[str, Any]):
    measured = {"sizes": gas_table.measure_sizes(), **gas_table.measure_moves()}
    moved = differences(table, measured)
    assert not moved, "\n".join([*moved, "if it is meant: python scripts/gas_table.py --write"])


def test_table_breaks_no_bar(table: dict[str, Any]):
    assert broken_bars(table) == []
    assert {"digits", "small CNN"} <= set(table["judgements"])


def test_page_shows_the_table(table: dict[str, Any]):
    assert gas_table.PAGE.read_text() == render(table) + "\n"


@pytest.mark.parametrize(
    ("place", "value", "complaint"),
    [
        (("sizes", "Dispute"), 24_577, "24,577 bytes"),
        (
            ("disputes of the toy", "toy, leaves served, load", "transactions"),
            10,
            "10 transactions",
        ),
        (("disputes of the toy", "toy, leaves served, load", "gas"), 2_500_001, "2,500,001 gas"),
        (("disputes of the toy", "toy, nothing served", "judgement"), 400_001, "400,001"),
        (("disputes of the toy", "toy, nothing served", "solver"), 9_000_000, "9,000,000"),
    ],
)
def test_broken_bar_is_named(
    table: dict[str, Any], place: tuple[str, ...], value: int, complaint: str
):
    changed = deepcopy(table)
    *way, last = place
    section = changed
    for key in way:
        section = section[key]
    section[last] = value
    (broken,) = broken_bars(changed)
    assert complaint in broken


def test_judgement_above_its_bound_breaks_a_bar(table: dict[str, Any]):
    changed = deepcopy(table)
    worst = next(iter(changed["judgements"]["digits"]["operators"].values()))["arithmetic"]
    worst["bound"] = worst["gas"] - 1
    (broken,) = broken_bars(changed)
    assert f"bound {worst['bound']:,}" in broken


def test_longest_dispute_is_covered_and_dearer_than_any_played(table: dict[str, Any]):
    played = max(dispute["solver"] for dispute in all_disputes(table).values())
    assert played < longest_dispute(table) <= SOLVER_GAS
    changed = deepcopy(table)
    changed["disputes of the toy"]["toy, nothing served"]["moves"].append(["reveal", 200_000])
    (broken,) = broken_bars(changed)
    assert "longest dispute" in broken


def test_figure_that_moves_beyond_the_tolerance_is_named(table: dict[str, Any]):
    name, gas = next(iter(table["entry points"].items()))
    within, beyond = int(gas * (1 + TOLERANCE)), int(gas * (1 + 2 * TOLERANCE))
    assert differences(table, {"entry points": {**table["entry points"], name: within}}) == []
    (moved,) = differences(table, {"entry points": {**table["entry points"], name: beyond}})
    assert f"{name}: {gas} in docs/gas.json, {beyond} now" in moved


def test_figure_that_came_or_went_is_named(table: dict[str, Any]):
    points = dict(table["entry points"])
    del points["Vault.withdraw"]
    moved = differences(table, {"entry points": {**points, "Vault.new": 1}})
    assert [line.split(":")[0] for line in moved] == [
        "entry points / Vault.new",
        "entry points / Vault.withdraw",
    ]
