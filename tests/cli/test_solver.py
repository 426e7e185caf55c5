"""`pinpoint solver`: how a price is given, and what it means for a task."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import typer

from protocol.cli.main import root
from protocol.cli.solver import pricing

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
