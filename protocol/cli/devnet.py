"""`pinpoint devnet`: a chain on this machine with a deployed market and people with money."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from protocol.cli.errors import Code, UserError
from protocol.cli.output import emit, print_fields, print_line, say
from protocol.cli.settings import JsonOption

if TYPE_CHECKING:
    from protocol.chain.devnet import Devnet

app = typer.Typer(help="A chain on this machine, to try everything on.", no_args_is_help=True)

DEFAULT_FOLDER = Path(".pinpoint/devnet")
SETTINGS = Path("pinpoint.toml")
MARK = "# Written by `pinpoint devnet up`; `pinpoint devnet down` removes it."

FolderOption = Annotated[
    Path, typer.Option("--folder", help="Where the devnet keeps its files.", metavar="FOLDER")
]


@app.command("up")
def up(
    folder: FolderOption = DEFAULT_FOLDER,
    node: Annotated[str, typer.Option("--node", help="hardhat or anvil.")] = "hardhat",
    port: Annotated[int, typer.Option("--port", help="On 127.0.0.1; 0 takes a free one.")] = 8545,
    block_seconds: Annotated[
        int, typer.Option("--block-seconds", help="Seconds between empty blocks.", min=0)
    ] = 1,
    preset: Annotated[
        str, typer.Option("--preset", help="Constants of the market: local, minimal or devnet.")
    ] = "local",
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Stay until Ctrl-C, then end the devnet.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Start a node on loopback, deploy the contracts, fund accounts, print the endpoints.

    Also writes ./pinpoint.toml, so that the other commands find it all, unless there is one.
    """
    from protocol.chain import devnet
    from protocol.chain.presets import PRESETS

    if preset not in PRESETS:
        raise UserError(
            "no such preset",
            f"{preset!r} is none of {', '.join(PRESETS)}",
            "name one of them",
            code=Code.USAGE,
        )
    found = devnet.up(folder, node, port, block_seconds, PRESETS[preset])
    settings = _write_settings(found)
    value = _describe(found, settings)
    emit(value, lambda: _show(value), as_json=as_json)
    if foreground:
        try:
            while found.node.is_alive():
                time.sleep(0.5)
        finally:
            _end(found)


@app.command("down")
def down(folder: FolderOption = DEFAULT_FOLDER, as_json: JsonOption = False) -> None:
    """End the devnet of a folder. Its chain is gone; keys and logs stay."""
    found = _running(folder)
    _end(found)
    emit({"stopped": found.node.url}, lambda: print_line("stopped"), as_json=as_json)


@app.command("status")
def status(folder: FolderOption = DEFAULT_FOLDER, as_json: JsonOption = False) -> None:
    """Show the endpoints of a running devnet."""
    value = _describe(_running(folder), None)
    emit(value, lambda: _show(value), as_json=as_json)


def _running(folder: Path) -> Devnet:
    from protocol.chain import devnet

    found = devnet.load(folder)
    if found is None:
        raise UserError(
            "no devnet is up",
            f"{folder} has no running node",
            "start one: `pinpoint devnet up`",
            code=Code.CHAIN,
        )
    return found


def _end(found: Devnet) -> None:
    found.stop()
    if SETTINGS.is_file() and SETTINGS.read_text().startswith(MARK):
        SETTINGS.unlink()


def _describe(found: Devnet, settings: Path | None) -> dict[str, Any]:
    from protocol.chain.devnet import PEOPLE
    from protocol.chain.keys import read_address

    return {
        "node": found.node.kind,
        "rpc": found.node.url,
        "chain_id": 31337,
        "process": found.node.pid,
        "deployment": str(found.deployment_file),
        "password_file": str(found.password_file),
        "settings": None if settings is None else str(settings),
        "accounts": {
            person: {
                "address": read_address(found.keystore(person)),
                "keystore": str(found.keystore(person)),
            }
            for person in PEOPLE
        },
    }


def _show(value: dict[str, Any]) -> None:
    fields = {key: text for key, text in value.items() if key != "accounts" and text is not None}
    print_fields(fields, title="devnet")
    people = {person: each["address"] for person, each in value["accounts"].items()}
    print_fields(people, title="accounts, each with tokens in the vault")
    if value["settings"] is not None:
        say(
            "next: pinpoint requester post examples/digits; pinpoint solver run; "
            "pinpoint verifier run"
        )


def _write_settings(found: Devnet) -> Path | None:
    """Settings that make the other commands use this devnet; None if there are others."""
    if SETTINGS.exists() and not SETTINGS.read_text().startswith(MARK):
        say(f"{SETTINGS} is there already and stays: give the flags, or name another file")
        return None
    # Everybody is on this machine: what the requester publishes is read from its folder.
    published = found.home("requester") / "store"
    lines = [
        MARK,
        f'rpc = ["{found.node.url}"]',
        f'deployment = "{found.deployment_file}"',
        f'password-file = "{found.password_file}"',
        f'keystore = "{found.keystore("requester")}"',
        "confirmations = 2",
    ]
    for role in ("requester", "solver", "verifier"):
        lines += [
            "",
            f"[{role}]",
            f'home = "{found.home(role)}"',
            f'keystore = "{found.keystore(role)}"',
        ]
        if role != "requester":
            lines += ['serve = "127.0.0.1:0"', f'read-store = ["{published}"]']
    SETTINGS.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return SETTINGS
