"""Draws tasks and disputes for people, out of their recorded form."""

from __future__ import annotations

import json
from typing import Any

import typer

from protocol.dispute.place import LEVELS, Word, where, whose

TOKEN = 10**18
REACHED_BY = {
    "open": "log",
    "postSegment": "segment",
    "pointStep": "segment",
    "postTrace": "trace",
    "pointBinding": "state",
    "pointElement": "tensor",
    "pointNode": "trace",
    "pointBoundElement": "tensor",
    "postFold": "fold",
    "pointTerm": "fold",
    "pointKind": "fold",
}


def print_task(scenario: dict[str, Any], *, as_json: bool) -> None:
    """One task: sizes, people, money, end."""
    task = scenario["task"]
    if as_json:
        typer.echo(json.dumps({"player": scenario["player"], **task, "gains": scenario["gains"]}))
        return
    typer.echo(f"{scenario['player']}: task {task['name']} {task['task_id']}")
    typer.echo(
        f"  {task['steps']} steps, a checkpoint every {task['interval']}: {task['segments']} "
        f"segments; {task['nodes']} nodes, {task['state_tensors']} state tensors"
    )
    typer.echo(f"  posted > bidding > running > submitted > {task['claim_phase'].lower()}")
    typer.echo(f"  task is {task['phase']}; claim {task['claim_id']}")
    typer.echo(f"  solver {task['solver']}, stake {_tokens(task['stake'])}")
    drawn = ", ".join(task["verifiers"]) or "nobody"
    typer.echo(f"  drawn: {drawn}; segments {task['drawn_segments']}")
    typer.echo(
        f"  price {_tokens(task['price'])} (second price, at most {_tokens(task['max_reward'])}), "
        f"bond of a challenger {_tokens(task['bond'])}"
    )
    for name, gain in scenario["gains"].items():
        typer.echo(f"    {name:16} {gain / TOKEN:+12,.4f}")
    typer.echo(f"    {'burned':16} {scenario['burned'] / TOKEN:+12,.4f}")
    typer.echo(f"  {scenario['transactions']} transactions, {scenario['gas']:,} gas")


def print_disputes(scenario: dict[str, Any], *, move: int | None, as_json: bool) -> bool:
    """All disputes of a scenario, as they ended or after ``move`` moves; whether there were any."""
    for dispute in scenario["disputes"]:
        if as_json:
            typer.echo(json.dumps({"player": scenario["player"], **dispute}))
            continue
        typer.echo(f"{scenario['player']}: dispute {dispute['dispute_id']}")
        typer.echo(f"  {dispute['opener']} accuses {scenario['task']['solver']}")
        moves = dispute["moves"][:move]
        for number, done in enumerate(moves, 1):
            typer.echo(
                f"  {number:3} {done['function']:18} {done['sender']:16} {done['gas']:>9,} gas"
            )
        for line in draw_ladder(dispute["place"], moves):
            typer.echo(f"  {line}")
        if len(moves) == len(dispute["moves"]):
            for line in describe_place(dispute):
                typer.echo(f"  {line}")
    return bool(scenario["disputes"])


def draw_ladder(place: dict[str, Any], moves: list[dict[str, Any]]) -> list[str]:
    """The levels from the checkpoint log down to one term, and what was pointed at on each."""
    done = [move["function"] for move in moves]
    reached = {REACHED_BY[function] for function in done if function in REACHED_BY}
    lines = []
    for level, key, text in LEVELS:
        known = place.get(key) is not None and _was_pointed(key, done)
        if level == "state" and place.get("binding") is None:
            continue
        if level in ("tensor", "fold") and place.get("binding") is not None:
            continue
        mark = "●" if known else ("○" if level in reached else "·")
        lines.append(f"{mark} {level:8} {text.format(**place) if known else ''}".rstrip())
    return lines


def describe_place(dispute: dict[str, Any]) -> list[str]:
    """The verdict, and the exact place where it fell."""
    place = dispute["place"]
    lines = [where(place)]
    if place["solver_word"] is not None:
        words = (Word(**place["solver_word"]), Word(**place["chain_word"]))
        apart = None if place["ulp"] is None else f"{place['ulp']} ulp apart"
        lines.append(whose("solver", "chain", words, apart))
    lines.append(
        f"{dispute['winner']} won by {place['decided_by']}; "
        f"{dispute['transactions']} transactions, {dispute['gas']:,} gas"
    )
    return lines


def _was_pointed(key: str, done: list[str]) -> bool:
    """Whether the moves so far fixed this pointer, directly or by the last pick of a bisection."""
    direct = {
        "segment": ("open",),
        "step": ("pointStep", "postTrace"),
        "node": ("pointElement", "pointNode"),
        "binding": ("pointBinding", "answerBinding"),
        "element": ("pointElement", "pointBoundElement"),
        "term": ("pointTerm", "pointKind"),
    }[key]
    return any(function in direct for function in done)


def _tokens(wei: int) -> str:
    return f"{wei / TOKEN:,.2f}"
