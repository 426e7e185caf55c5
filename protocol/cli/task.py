"""`pinpoint task`: tasks."""

from __future__ import annotations

import typer

from protocol.cli.record import DEFAULT_RECORD, PlayerOption, RecordOption, read_record
from protocol.cli.settings import JsonOption

app = typer.Typer(help="Tasks.", no_args_is_help=True)


@app.callback()
def _task() -> None:
    """Tasks."""


@app.command("show")
def show(
    record: RecordOption = DEFAULT_RECORD,
    player: PlayerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show each recorded task: its sizes, its people, its money, its end."""
    from protocol.cli.show import print_task

    for scenario in read_record(record, player):
        print_task(scenario, as_json=as_json)
