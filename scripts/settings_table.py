"""The table of all settings in docs/operate/settings.md, out of the commands themselves.

python scripts/settings_table.py            print it
python scripts/settings_table.py --write    put it into the page; a test holds the two equal
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import typer

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from protocol.cli.config import settings_of, walk
from protocol.cli.main import root

PAGE = Path(__file__).resolve().parents[1] / "docs" / "operate" / "settings.md"
BEGIN, END = "<!-- settings: begin -->\n", "<!-- settings: end -->\n"
ALL = "all commands"


def table() -> str:
    """One row for each key, default and meaning, with the commands that have it so."""
    commands = list(walk(typer.main.get_command(root)))
    found: dict[tuple[str, str, str], list[str]] = {}
    for path, command in commands:
        for key, option in settings_of(command).items():
            row = (key, _default(option), str(option.help or "").replace("|", "\\|"))
            found.setdefault(row, []).append(" ".join(path))
    lines = ["| key | default | commands | meaning |", "|---|---|---|---|"]
    for (key, default, meaning), names in sorted(found.items()):
        where = ALL if len(names) == len(commands) else ", ".join(f"`{name}`" for name in names)
        lines.append(f"| `{key}` | {default} | {where} | {meaning} |")
    return "\n".join(lines) + "\n"


def split_page(text: str) -> tuple[str, str, str]:
    """What is before the table, the table, and what is after it."""
    before, rest = text.split(BEGIN)
    inside, after = rest.split(END)
    return before, inside, after


def _default(option: Any) -> str:
    value = option.default
    if value is None or value is False or callable(value):
        return ""
    if isinstance(value, (list, tuple)):
        value = ", ".join(map(str, value))
    text = str(getattr(value, "value", value))
    return f"`{text.replace(str(Path.home()), '~')}`"  # the page names nobody's folder


def main() -> int:
    """Print or write; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    if not parser.parse_args().write:
        sys.stdout.write(table())
        return 0
    before, _, after = split_page(PAGE.read_text(encoding="utf-8"))
    PAGE.write_text(f"{before}{BEGIN}{table()}{END}{after}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
