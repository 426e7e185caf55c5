"""`pinpoint wallet`: the key of an account, and its money in a deployment."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from protocol.cli.connection import connect, connect_account
from protocol.cli.flags import SendFlags, takes
from protocol.cli.output import (
    Column,
    emit,
    format_tokens,
    parse_tokens,
    print_fields,
    print_line,
    print_table,
    say,
)
from protocol.cli.settings import (
    DEFAULT_DEPLOYMENT,
    DEFAULT_KEYSTORE,
    DEFAULT_RPC,
    DeploymentOption,
    DryRunOption,
    JsonOption,
    KeystoreOption,
    PasswordFileOption,
    RpcOption,
)

if TYPE_CHECKING:
    from web3.contract.contract import ContractFunction

    from protocol.chain.deployment import Deployment
    from protocol.cli.funds import Balances

app = typer.Typer(help="Keys, and the money of an account.", no_args_is_help=True)


def _amount(text: str) -> int:
    try:
        return parse_tokens(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _address(value: str | None) -> str | None:
    from eth_utils.address import is_address, to_checksum_address

    if value is None:
        return None
    if not is_address(value):
        raise typer.BadParameter(
            f"{value!r} is no address: 0x and 40 hex digits, its checksum kept"
        )
    return str(to_checksum_address(value))


AmountArgument = Annotated[
    int, typer.Argument(parser=_amount, metavar="TOKENS", help="Amount in tokens, such as 1000.5.")
]


@app.command("new")
def new(
    keystore: KeystoreOption = DEFAULT_KEYSTORE,
    password_file: PasswordFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a new key, encrypted with a password."""
    from protocol.chain.keys import ask_new_password, generate_private_key

    _write(keystore, generate_private_key(), ask_new_password(password_file), as_json=as_json)


@app.command("import")
def import_key(
    keystore: KeystoreOption = DEFAULT_KEYSTORE,
    password_file: PasswordFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Encrypt a raw private key, which is read from stdin or asked for, never from a flag."""
    import getpass

    from protocol.chain.keys import ask_new_password, parse_private_key

    at_terminal = sys.stdin.isatty()
    text = getpass.getpass("private key: ") if at_terminal else sys.stdin.readline()
    _write(keystore, parse_private_key(text), ask_new_password(password_file), as_json=as_json)


@app.command("list")
def list_keys(keystore: KeystoreOption = DEFAULT_KEYSTORE, as_json: JsonOption = False) -> None:
    """List the keystores in the folder of --keystore."""
    from protocol.chain.keys import list_keystores

    folder = keystore if keystore.is_dir() else keystore.parent
    found = list_keystores(folder)
    rows = [{"address": address, "keystore": str(file)} for file, address in found.items()]

    def show() -> None:
        if rows:
            columns = [Column("address"), Column("keystore")]
            print_table(columns, [[row["address"], row["keystore"]] for row in rows])
        else:
            say(f"no keystores in {folder}")

    emit(rows, show, as_json=as_json)


@app.command("address")
def address(keystore: KeystoreOption = DEFAULT_KEYSTORE, as_json: JsonOption = False) -> None:
    """Print the address of the keystore, without opening it."""
    from protocol.chain.keys import read_address

    found = read_address(keystore)
    value = {"address": found, "keystore": str(keystore)}
    emit(value, lambda: print_line(found), as_json=as_json)


@app.command("balance")
def balance(
    account: Annotated[
        str | None,
        typer.Argument(
            metavar="[ADDRESS]", callback=_address, help="Whose; the keystore's if missing."
        ),
    ] = None,
    keystore: KeystoreOption = DEFAULT_KEYSTORE,
    rpc: RpcOption = DEFAULT_RPC,
    deployment: DeploymentOption = DEFAULT_DEPLOYMENT,
    full: Annotated[bool, typer.Option("--full", help="Show all 18 decimals.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what an account has: for gas, in tokens, in the vault, at stake."""
    from protocol.chain.keys import read_address
    from protocol.cli.funds import read_balances

    found = read_balances(connect(rpc, deployment), account or read_address(keystore))
    emit(found.to_json(), lambda: _print_balances(found, full=full), as_json=as_json)


def _add_money_command(
    name: str, what: str, calls: Callable[[Deployment, str, int], list[ContractFunction]]
) -> None:
    """Add a command that moves an amount by the calls for a deployment, an account and it."""

    @takes(SendFlags)
    def command(
        flags: SendFlags,
        amount: AmountArgument,
        dry_run: DryRunOption = False,
        as_json: JsonOption = False,
    ) -> None:
        chosen = partial(_with_amount, calls, amount)
        _move(flags, chosen, dry_run=dry_run, as_json=as_json)

    app.command(name, help=what)(command)


def _with_amount(
    calls: Callable[[Deployment, str, int], list[ContractFunction]],
    amount: int,
    deployment: Deployment,
    account: str,
) -> list[ContractFunction]:
    return calls(deployment, account, amount)


def _deposit_calls(deployment: Deployment, account: str, amount: int) -> list[ContractFunction]:
    from protocol.cli.funds import deposit_calls

    return deposit_calls(deployment, account, amount)


_add_money_command(
    "approve",
    "Let the vault take so many tokens; `deposit` does it by itself.",
    lambda d, _account, amount: [d.token.functions.approve(d.vault.address, amount)],
)
_add_money_command(
    "deposit", "Bring tokens into the vault, where stakes and bonds are taken from.", _deposit_calls
)
_add_money_command(
    "stake",
    "Stake vault credit, to be drawn as a verifier.",
    lambda d, _account, amount: [d.registry.functions.stake(amount)],
)
_add_money_command(
    "unbond",
    "Ask for staked tokens back; `complete-unbond` gets them after the unbonding time.",
    lambda d, _account, amount: [d.registry.functions.requestUnbond(amount)],
)


@app.command("withdraw")
@takes(SendFlags)
def withdraw(
    flags: SendFlags,
    amount: AmountArgument,
    to: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="ADDRESS", callback=_address, help="Recipient; oneself if missing."
        ),
    ] = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Pay vault credit out as tokens."""

    def calls(d: Deployment, who: str) -> list[ContractFunction]:
        return [d.vault.functions.withdraw(to or who, amount)]

    _move(flags, calls, dry_run=dry_run, as_json=as_json)


@app.command("complete-unbond")
@takes(SendFlags)
def complete_unbond(
    flags: SendFlags,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take what has unbonded back into the vault credit."""

    def calls(d: Deployment, _who: str) -> list[ContractFunction]:
        return [d.registry.functions.completeUnbond()]

    _move(flags, calls, dry_run=dry_run, as_json=as_json)


