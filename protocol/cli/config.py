"""The settings file, and `pinpoint config`, which shows where each setting comes from.

One TOML file holds settings for all commands. A key is a flag's name without its dashes. Keys at
the top are for every command that has the flag, keys in a table only for the commands under it; the
nearest table counts::

    rpc = ["http://127.0.0.1:8545"]

    [solver]                # pinpoint solver …
    home = "/var/lib/pinpoint/solver"

    [solver.run]            # pinpoint solver run
    metrics = "127.0.0.1:9464"

The file is the one that ``--config`` or ``PINPOINT_CONFIG`` names, else ``./pinpoint.toml``, else
``~/.config/pinpoint/pinpoint.toml``. A flag counts before the environment, the environment before
the file, the file before the default: they are click's own `default_map` and `envvar`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup, TyperOption

from protocol.chain.urls import redact_url
from protocol.cli.errors import Code, UserError
from protocol.cli.output import Column, emit, print_table
from protocol.cli.settings import JsonOption

FILE_NAME = "pinpoint.toml"
PAGE = "docs/operate/settings.md"
FILE_META = "pinpoint.config"
"""Where a context keeps the path of the settings file, for messages."""

NOT_SETTINGS = frozenset({"config", "help", "version", "install-completion", "show-completion"})
"""Flags that the file cannot set."""

app = typer.Typer(help="Settings: where they come from.", no_args_is_help=True)


@app.callback()
def _config() -> None:
    """Settings: where they come from."""


@dataclass(frozen=True)
class Setting:
    """One flag's value for one command, and its origin."""

    command: str
    key: str
    value: Any
    origin: str

    def to_json(self) -> dict[str, Any]:
        """Return it as ``config show --json`` prints it."""
        return {
            "command": self.command,
            "setting": self.key,
            "value": self.value,
            "from": self.origin,
        }


def key_of(option: Any) -> str:
    """Return the name of an option in the settings file: its long flag without the dashes.

    The name of an argument is its own.
    """
    return str(max(option.opts, key=len)).lstrip("-")


def settings_of(command: Any) -> dict[str, TyperOption]:
    """Return the options of a command that the file can set, by their keys."""
    options = {key_of(p): p for p in command.params if isinstance(p, TyperOption)}
    return {key: option for key, option in options.items() if key not in NOT_SETTINGS}


