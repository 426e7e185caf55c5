"""`--role`: a command that looks at an agent takes the agent's own settings from the file."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer
from typer.core import TyperOption

from protocol.cli.config import FILE_META, defaults_for, key_of, read_file, to_default_map
from protocol.cli.settings import DEFAULT_HOME

GIVEN = ("COMMANDLINE", "ENVIRONMENT")


class Role(StrEnum):
    """What an agent is."""

    REQUESTER = "requester"
    SOLVER = "solver"
    VERIFIER = "verifier"


RoleOption = Annotated[
    Role | None,
    typer.Option(
        "--role",
        help="Use the settings of this agent: what the settings file has for `pinpoint ROLE run`.",
    ),
]


def values_for(context: typer.Context, role: Role | None) -> dict[str, Any]:
    """The values of a command's flags, by their parameters' names.

    With a role, a flag that was given neither on the command line nor in the environment has the
    value that the role's `run` command takes from the settings file; its home is the role's.

    Raises:
        UserError: The settings file cannot be read.
        typer.BadParameter: A value in it cannot be used.
    """
    values: dict[str, Any] = dict(context.params)
    if role is None:
        return values
    file = context.meta.get(FILE_META)
    document = {} if file is None else read_file(file)
    found = defaults_for(document, (role.value, "run"), context.command)
    raw = to_default_map(context.command, found)
    for option in context.command.params:
        name = option.name
        if not isinstance(option, TyperOption) or name is None:
            continue
        source = context.get_parameter_source(name)
        if source is not None and source.name in GIVEN:
            continue
        if name in raw:
            values[name] = option.process_value(context, raw[name])
        elif key_of(option) == "home":
            values[name] = (DEFAULT_HOME / role.value).expanduser()
    return values
