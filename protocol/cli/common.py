"""What every command gets without asking: environment variables, ``--config``, ``--debug``.

And the group that loads commands when they are called.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, ClassVar

import typer
from typer.core import TyperGroup, TyperOption
from typer.main import get_command

from protocol.cli.config import (
    FILE_META,
    check_keys,
    defaults_for,
    find_file,
    key_of,
    read_file,
    split_commas,
    to_default_map,
)
from protocol.cli.errors import reporting

ENVIRONMENT_PREFIX = "PINPOINT_"
COMPLETION_FLAGS = frozenset({"install-completion", "show-completion"})


class LazyGroup(TyperGroup):
    """A group whose commands live in modules that are loaded when they are needed."""

    modules: ClassVar[Mapping[str, str]] = {}
    """Command -> ``module:name`` of its `typer.Typer`."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        # The group's own look-ups (order, suggestions) ask for names only.
        self.commands = {name: self.commands.get(name) for name in self.modules}  # type: ignore[misc]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command, loading its module if it was not called before."""
        if self.commands.get(cmd_name) is None and cmd_name in self.modules:
            module, _, name = self.modules[cmd_name].partition(":")
            command = get_command(getattr(import_module(module), name))
            command.name = cmd_name
            # Completion is installed for the whole program.
            command.params = [p for p in command.params if key_of(p) not in COMPLETION_FLAGS]
            adorn(command)
            self.commands[cmd_name] = command
        return super().get_command(ctx, cmd_name)


def adorn(command: Any) -> None:
    """Give each flag of a command, or of all commands of a group, its environment variable.

    Commands also get ``--config`` and ``--debug``. A flag that may be repeated takes several values
    separated by commas, too.
    """
    if isinstance(command, TyperGroup):
        for child in command.commands.values():
            adorn(child)
        return
    # First, and eager: what is wrong with other flags is told as the file and --json say.
    command.params[:0] = _common_options()
    for option in command.params:
        if not isinstance(option, TyperOption):
            continue
        if option.envvar is None:
            option.envvar = ENVIRONMENT_PREFIX + key_of(option).replace("-", "_").upper()
            option.show_envvar = True
        if option.multiple and option.callback is None:
            option.callback = _split


def _common_options() -> list[Any]:
    """Return fresh options, as typer makes them of a function's parameters."""
    carrier = typer.Typer(add_completion=False)
    carrier.command()(_carry)
    return list(get_command(carrier).params)


def _load_settings(context: typer.Context, value: Path | None) -> Path | None:
    """Make the file's values this command's defaults; runs before other options are looked at."""
    if context.resilient_parsing:
        return value
    file = find_file(value)
    if file is not None:
        document = read_file(file)
        context.meta[FILE_META] = file
        check_keys(document, context.find_root().command, file)
        found = defaults_for(document, _words(context), context.command)
        context.default_map = to_default_map(context.command, found)
    return value


def _words(context: Any) -> tuple[str, ...]:
    """Return the words that called a command, without `pinpoint`."""
    words: tuple[str, ...] = ()
    while context.parent is not None:
        words, context = (context.info_name, *words), context.parent
    return words


def _split(_context: Any, _option: Any, value: Any) -> Any:
    return split_commas(value)


def _note_debug(value: bool) -> bool:
    reporting.debug = reporting.debug or value
    return value


def _carry(
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            help="Settings file; see `pinpoint config --help`.",
            is_eager=True,
            expose_value=False,
            callback=_load_settings,
            metavar="FILE",
            rich_help_panel="Common",
        ),
    ] = None,
    debug: Annotated[
        bool,
        typer.Option(
            "--debug",
            help="Show the traceback of an error.",
            expose_value=False,
            callback=_note_debug,
            rich_help_panel="Common",
        ),
    ] = False,
) -> None:
    """Carries the common options; it is never called."""
