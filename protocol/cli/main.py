"""`pinpoint`: which commands there are, and in which module each lives.

To add a command, write ``protocol/cli/<command>.py`` with ``app = typer.Typer(...)``, and add its
line to `COMMANDS` below. A `typer.Typer` with one command and no callback is that command itself
(`demo`); with several commands, or with a callback, it is a group (`task show`): give a group of
one command an empty ``@app.callback()``. A command's module

- imports nothing heavy (torch, web3, eth_account) at its top: ``pinpoint --help`` loads them all;
- takes shared flags from `settings`, prints results with `output`, raises `errors.UserError`;
- prints JSON with ``as_json: JsonOption``.

Environment variables, ``--config`` and ``--debug`` come by themselves (`common.adorn`), errors are
told here. Exit codes are those of `errors.Code`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any, NoReturn

import typer

from protocol.cli.common import LazyGroup
from protocol.cli.errors import Code, report, reporting
from protocol.cli.output import print_line

COMMANDS = {
    "demo": "protocol.cli.demo.command:app",
    "devnet": "protocol.cli.devnet:app",
    "deploy": "protocol.cli.deploy:app",
    "requester": "protocol.cli.requester:app",
    "solver": "protocol.cli.solver:app",
    "verifier": "protocol.cli.verifier:app",
    "status": "protocol.cli.status:app",
    "task": "protocol.cli.task:app",
    "dispute": "protocol.cli.dispute:app",
    "doctor": "protocol.cli.doctor:app",
    "train": "protocol.cli.train:app",
    "wallet": "protocol.cli.wallet:app",
    "config": "protocol.cli.config:app",
    "completion": "protocol.cli.completion:app",
}


class Commands(LazyGroup):
    """The commands of `pinpoint`."""

    modules = COMMANDS


root = typer.Typer(
    name="pinpoint",
    cls=Commands,
    help="Training by strangers, verified bit for bit; a dispute ends at one scalar operation.",
    no_args_is_help=True,
)


def _print_version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        print_line(f"pinpoint {version('pinpoint-protocol')}")
        raise typer.Exit


@root.callback()
def _root(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    """Training by strangers, verified bit for bit; a dispute ends at one scalar operation."""


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; every error has been told on stderr."""
    # Errors can come before the flags are parsed; afterwards the flags themselves set these.
    reporting.as_json = _is_asked("json", arguments)
    reporting.debug = _is_asked("debug", arguments)
    command: Any = typer.main.get_command(root)
    try:
        code = command.main(list(arguments), prog_name="pinpoint", standalone_mode=False)
    except SystemExit as exit_:
        if isinstance(exit_.__context__, BrokenPipeError):  # typer ends a closed pipe with 1
            return int(report(exit_.__context__))
        raise
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the one place that tells errors
        return int(report(error))
    if code == Code.INTERRUPTED:
        return int(report(KeyboardInterrupt()))
    # Outside its standalone mode typer returns the code of an exit, else what the command returns.
    return code if isinstance(code, int) else int(Code.OK)


def _is_asked(flag: str, arguments: Sequence[str]) -> bool:
    variable = os.environ.get(f"PINPOINT_{flag.upper()}", "")
    return f"--{flag}" in arguments or variable.lower() in ("1", "true", "yes", "on")


def app(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run `pinpoint` and exit: the entry point of the package."""
    code = run(sys.argv[1:] if arguments is None else arguments)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more at exit: close what nobody reads, or it complains.
        sys.stderr.close()
    sys.exit(code)


if __name__ == "__main__":
    app()
