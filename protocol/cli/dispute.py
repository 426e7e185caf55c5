"""`pinpoint dispute`: disputes, on a chain or in the record of a demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from protocol.cli.errors import INPUT_PAGE, Code, UserError
from protocol.cli.output import emit, print_json_line, print_line, say
from protocol.cli.record import DEFAULT_RECORD, PlayerOption, RecordOption, read_record
from protocol.cli.settings import (
    DEFAULT_DEPLOYMENT,
    DEFAULT_POLL_SECONDS,
    DEFAULT_RPC,
    DeploymentOption,
    JsonOption,
    PollSecondsOption,
    ReadStoreOption,
    RpcOption,
)

app = typer.Typer(help="Disputes: who accuses whom, and how it stands.", no_args_is_help=True)


@app.callback()
def _dispute() -> None:
    """Disputes: who accuses whom, and how it stands."""


@app.command("list")
def list_(
    only_live: Annotated[
        bool, typer.Option("--live", help="Only disputes that are not decided.")
    ] = False,
    rpc: RpcOption = DEFAULT_RPC,
    deployment: DeploymentOption = DEFAULT_DEPLOYMENT,
    as_json: JsonOption = False,
) -> None:
    """List the disputes of the deployment: who must move, until when."""
    from protocol.cli.disputes import list_disputes, print_disputes
    from protocol.cli.live import open_live

    rows = list_disputes(open_live(rpc, deployment), only_live=only_live)
    emit(rows, lambda: print_disputes(rows), as_json=as_json)


@app.command("show")
def show(
    dispute: Annotated[
        str | None,
        typer.Argument(
            metavar="[DISPUTE]",
            help="A dispute's id, or its first digits. Without it: the demo's record.",
        ),
    ] = None,
    rpc: RpcOption = DEFAULT_RPC,
    deployment: DeploymentOption = DEFAULT_DEPLOYMENT,
    read_store: ReadStoreOption = None,
    record: RecordOption = DEFAULT_RECORD,
    player: PlayerOption = None,
    move: Annotated[
        int | None, typer.Option("--move", help="Draw where it stood after so many moves.", min=1)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Draw a dispute: how far it was narrowed down, by which moves, its clocks or its verdict.

    Names come from the task's files: from --read-store, and from the stores that the requester and
    the solver announced. Without DISPUTE: what the record of the last demo has.
    """
    if dispute is None:
        _show_record(record, player, move, as_json=as_json)
        return
    from protocol.cli.disputes import dispute_json, print_dispute
    from protocol.cli.live import find_id, open_live

    live = open_live(rpc, deployment)
    dispute_id = find_id(dispute, live.reader.book.disputes, "dispute")
    shown = dispute_json(live, dispute_id, read_store or ())
    emit(shown, lambda: print_dispute(shown, move), as_json=as_json)


@app.command("watch")
def watch(
    dispute: Annotated[
        str | None,
        typer.Argument(metavar="[DISPUTE]", help="A dispute's id, or its first digits."),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All disputes, until Ctrl-C or --timeout.")
    ] = False,
    timeout: Annotated[
        float | None, typer.Option("--timeout", help="Stop after so many seconds.", min=0)
    ] = None,
    rpc: RpcOption = DEFAULT_RPC,
    deployment: DeploymentOption = DEFAULT_DEPLOYMENT,
    poll_seconds: PollSecondsOption = DEFAULT_POLL_SECONDS,
    as_json: JsonOption = False,
) -> None:
    """Print a line for each move of a dispute until it ends; with --json one object a line.

    Exit code 1 if --timeout came before the end.
    """
    from protocol.cli.disputes import move_json, move_line
    from protocol.cli.live import find_id, open_live
    from protocol.cli.watching import WatchTimeout, follow

    if (dispute is None) != everything:
        raise UserError(
            "one dispute or all",
            "both DISPUTE and --all were given" if everything else "neither DISPUTE nor --all was",
            "name a dispute (`pinpoint dispute list`), or write --all",
            INPUT_PAGE,
            Code.USAGE,
        )
    live = open_live(rpc, deployment)
    chosen = None if dispute is None else find_id(dispute, live.reader.book.disputes, "dispute")
    try:
        for made in follow(live, chosen, poll_s=poll_seconds, timeout_s=timeout):
            if as_json:
                print_json_line(move_json(made))
            else:
                print_line(move_line(made))
    except WatchTimeout:
        say(f"the dispute had not ended after {timeout} s")
        raise typer.Exit(int(Code.FAILED)) from None


def _show_record(record: Path, player: str | None, move: int | None, *, as_json: bool) -> None:
    from protocol.cli.show import print_disputes

    shown = [
        print_disputes(scenario, move=move, as_json=as_json)
        for scenario in read_record(record, player)
    ]
    if not any(shown):
        say("no disputes in this record")
