"""Verdicts and the page, from made-up figures."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scripts.bench.__main__ import PAGE, TABLE
from scripts.bench.bars import FAILED, MET, MISSED, missed, standings
from scripts.bench.catalogue import all_rows
from scripts.bench.report import render


def row(name: str, group: str, ratios: list[float], **more: Any) -> dict[str, Any]:
    seconds = {"ours": 0.001, "eager": 0.001 * ratios[0]} if ratios else {}
    entry = {"name": name, "group": group, "threads": 1, "nodes": 2, "ratios": ratios}
    return {**entry, "seconds": seconds, "failed": {}, **more}


def table(*rows: dict[str, Any], **more: Any) -> dict[str, Any]:
    machine = {"cpu": "a CPU", "flags": ["fma", "avx2"]}
    return {"machine": machine, "rows": list(rows), "hashing": [], "memory": [], **more}


def verdict(*rows: dict[str, Any], **more: Any) -> str:
    (standing,) = standings(table(*rows, **more))
    return standing.verdict


@pytest.mark.parametrize(
    ("ratios", "expected"),
    [
        ([0.75, 0.85, 0.9], MET),
        ([0.74, 0.9, 0.9], MISSED),  # one is too slow
        ([0.8, 0.84, 0.9], MISSED),  # the median is
    ],
)
def test_group_of_products_needs_its_worst_and_its_median(ratios: list[float], expected: str):
    rows = [row(f"mm {i}", "matrix product", [ratio]) for i, ratio in enumerate(ratios)]
    assert verdict(*rows) == expected


def test_row_counts_with_the_median_of_its_pairs():
    assert verdict(row("GPT", "training step", [0.1, 0.95, 5.0])) == MET
    assert verdict(row("GPT", "training step", [0.1, 0.85, 5.0])) == MISSED


def test_row_that_failed_fails_its_group():
    broken = row("conv", "convolution", [], failed={"ours": "KeyError: no rule"})
    assert verdict(broken) == FAILED
    assert "conv, 1 threads, ours: failed: KeyError: no rule" in render(table(broken))


def test_thread_counts_stand_to_the_bar_separately():
    rows = [row("p v", "attention", [0.9]), row("p v", "attention", [0.7], threads=2)]
    (complaint,) = missed(table(*rows))
    assert complaint.complaint() == "attention, 2 threads: worst 0.70, median 0.70, bar ≥ 0.80"


@pytest.mark.parametrize(("hashing", "expected"), [(0.000_16, MET), (0.000_17, MISSED)])
def test_commitment_counts_a_state_every_interval(hashing: float, expected: str):
    commit = {"seconds": hashing, "file_seconds": 1.0, "bytes": 1, "interval": 8}
    step = row("GPT step", "training step", [1.0], commit=commit)
    (standing,) = (s for s in standings(table(step)) if s.work.startswith("commitment"))
    assert standing.verdict == expected


@pytest.mark.parametrize(("rate", "expected"), [(2.0, MET), (1.99, MISSED)])
def test_hashing_counts_on_two_threads(rate: float, expected: str):
    entries = [{"threads": n, "gb_s": rate / (3 - n), "bytes": 10} for n in (1, 2)]
    assert verdict(hashing=entries) == expected


@pytest.mark.parametrize(("own", "expected"), [(110, MET), (111, MISSED)])
def test_memory_counts_against_eager(own: int, expected: str):
    entry = {"name": "GPT", "threads": 2, "ours": own, "eager": 100}
    assert verdict(memory=[entry]) == expected


def test_page_shows_times_ratio_and_bar():
    lines = render(table(row("exp", "elementwise", [0.9, 1.1, 1.3]))).splitlines()
    assert (
        "| exp | 1 | 2 | 1.000 ms | 0.900 ms | - | - | 1.10 | 0.90 – 1.30 | ≥ 0.95 | met |" in lines
    )
    assert "- flags: fma, avx2" in lines


def test_page_leaves_out_what_was_not_measured():
    page = render(table(row("exp", "elementwise", [1.0])))
    assert "## Rows" in page
    for title in ("What failed", "Commitments", "Tensor hashing", "Peak memory", "subnormal"):
        assert f"## {title}" not in page


def test_page_says_how_much_subnormal_products_slow_each_side():
    rows = [row("mm", "subnormal", [1.0]), row("mm, subnormal products", "subnormal", [1.0])]
    rows[1]["seconds"] = {"ours": 0.14, "eager": 0.1}
    assert "- 1 threads: ours 140.0 times, eager 100.0 times" in render(table(*rows))


def test_page_shows_the_committed_figures():
    figures = json.loads(TABLE.read_text())
    assert PAGE.read_text() == render(figures) + "\n"
    measured = {(row["name"], row["threads"]) for row in figures["rows"]}
    assert measured == {(row.name, threads) for row in all_rows() for threads in (1, 2)}
