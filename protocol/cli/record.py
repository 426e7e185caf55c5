"""The record of the last demo: what `task show` and `dispute show` draw."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from protocol.cli.errors import Code, UserError
from protocol.cli.settings import expand_home

PAGE = "README.md#try-it"

DEFAULT_RECORD = Path("~/.config/pinpoint/demo.json")
"""The report of the last demo; its home is looked up when it is read or written."""

RecordOption = Annotated[
    Path,
    typer.Option(
        "--record",
        help="A report that `pinpoint demo --report` wrote.",
        callback=expand_home,
    ),
]
PlayerOption = Annotated[
    str | None, typer.Option("--player", help="Only this player of the demo, e.g. one-ulp.")
]


def read_record(record: Path, player: str | None) -> list[dict[str, Any]]:
    """Return the scenarios of a record, all or those of one player.

    Raises:
        UserError: It cannot be read, is no record, or has no such player.
    """
    try:
        scenarios: list[dict[str, Any]] = json.loads(record.read_text())
        players = [scenario["player"] for scenario in scenarios]
    except OSError as error:
        raise _unusable(f"cannot read {record}", str(error.strerror)) from error
    except (ValueError, KeyError, TypeError) as error:
        raise _unusable(f"{record} is not a report of `pinpoint demo`", repr(error)) from error
    if player is not None and player not in players:
        raise UserError(
            f"no player {player!r} in {record}",
            f"it has {', '.join(players)}",
            "name one of these with --player",
            PAGE,
            Code.USAGE,
        )
    return [s for s in scenarios if player in (None, s["player"])]


def _unusable(what: str, why: str) -> UserError:
    return UserError(what, why, "run `pinpoint demo`, which writes one", PAGE, Code.USAGE)