def _write(keystore: Path, private_key: bytes, password: str, *, as_json: bool) -> None:
    from protocol.chain.keys import write_keystore

    address = write_keystore(keystore, private_key, password)
    say(f"written to {keystore}; keep a copy: without it and its password the money is lost")
    value = {"address": address, "keystore": str(keystore)}
    emit(value, lambda: print_line(address), as_json=as_json)


def _move(
    flags: SendFlags,
    calls: Callable[[Deployment, str], list[ContractFunction]],
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Send what ``calls`` returns for a deployment and an account, and print what it came to."""
    from protocol.cli.funds import perform, read_balances

    with connect_account(flags) as (deployment, account):
        who = str(account.address)
        done = perform(deployment, who, calls(deployment, who), dry_run=dry_run)
        after = read_balances(deployment, who)
    value: dict[str, Any] = {"transactions": [asdict(d) for d in done], "balances": after.to_json()}

    def show() -> None:
        for one in done:
            if one.tx_hash is None:
                print_line(f"would send {one.function}")
            else:
                print_line(f"{one.function:16} {one.tx_hash}  {one.gas_used:,} gas")
        _print_balances(after, full=False)

    emit(value, show, as_json=as_json)


def _print_balances(found: Balances, *, full: bool) -> None:
    fields = {
        "native": format_tokens(found.native_wei, full=full),
        "token": format_tokens(found.token_wei, full=full),
        "allowance": format_tokens(found.allowance_wei, full=full),
        "credit": format_tokens(found.credit_wei, full=full),
        "stake": format_tokens(found.stake_wei, full=full),
        "unbonding": format_tokens(found.unbonding_wei, full=full),
    }
    if found.unbonding_until:
        from datetime import UTC, datetime

        fields["unbonding until"] = datetime.fromtimestamp(found.unbonding_until, UTC).isoformat()
    print_fields(fields, title=found.account)
