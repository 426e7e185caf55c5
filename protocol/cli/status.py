"""`pinpoint status`: how an agent stands, seen from outside it."""

from __future__ import annotations

from typing import Annotated

import typer

from protocol.cli.errors import Code
from protocol.cli.output import emit
from protocol.cli.roles import RoleOption, values_for
from protocol.cli.settings import (
    DEFAULT_DEPLOYMENT,
    DEFAULT_HOME,
    DEFAULT_KEYSTORE,
    DEFAULT_RPC,
    DeploymentOption,
    HomeOption,
    JsonOption,
    KeystoreOption,
    MetricsOption,
    RpcOption,
    StoreOption,
)

app = typer.Typer(help="Show how an agent stands.")


@app.command()
def status(
    context: typer.Context,
    role: RoleOption = None,
    account: Annotated[
        str | None,
        typer.Option("--account", metavar="ADDRESS", help="Instead of the keystore's account."),
    ] = None,
    rpc: RpcOption = DEFAULT_RPC,
    deployment: DeploymentOption = DEFAULT_DEPLOYMENT,
    home: HomeOption = DEFAULT_HOME,
    keystore: KeystoreOption = DEFAULT_KEYSTORE,
    store: StoreOption = None,
    metrics: MetricsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show chain, money, own tasks, claims and disputes, what is due, and what waits to be mined.

    Needs no password and sends nothing. Exit code 1 if something needs the operator; it is listed.
    """
    del rpc, deployment, home, keystore, store, metrics  # as the role has them: see `values_for`
    from protocol.chain.keys import read_address
    from protocol.cli.live import open_live
    from protocol.cli.overview import overview, print_overview

    flags = values_for(context, role)
    live = open_live(flags["rpc"], flags["deployment"])
    who = read_address(flags["keystore"]) if account is None else account
    shown = overview(live, who, home=flags["home"], store=flags["store"], metrics=flags["metrics"])
    emit(shown, lambda: print_overview(shown), as_json=as_json)
    if shown["attention"]:
        raise typer.Exit(int(Code.FAILED))
