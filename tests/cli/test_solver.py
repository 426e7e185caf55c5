"""`pinpoint solver`: how a price is given, and what it means for a task."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
import typer

from protocol.agents.appraisal import Rate
from protocol.cli import solver as solver_command
from protocol.cli.main import root
from protocol.cli.solver import pricing
from protocol.kernels import Executor, probe
from protocol.kernels.probe import SubnormalSpeed

TOKEN = 10**18


def paying(tokens: int) -> Any:
    """Terms of a task that pays so much at most."""
    return SimpleNamespace(max_reward=tokens * TOKEN)


def price_in_file(value: object) -> int:
    """The price that a settings file's value comes to."""
    context = typer.Context(typer.main.get_command(root), info_name="pinpoint")
    group = context.command.get_command(context, "solver")  # type: ignore[attr-defined]
    command = group.get_command(context, "run")
    found = command.make_context("run", [], default_map={"price": value})
    return int(found.params["price"])


@pytest.mark.parametrize("value", ["900", "900.0", 900, 900.0])
def test_price_in_the_settings_file_may_be_text_or_a_number(value, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert price_in_file(value) == 900 * TOKEN


def test_price_that_is_no_amount_is_refused(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(typer.TyperException, match="no amount of tokens"):
        price_in_file("dear")


def test_fixed_price_is_bid_only_where_a_task_pays_it() -> None:
    price = pricing(900 * TOKEN, 0.8)
    assert price(paying(1_000)) == 900 * TOKEN
    assert price(paying(900)) == 900 * TOKEN
    assert price(paying(899)) is None


def test_share_of_what_a_task_pays_is_bid_without_a_fixed_price() -> None:
    assert pricing(None, 0.8)(paying(1_000)) == 800 * TOKEN
    assert pricing(None, 1.0)(paying(1_000)) == 1_000 * TOKEN


@pytest.mark.parametrize("risks", [False, True])
def test_solver_measures_its_machine_once_and_reckons_with_what_it_found(
    risks: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    measured, made = [], {}
    executor = Executor(1)

    def measure(each: Executor) -> SubnormalSpeed:
        measured.append(each)
        return SubnormalSpeed(slowdown=140.0, work=3e8)

    monkeypatch.setattr(probe, "measure_subnormals", measure)
    monkeypatch.setattr("protocol.agents.solver.Solver", lambda *_, **named: made.update(named))
    runtime: Any = MagicMock()
    with caplog.at_level("INFO"):
        solver_command._make_solver(
            lambda _terms: 0, 1, executor, risks, None, runtime, runtime, runtime
        )
    assert measured == [executor]
    assert made["executor"] is executor
    assert made["rate"] == Rate(subnormal_work=3e8)
    assert made["risks_subnormals"] is risks
    assert "140 times slower, to 3e+08 float instructions a second" in caplog.text
    assert ("are risked" if risks else "are refused") in caplog.text


def test_flag_to_risk_subnormals_reaches_the_solver(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[bool] = []

    def record(*_: Any, **named: Any) -> None:
        found.append(named["risks_subnormals"])

    monkeypatch.setattr(solver_command, "run_solver", record)
    for words in (["solver", "run"], ["solver", "run", "--risk-subnormals"]):
        typer.main.get_command(root)(words, standalone_mode=False)
    assert found == [False, True]
