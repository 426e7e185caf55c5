"""What the operators' pages hold: links, headings, command lines."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from protocol.cli.main import COMMANDS, root

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "operate"
PAGES = sorted(FOLDER.rglob("*.md"))
ADDRESS = "0x332Fb35767182F8ac9F9C1405db626105F6694E0"
PLACEHOLDERS = {
    "AMOUNT": "1",
    "TOKENS": "1",
    "ADDRESS": ADDRESS,
    "NEW_ADDRESS": ADDRESS,
    "ROLE": "solver",
    "ID": "0x12",
}
CALLS = re.compile(r"^(?:source <\()?(?:sudo -u pinpoint (?:--\S+ )?)?(?:pinpoint|pp) (?!=)")


@dataclass(frozen=True)
class Line:
    """A command line of a page.

    Attributes:
        page: where it stands.
        words: after `pinpoint`.
        is_whole: it can be run as it is; else it only names a command, perhaps with flags.
    """

    page: Path
    words: tuple[str, ...]
    is_whole: bool

    def __str__(self) -> str:
        """As the test's name."""
        return f"{self.page.name}: {' '.join(self.words)}"


def slug(heading: str) -> str:
    """The anchor that a heading has."""
    kept = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return kept.replace(" ", "-")


def anchors(page: Path) -> set[str]:
    """All anchors of a page."""
    return {slug(text) for text in re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)}


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def links(page: Path) -> list[str]:
    """Targets of a page's links."""
    return re.findall(r"\]\(([^)\s]+)\)", prose(page))


def fenced(page: Path, language: str) -> list[str]:
    """Blocks of one language."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    return [str(block) for block in found]


def command_lines(page: Path) -> Iterator[Line]:
    """Each call of `pinpoint` in blocks and in the text."""
    text = prose(page)
    for block_line in re.findall(r"^(?: {4}|\s*-?\s{4,})(\S.*)$", text, re.MULTILINE):
        if CALLS.match(block_line):
            yield Line(page, words_of(CALLS.sub("", block_line)), is_whole=True)
    for code in re.findall(r"`([^`\n]+)`", text):
        if CALLS.match(code):
            yield Line(page, words_of(CALLS.sub("", code)), is_whole=False)
        elif code.split()[0] in COMMANDS and len(code.split()) > 1:
            yield Line(page, words_of(code), is_whole=False)


def words_of(text: str) -> tuple[str, ...]:
    """The words of a command, up to a comment, a pipe, a redirection or a next command."""
    lexer = shlex.shlex(text.rstrip(")"), posix=True, punctuation_chars="|<>;&")
    lexer.whitespace_split = True
    words = []
    for word in lexer:
        if set(word) <= set("|<>;&…"):
            break
        words.append(PLACEHOLDERS.get(word, word))
    return tuple(words)


def find_command(words: tuple[str, ...]) -> tuple[Any, list[str]]:
    """The command that words call, and what they give to it. KeyError: there is none."""
    command: Any = typer.main.get_command(root)
    rest = list(words)
    while hasattr(command, "list_commands") and rest and not rest[0].startswith("-"):
        context = typer.Context(command, info_name=command.name)
        below = command.get_command(context, rest[0])
        if below is None:
            raise KeyError(f"no command {rest[0]!r} in {' '.join(words)!r}")
        command = below
        rest.pop(0)
    return command, rest


def accept(words: tuple[str, ...], *, is_whole: bool = True) -> None:
    """Let the real commands parse words. KeyError or typer's own errors if they do not."""
    command, rest = find_command(words)
    context = typer.Context(command, info_name=" ".join(words))
    if hasattr(command, "list_commands"):
        if is_whole and not rest:
            raise KeyError(f"{' '.join(words)!r} names a group, not a command")
        command.make_parser(context).parse_args(args=rest)
    elif is_whole:
        command.make_context("pinpoint", rest)
    else:
        # Every flag has a value to take, should the text leave it out.
        command.make_parser(context).parse_args(args=[*rest, "value"])
