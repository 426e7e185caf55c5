"""`pinpoint`: the commands. Results go to stdout, everything else to stderr.

Exit codes: 0 as asked; 1 something did not end as it must; 2 wrong usage or input.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

# Everything heavy (torch, web3) is imported inside the commands, so that --help answers at once.

app = typer.Typer(
    name="pinpoint",
    help="Training by strangers, verified bit for bit; a dispute ends at one scalar operation.",
    no_args_is_help=True,
    add_completion=False,
)
task_app = typer.Typer(help="Tasks.", no_args_is_help=True)
dispute_app = typer.Typer(help="Disputes.", no_args_is_help=True)
app.add_typer(task_app, name="task")
app.add_typer(dispute_app, name="dispute")

DEFAULT_RECORD = Path(typer.get_app_dir("pinpoint")) / "demo.json"
"""The report of the last demo, which `task show` and `dispute show` read."""

RecordOption = Annotated[
    Path, typer.Option("--record", help="A report that `pinpoint demo --json` wrote.")
]
PlayerOption = Annotated[
    str | None, typer.Option("--player", help="Only this player of the demo, e.g. one-ulp.")
]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


@app.command()
def demo(
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Play only this player; may be repeated.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Also write the machine-readable report here.")
    ] = None,
) -> None:
    """Sell, train and check a real run on the embedded chain, honestly and with every liar."""
    from protocol.cli.demo.run import UnknownPlayer, run_demo

    files = _report_files(json_file)  # looked at before the work, not after it
    try:
        reports = run_demo(only)
    except UnknownPlayer as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error
    text = json.dumps([report.to_json() for report in reports], indent=1) + "\n"
    for file in files:
        file.write_text(text)
        typer.echo(f"report written to {file}", err=True)
    if not all(report.ok for report in reports):
        raise typer.Exit(1)


@task_app.command("show")
def task_show(
    record: RecordOption = DEFAULT_RECORD, player: PlayerOption = None, as_json: JsonFlag = False
) -> None:
    """Show each recorded task: its sizes, its people, its money, its end."""
    from protocol.cli.show import print_task

    for scenario in _read_record(record, player):
        print_task(scenario, as_json=as_json)


@dispute_app.command("show")
def dispute_show(
    record: RecordOption = DEFAULT_RECORD,
    player: PlayerOption = None,
    move: Annotated[
        int | None, typer.Option("--move", help="Draw where it stood after so many moves.", min=1)
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Draw each recorded dispute: how far it was narrowed down, by which moves, and its verdict."""
    from protocol.cli.show import print_disputes

    shown = [
        print_disputes(scenario, move=move, as_json=as_json)
        for scenario in _read_record(record, player)
    ]
    if not any(shown):
        typer.echo("no disputes in this record", err=True)


def _report_files(named: Path | None) -> list[Path]:
    """Where the report goes. Exit 2 if the named file cannot be written."""
    files = []
    try:
        DEFAULT_RECORD.parent.mkdir(parents=True, exist_ok=True)
        DEFAULT_RECORD.open("a").close()
        files.append(DEFAULT_RECORD)
    except OSError as error:
        typer.echo(f"no report for the show commands: {DEFAULT_RECORD}: {error.strerror}", err=True)
    if named is not None:
        try:
            named.open("a").close()
            files.append(named)
        except OSError as error:
            typer.echo(
                f"error: cannot write the report to {named}: {error.strerror}; "
                "name another file with --json",
                err=True,
            )
            raise typer.Exit(2) from error
    return files


def _read_record(record: Path, player: str | None) -> list[dict[str, Any]]:
    """The scenarios of a record, or exit 2 with what is wrong."""
    try:
        scenarios: list[dict[str, Any]] = json.loads(record.read_text())
        players = [scenario["player"] for scenario in scenarios]
    except OSError as error:
        typer.echo(f"error: cannot read {record}: {error.strerror}; run `pinpoint demo`", err=True)
        raise typer.Exit(2) from error
    except (ValueError, KeyError, TypeError) as error:
        typer.echo(f"error: {record} is not a report of `pinpoint demo`: {error!r}", err=True)
        raise typer.Exit(2) from error
    if player is not None and player not in players:
        typer.echo(
            f"error: no player {player!r} in {record}: it has {', '.join(players)}", err=True
        )
        raise typer.Exit(2)
    return [s for s in scenarios if player in (None, s["player"])]


if __name__ == "__main__":
    app()
