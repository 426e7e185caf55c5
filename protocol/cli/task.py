"""`pinpoint task`: tasks in folders, on a chain, or in the record of a demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from protocol.cli import task_build, task_check, task_run
from protocol.cli.errors import Code
from protocol.cli.output import emit
from protocol.cli.record import DEFAULT_RECORD, PlayerOption, RecordOption, read_record
from protocol.cli.settings import (
    DEFAULT_DEPLOYMENT,
    DEFAULT_RPC,
    DeploymentOption,
    JsonOption,
    RpcOption,
)

app = typer.Typer(
    help="Tasks: make, check and try one; what there is, and where its money is.",
    no_args_is_help=True,
)

TaskArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[TASK]", help="A task's id, or its first digits. Without it: the demo's record."
    ),
]


@app.callback()
def _task() -> None:
    """Tasks: make, check and try one; what there is, and where its money is."""


app.command("build")(task_build.build)
app.command("check")(task_check.check)
app.command("run")(task_run.run)


@app.command("list")
def list_(
    only_open: Annotated[
        bool, typer.Option("--open", help="Only tasks that are neither finalised nor refunded.")
    ] = False,
    mine: Annotated[
        str | None,
        typer.Option(
            "--mine",
            metavar="ADDRESS",
            help="Only tasks that this account posted, bids on, solves, was drawn for or disputes.",
        ),
    ] = None,
    rpc: RpcOption = DEFAULT_RPC,
    deployment: DeploymentOption = DEFAULT_DEPLOYMENT,
    as_json: JsonOption = False,
) -> None:
    """List the tasks of the deployment: phase, reward, and what happens next."""
    from protocol.cli.live import open_live
    from protocol.cli.tasks import list_tasks, print_tasks

    rows = list_tasks(open_live(rpc, deployment), only_open=only_open, mine=_address(mine))
    emit(rows, lambda: print_tasks(rows), as_json=as_json)


@app.command("show")
def show(
    task: TaskArgument = None,
    rpc: RpcOption = DEFAULT_RPC,
    deployment: DeploymentOption = DEFAULT_DEPLOYMENT,
    record: RecordOption = DEFAULT_RECORD,
    player: PlayerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a task: terms, deadlines, people, claims, disputes, and every movement of its money.

    Exit code 1 if a balance is not explained to the wei. Without TASK, or with --player: what the
    record of the last demo has.
    """
    if task is None:
        _show_record(record, player, as_json=as_json)
        return
    code = _show_live(task, rpc, deployment, as_json=as_json)
    if code is not Code.OK:
        raise typer.Exit(int(code))


@app.command("books")
def books(
    rpc: RpcOption = DEFAULT_RPC,
    deployment: DeploymentOption = DEFAULT_DEPLOYMENT,
    as_json: JsonOption = False,
) -> None:
    """Explain all the money of the deployment: credits, pots, stakes, the vault's tokens.

    Exit code 1 if a balance is not explained to the wei.
    """
    from protocol.agents.money.accounts import explain_deployment
    from protocol.cli.live import open_live
    from protocol.cli.money import books_json, print_books

    live = open_live(rpc, deployment)
    found = explain_deployment(live.deployment, first_block=live.first_block)
    emit(books_json(found), lambda: print_books(found), as_json=as_json)
    if found.faults:
        raise typer.Exit(int(Code.FAILED))


def _show_live(task: str, rpc: list[str], deployment: Path, *, as_json: bool) -> Code:
    from protocol.agents.money.accounts import explain_task
    from protocol.cli.live import find_id, open_live
    from protocol.cli.tasks import print_task, task_json

    live = open_live(rpc, deployment)
    task_id = find_id(task, live.reader.book.tasks, "task")
    statement = explain_task(live.deployment, task_id, first_block=live.first_block)
    shown = task_json(live, task_id, statement)
    emit(shown, lambda: print_task(shown, statement), as_json=as_json)
    return Code.FAILED if statement.faults else Code.OK


def _show_record(record: Path, player: str | None, *, as_json: bool) -> None:
    from protocol.cli.show import print_task

    for scenario in read_record(record, player):
        print_task(scenario, as_json=as_json)


def _address(text: str | None) -> str | None:
    """An address with its checksum, as events have it."""
    if text is None:
        return None
    from eth_utils.address import is_address, to_checksum_address

    if not is_address(text):
        raise typer.BadParameter(f"{text!r} is not an address", param_hint="--mine")
    return to_checksum_address(text)
