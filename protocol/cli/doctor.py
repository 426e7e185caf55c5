"""`pinpoint doctor`: is everything as it must be before an agent starts?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer

from protocol.cli.flags import ServeOption
from protocol.cli.output import Column, emit, print_line, print_table
from protocol.cli.roles import RoleOption, values_for
from protocol.cli.settings import (
    DEFAULT_DEPLOYMENT,
    DEFAULT_HOME,
    DEFAULT_KEYSTORE,
    DEFAULT_MAX_FEE_GWEI,
    DEFAULT_RPC,
    DeploymentOption,
    HomeOption,
    JsonOption,
    KeystoreOption,
    MaxFeeOption,
    MetricsOption,
    PasswordFileOption,
    ReadStoreOption,
    RpcOption,
    StoreOption,
    parse_address,
)

if TYPE_CHECKING:
    from protocol.cli.checks import Finding

app = typer.Typer(help="Check machine, home, keys, chain, money and stores.")

STORE = "store"


@app.command()
def doctor(
    context: typer.Context,
    role: RoleOption = None,
    rpc: RpcOption = DEFAULT_RPC,
    deployment: DeploymentOption = DEFAULT_DEPLOYMENT,
    home: HomeOption = DEFAULT_HOME,
    keystore: KeystoreOption = DEFAULT_KEYSTORE,
    password_file: PasswordFileOption = None,
    store: StoreOption = None,
    read_store: ReadStoreOption = None,
    serve: ServeOption = None,
    metrics: MetricsOption = None,
    max_fee_gwei: MaxFeeOption = DEFAULT_MAX_FEE_GWEI,
    as_json: JsonOption = False,
) -> None:
    """Check everything that an agent needs, and send nothing.

    Exit code 0 if nothing fails; 3, 4 or 5 if all that fails is about the chain, the store or the
    keys; else 1.
    """
    del rpc, deployment, home, keystore, password_file  # as the role has them: see `values_for`
    del store, read_store, serve, metrics, max_fee_gwei
    from protocol.cli.checks import exit_code

    findings = list(_examine(values_for(context, role)))
    rows = [finding.to_json() for finding in findings]
    emit(rows, lambda: _print(findings), as_json=as_json)
    code = exit_code(findings)
    if code:
        raise typer.Exit(int(code))


def _examine(flags: dict[str, Any]) -> Iterator[Finding]:
    from protocol.cli.machine import (
        home_findings,
        is_agent_running,
        machine_findings,
        port_findings,
    )
    from protocol.cli.standing import Standing

    home = flags["home"]
    yield from machine_findings()
    yield from home_findings(home)
    running = is_agent_running(home)
    listening = {f"--{name}": flags[name] for name in ("serve", "metrics") if flags[name]}
    ports = {flag: parse_address(address) for flag, address in listening.items()}
    yield from port_findings(ports, running=running)
    standing = Standing(
        rpc=flags["rpc"],
        deployment_file=flags["deployment"],
        keystore=flags["keystore"],
        password_file=flags["password_file"],
        role=flags["role"],
        max_fee_gwei=flags["max_fee_gwei"],
    )
    yield from standing.findings()
    own = flags["store"] or str(home / STORE)
    yield from standing.store_findings(own, flags["read_store"] or (), running=running)


def _print(findings: list[Finding]) -> None:
    print_table(
        [Column("check"), Column(""), Column("found")],
        [(finding.name, finding.grade.value, finding.why) for finding in findings],
    )
    for finding in findings:
        if finding.todo:
            print_line(f"{finding.grade.value}: {finding.name}: {finding.todo}")
