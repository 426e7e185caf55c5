"""`pinpoint demo`: the whole protocol on the embedded chain, recorded for the show commands."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from protocol.cli.errors import Code, UserError
from protocol.cli.output import print_json, say
from protocol.cli.record import DEFAULT_RECORD, PAGE
from protocol.cli.settings import JsonOption

app = typer.Typer()

PLAIN_WIDTH = 100
"""Columns of the tables where stdout is no terminal."""


@app.command()
def demo(
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Play only this player; may be repeated.")
    ] = None,
    report_file: Annotated[
        Path | None,
        typer.Option("--report", help="Also write the machine-readable report here."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Sell, train and check a real run on the embedded chain, honestly and with every liar."""
    from rich.console import Console

    from protocol.cli.demo.run import UnknownPlayer, run_demo
    from protocol.cli.demo.table import print_table

    files = _report_files(report_file)  # looked at before the work, not after it
    try:
        reports = run_demo(only)
    except UnknownPlayer as error:
        raise UserError(
            "cannot play that", str(error), "name one of these with --only", PAGE, Code.USAGE
        ) from error
    document = [report.to_json() for report in reports]
    for file in files:
        file.write_text(json.dumps(document, indent=1) + "\n")
        say(f"report written to {file}")
    if as_json:
        print_json(document)
    else:
        width = None if sys.stdout.isatty() else PLAIN_WIDTH
        print_table(Console(highlight=False, width=width), reports)
    if not all(report.ok for report in reports):
        raise typer.Exit(Code.FAILED)


def _report_files(named: Path | None) -> list[Path]:
    """Return where the report goes.

    Raises:
        UserError: The named file cannot be written.
    """
    files, record = [], DEFAULT_RECORD.expanduser()
    try:
        record.parent.mkdir(parents=True, exist_ok=True)
        record.open("a").close()
        files.append(record)
    except OSError as error:
        say(f"no report for the show commands: {record}: {error.strerror}")
    if named is not None:
        try:
            named.open("a").close()
            files.append(named)
        except OSError as error:
            raise UserError(
                f"cannot write the report to {named}",
                str(error.strerror),
                "name another file with --report",
                PAGE,
                Code.USAGE,
            ) from error
    return files
