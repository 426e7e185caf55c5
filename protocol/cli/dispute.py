"""`pinpoint dispute`: disputes."""

from __future__ import annotations

from typing import Annotated

import typer

from protocol.cli.output import say
from protocol.cli.record import DEFAULT_RECORD, PlayerOption, RecordOption, read_record
from protocol.cli.settings import JsonOption

app = typer.Typer(help="Disputes.", no_args_is_help=True)


@app.callback()
def _dispute() -> None:
    """Disputes."""


@app.command("show")
def show(
    record: RecordOption = DEFAULT_RECORD,
    player: PlayerOption = None,
    move: Annotated[
        int | None, typer.Option("--move", help="Draw where it stood after so many moves.", min=1)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Draw each recorded dispute: how far it was narrowed down, by which moves, and its verdict."""
    from protocol.cli.show import print_disputes

    shown = [
        print_disputes(scenario, move=move, as_json=as_json)
        for scenario in read_record(record, player)
    ]
    if not any(shown):
        say("no disputes in this record")
