"""Real processes take turns on a tiny row; what fails is told."""

from __future__ import annotations

import pytest

from scripts.bench.__main__ import chosen
from scripts.bench.catalogue import all_rows
from scripts.bench.pairs import Effort, measure
from scripts.bench.report import render
from scripts.bench.side import Side, SideFailed
from scripts.bench.stock import EAGER
from scripts.bench.worker import OURS, Worker


def test_pairs_of_two_processes_give_ratios():
    (row,) = (row for row in all_rows() if row.name == "MLP digits step")
    sides = [Side(OURS, 1), Side(EAGER, 1)]
    try:
        result = measure(row, sides, Effort(pairs=2, turn_s=0.001, tiny=True))
        with pytest.raises(SideFailed, match="KeyError"):
            sides[0].request({"do": "turn"})
        assert sides[0].request({"do": "drop"}) == {}, "a failure must not end the process"
    finally:
        for side in sides:
            side.close()
    assert result["failed"] == {}
    assert len(result["ratios"]) == 2
    assert min(*result["ratios"], *result["seconds"].values(), result["commit"]["seconds"]) > 0
    empty = {"machine": {}, "hashing": [], "memory": []}
    assert "MLP digits step" in render({**empty, "rows": [result]})


def test_process_that_dies_fails_its_side_and_is_started_again():
    side = Side("no such side", 1)
    try:
        side.ask({"do": "drop"})
        assert side._process is not None
        side._process.kill()
        with pytest.raises(SideFailed, match="ended with code -9"):
            side.answer()
        assert side.request({"do": "drop"}) == {}
    finally:
        side.close()


def test_worker_tells_what_failed():
    reply = Worker(OURS, 1).answer({"do": "prepare", "row": "nothing", "tiny": True})
    assert reply == {"error": "StopIteration: "}


def test_rows_are_chosen_by_parts_of_name_or_group():
    assert {row.group for row in chosen(["attention", "AdamW"])} == {
        "attention",
        "optimizer",
        "optimizer, fused",
    }
    assert chosen([]) == all_rows() or len(chosen([])) == len(all_rows())
    with pytest.raises(SystemExit, match="no row has any of nothing"):
        chosen(["nothing"])
