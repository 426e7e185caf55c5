"""`pinpoint completion`: the script that completes commands and flags in a shell."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import Annotated

import typer

app = typer.Typer()


class Shell(StrEnum):
    """Shells with completion."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


@app.command()
def completion(
    context: typer.Context, shell: Annotated[Shell, typer.Argument(help="Which shell.")]
) -> None:
    """Print the completion script of a shell: `source <(pinpoint completion bash)`."""
    # Shells ask for the script through this variable; `--show-completion` knows only the own shell.
    variable = "_PINPOINT_COMPLETE"
    os.environ[variable] = f"source_{shell.value}"
    try:
        context.find_root().command.main([], prog_name="pinpoint", complete_var=variable)
    finally:
        del os.environ[variable]
