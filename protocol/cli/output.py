"""How results are shown: the one module that writes to stdout.

Results go to stdout, as text for people or as JSON for machines; everything else (progress,
remarks, errors, logs) goes to stderr. In JSON, amounts are whole wei as numbers, bytes are hex with
``0x``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from rich.progress import Progress

TOKEN = 10**18
"""Wei in one token, and in one unit of the chain's own currency."""

_SHOWN_DECIMALS = 4


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    name: str
    align: Literal["left", "right"] = "left"


def emit(value: Any, show: Callable[[], None], *, as_json: bool) -> None:
    """Print a result: ``value`` as JSON, or what ``show`` prints for people."""
    if as_json:
        print_json(value)
    else:
        show()


def print_json(value: Any) -> None:
    """Print a value as one JSON document on stdout."""
    print_line(json.dumps(value, indent=1, default=_to_json))


def print_json_line(value: Any) -> None:
    """Print a value as one line of JSON at once, for commands that go on printing."""
    print_line(json.dumps(value, default=_to_json))
    sys.stdout.flush()


def print_line(text: str = "") -> None:
    """Print one line of a result."""
    sys.stdout.write(f"{text}\n")


def print_table(
    columns: Sequence[Column], rows: Iterable[Sequence[object]], *, title: str | None = None
) -> None:
    """Print a table; without a terminal it is as wide as its content, so that tools can cut it."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=sys.stdout, highlight=False, soft_wrap=not sys.stdout.isatty())
    if not sys.stdout.isatty():
        console.width = 10_000
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="")
    for column in columns:
        table.add_column(column.name, justify=column.align, overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))  # Text: no markup in strangers' words
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        print_line(line.rstrip())


def print_fields(fields: Mapping[str, object], *, title: str | None = None) -> None:
    """Print names and values below one another."""
    if title is not None:
        print_line(title)
    width = max(map(len, fields), default=0)
    for name, value in fields.items():
        print_line(f"  {name:{width}}  {value}")


def say(text: str) -> None:
    """Tell something that is no result, on stderr."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def progress() -> Progress:
    """Return progress bars on stderr, to be used in a ``with``; silent if stderr is no terminal."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(file=sys.stderr),
        disable=not sys.stderr.isatty(),
        transient=True,
    )


def format_tokens(wei: int, *, full: bool = False, signed: bool = False) -> str:
    """Return an amount in tokens: to four decimals, or exactly if ``full``.

    An amount that four decimals would show as nothing is shown in wei instead.
    """
    sign = "-" if wei < 0 else "+" if signed and wei > 0 else ""
    whole, part = divmod(abs(wei), TOKEN)
    if full:
        decimals = f"{part:018}".rstrip("0")
        return f"{sign}{whole:,}" + (f".{decimals}" if decimals else "")
    if wei and abs(wei) < TOKEN // 10**_SHOWN_DECIMALS:
        return f"{sign}{abs(wei)} wei"
    unit = TOKEN // 10**_SHOWN_DECIMALS
    whole, part = divmod((abs(wei) + unit // 2) // unit, 10**_SHOWN_DECIMALS)
    return f"{sign}{whole:,}.{part:0{_SHOWN_DECIMALS}}"


def parse_tokens(text: str) -> int:
    """Return the wei of an amount in tokens, such as ``1,000.5``.

    Raises:
        ValueError: It is no amount, negative, or finer than one wei.
    """
    try:
        # Exactly or not at all: Python's own context would round to 28 digits.
        exact = Context(prec=100, traps=[Inexact, InvalidOperation, Overflow])
        wei = exact.multiply(Decimal(text.replace(",", "").replace("_", "")), TOKEN)
    except ArithmeticError:
        raise ValueError(f"{text!r} is no amount of tokens") from None
    if not wei.is_finite() or not 0 <= wei < 2**256 or wei != wei.to_integral_value():
        raise ValueError(
            f"{text!r} is no amount of tokens: it must be 0 or more, of whole wei, below 2**256 wei"
        )
    return int(wei)


def format_bytes(count: int) -> str:
    """Return an amount of memory as people say it, such as ``1.5 MB``; below 1,000 exactly."""
    size, unit = float(count), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 1_000:
            break
        size, unit = size / 1_000, larger
    return f"{count} bytes" if unit == "bytes" else f"{size:.4g} {unit}"


def format_seconds(seconds: float) -> str:
    """Return a duration as people say it, such as ``2d 3h`` or ``45s``."""
    sign, left = ("-" if seconds < 0 else ""), int(abs(seconds))
    parts = []
    for name, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{name}")
    return sign + (" ".join(parts[:2]) or "0s")


def _to_json(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray)):
        return "0x" + bytes(value).hex()
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"cannot print {type(value).__name__} as JSON: convert it before")
