"""The flags that commands share: one name, one help text and one default for each.

A command takes them as annotated parameters::

    def run(rpc: RpcOption = DEFAULT_RPC, home: HomeOption = DEFAULT_HOME) -> None: ...

Every flag of every command, shared or not, is also an environment variable (``--max-fee-gwei``:
``PINPOINT_MAX_FEE_GWEI``) and a key of the settings file (``max-fee-gwei``); `common.adorn` sees to
it. See `config` for the file.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from protocol.cli.errors import reporting

DEFAULT_RPC = ["http://127.0.0.1:8545"]
DEFAULT_DEPLOYMENT = Path("deployment.json")
DEFAULT_HOME = Path("~/.pinpoint")
DEFAULT_KEYSTORE = Path("~/.pinpoint/keys/wallet.json")
DEFAULT_METRICS = "127.0.0.1:9464"
DEFAULT_MAX_FEE_GWEI = 100.0
DEFAULT_CONFIRMATIONS = 2
DEFAULT_POLL_SECONDS = 1.0


class LogFormat(StrEnum):
    """How log lines look."""

    TEXT = "text"
    JSON = "json"


class LogLevel(StrEnum):
    """The least important lines that are still logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def expand_home(path: Path | None) -> Path | None:
    """Replace ``~``, which no shell has seen in a file or a default."""
    return None if path is None else path.expanduser()


def _note_json(value: bool) -> bool:
    # Errors follow the same choice as results. Another command's True stays.
    reporting.as_json = reporting.as_json or value
    return value


def _address(value: str | None) -> str | None:
    if value is not None:
        parse_address(value)
    return value


def parse_address(value: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT``.

    Raises:
        typer.BadParameter: It has another form, or no such port exists.
    """
    host, colon, port = value.rpartition(":")
    if not (host and colon and port.isdecimal() and int(port) < 2**16):
        raise typer.BadParameter(f"{value!r} is not HOST:PORT, such as {DEFAULT_METRICS}")
    return host.strip("[]"), int(port)


RpcOption = Annotated[
    list[str],
    typer.Option(
        "--rpc",
        help="JSON-RPC endpoint of the chain; more of them, repeated or separated by commas, "
        "are asked when the first fails.",
        metavar="URL",
    ),
]
DeploymentOption = Annotated[
    Path,
    typer.Option(
        "--deployment",
        help="Deployments file that `pinpoint deploy` or `pinpoint devnet up` wrote.",
        callback=expand_home,
        metavar="FILE",
    ),
]
HomeOption = Annotated[
    Path,
    typer.Option(
        "--home",
        help="Folder of this agent: journal, runs, its own store. Each agent needs its own.",
        callback=expand_home,
        metavar="FOLDER",
    ),
]
KeystoreOption = Annotated[
    Path,
    typer.Option(
        "--keystore",
        help="Encrypted key of the account that acts (keystore v3).",
        callback=expand_home,
        metavar="FILE",
    ),
]
PasswordFileOption = Annotated[
    Path | None,
    typer.Option(
        "--password-file",
        help="File with the keystore's password, readable by its owner only. Asked for if missing.",
        callback=expand_home,
        metavar="FILE",
    ),
]
StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        help="This agent's own content store: a folder or a URL. A folder in --home if missing.",
        metavar="URL",
    ),
]
ReadStoreOption = Annotated[
    list[str] | None,
    typer.Option(
        "--read-store",
        help="Further content stores to read from, repeated or separated by commas.",
        metavar="URL",
    ),
]
JsonOption = Annotated[
    bool,
    typer.Option(
        "--json", help="Print results and errors as JSON.", callback=_note_json, is_eager=True
    ),
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Say what would be done, and send nothing.")
]
LogFormatOption = Annotated[
    LogFormat, typer.Option("--log-format", help="Log lines for people or for machines.")
]
LogLevelOption = Annotated[LogLevel, typer.Option("--log-level", help="Least important log lines.")]
MetricsOption = Annotated[
    str | None,
    typer.Option(
        "--metrics",
        help=f"Serve /metrics, /healthz and /readyz here, such as {DEFAULT_METRICS}.",
        callback=_address,
        metavar="HOST:PORT",
    ),
]
MaxFeeOption = Annotated[
    float,
    typer.Option("--max-fee-gwei", min=1e-9, help="The most that a transaction offers per gas."),
]
ConfirmationsOption = Annotated[
    int, typer.Option("--confirmations", min=0, help="Blocks on top before a receipt is final.")
]
PollSecondsOption = Annotated[
    float, typer.Option("--poll-seconds", min=0.01, help="Pause between two looks at the chain.")
]