def walk(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the commands under a group, each with the words that call it; loads all modules."""
    if not isinstance(command, TyperGroup):
        yield path, command
        return
    context = typer.Context(command, info_name=command.name)
    for name in command.list_commands(context):
        yield from walk(command.get_command(context, name), (*path, name))


def find_file(named: Path | None) -> Path | None:
    """Return the settings file that counts, or None if there is none.

    Raises:
        UserError: The named file does not exist.
    """
    if named is not None:
        named = named.expanduser()
        if not named.is_file():
            raise UserError(
                f"cannot read the settings file {named}",
                "there is no such file",
                "name an existing one with --config or PINPOINT_CONFIG, or leave both away",
                PAGE,
                Code.USAGE,
            )
        return named
    places = (Path(FILE_NAME), Path("~/.config/pinpoint").expanduser() / FILE_NAME)
    return next((place for place in places if place.is_file()), None)


def read_file(file: Path) -> dict[str, Any]:
    """Return a settings file as nested dictionaries.

    Raises:
        UserError: It cannot be read, or it is no TOML.
    """
    try:
        return tomllib.loads(file.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(
            f"cannot read the settings file {file}", str(error), "correct it", PAGE, Code.USAGE
        ) from None


def check_keys(document: dict[str, Any], root: Any, file: Path) -> None:
    """Refuse keys and tables that no command knows: a misspelt setting must not be ignored.

    Raises:
        UserError: It names the key, the file, and the nearest known key.
    """
    commands = [(path, set(settings_of(command))) for path, command in walk(root)]
    _check_table(document, (), commands, file)


def _check_table(
    table: dict[str, Any],
    at: tuple[str, ...],
    commands: list[tuple[tuple[str, ...], set[str]]],
    file: Path,
) -> None:
    below = [(path, keys) for path, keys in commands if path[: len(at)] == at]
    tables = {path[len(at)] for path, _ in below if len(path) > len(at)}
    known = set[str]().union(*(keys for _, keys in below))
    for key, value in table.items():
        if isinstance(value, dict) and key in tables:
            _check_table(value, (*at, key), commands, file)
        elif isinstance(value, dict) or key not in known:
            raise _unknown(key, value, at, tables if isinstance(value, dict) else known, file)


def _unknown(key: str, value: Any, at: tuple[str, ...], known: set[str], file: Path) -> UserError:
    kind = "table" if isinstance(value, dict) else "setting"
    where = f"[{'.'.join(at)}] of {file}" if at else f"{file}"
    near = get_close_matches(key.replace("_", "-"), sorted(known), n=1, cutoff=0.5)
    known_ones = ", ".join(sorted(known)) or "none"
    return UserError(
        f"unknown {kind} {key!r} in {where}",
        f"the nearest known one is {near[0]!r}" if near else f"known are: {known_ones}",
        f"write {near[0]!r} or remove {key!r}" if near else f"remove {key!r}",
        PAGE,
        Code.USAGE,
    )


def defaults_for(
    document: dict[str, Any], path: tuple[str, ...], command: Any
) -> dict[str, tuple[Any, str]]:
    """Return what the file sets for one command: key -> value and the table it stands in."""
    keys = settings_of(command)
    found: dict[str, tuple[Any, str]] = {}
    table: Any = document
    for depth in range(len(path) + 1):
        name = ".".join(path[:depth])
        values = {k: v for k, v in table.items() if k in keys and not isinstance(v, dict)}
        found |= {key: (value, name) for key, value in values.items()}
        # A flag can have the name of a command: then this key is its value, and no table.
        below = table.get(path[depth]) if depth < len(path) else None
        table = below if isinstance(below, dict) else {}
    return found


def to_default_map(command: Any, found: dict[str, tuple[Any, str]]) -> dict[str, Any]:
    """Return click's `default_map`: by parameters' names, lists where the flag may be repeated."""
    options = settings_of(command)
    return {
        options[key].name: [value]
        if options[key].multiple and not isinstance(value, list)
        else value
        for key, (value, _) in found.items()
    }


def split_commas(values: Any) -> Any:
    """Return the items of a list flag, whether repeated or separated by commas; else the value."""
    if not isinstance(values, (list, tuple)):
        return values
    items: list[Any] = []
    for value in values:
        items += value.split(",") if isinstance(value, str) else [value]
    items = [item.strip() if isinstance(item, str) else item for item in items]
    return [item for item in items if item != ""]


@app.command("show", context_settings={"ignore_unknown_options": True})
def show(
    context: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[COMMAND [FLAGS]]...",
            help="Only this command, such as `solver run`; flags after it count as if given to it.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show each setting of each command: its value, and where the value comes from."""
    root = context.find_root().command
    named, flags = _split(words or [])
    shown = [(path, command) for path, command in walk(root) if path[: len(named)] == tuple(named)]
    if not shown:
        raise UserError(
            f"no command {' '.join(named)!r}",
            "the words name no command of pinpoint",
            "see `pinpoint --help`",
            PAGE,
            Code.USAGE,
        )
    if flags and len(shown) > 1:
        raise UserError(
            f"cannot apply {' '.join(flags)}",
            f"flags belong to one command, and {len(shown)} commands are shown",
            "name the one command before its flags",
            PAGE,
            Code.USAGE,
        )
    file: Path | None = context.meta.get(FILE_META)
    document = {} if file is None else read_file(file)
    rows = [s for path, command in shown for s in _settings(path, command, flags, document, file)]
    emit([row.to_json() for row in rows], lambda: _print(rows, file), as_json=as_json)


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    """Return the words that name a command and the flags after them."""
    first_flag = next((i for i, word in enumerate(words) if word.startswith("-")), len(words))
    return words[:first_flag], words[first_flag:]


def _settings(
    path: tuple[str, ...],
    command: Any,
    flags: list[str],
    document: dict[str, Any],
    file: Path | None,
) -> Iterator[Setting]:
    """Ask click for each value, so that what is shown is what the command would get."""
    found = defaults_for(document, path, command)
    context = command.context_class(
        command,
        info_name=" ".join(path),
        default_map=to_default_map(command, found),
        resilient_parsing=True,
    )
    given = command.make_parser(context).parse_args(args=list(flags))[0]
    for key, option in settings_of(command).items():
        value, source = option.consume_value(context, given)
        origin = "default"
        if source.name == "COMMANDLINE":
            origin = "flag"
        elif source.name == "ENVIRONMENT":
            origin = f"environment {option.envvar}"
        elif source.name == "DEFAULT_MAP":
            table = found[key][1]
            origin = f"file {file}" + (f" [{table}]" if table else "")
        yield Setting(" ".join(path), key, _plain(split_commas(value)), origin)


def _plain(value: Any) -> Any:
    """Return a value as JSON has it; credentials in URLs are left out."""
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return redact_url(str(value))


def _print(rows: list[Setting], file: Path | None) -> None:
    columns = [Column("command"), Column("setting"), Column("value"), Column("from")]
    cells = [
        [row.command, row.key, "-" if row.value is None else _text(row.value), row.origin]
        for row in rows
    ]
    print_table(columns, cells, title=f"settings file: {file or 'none'}")


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
