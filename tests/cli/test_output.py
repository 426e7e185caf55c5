"""Rendering: amounts, tables, JSON; and which stream gets what."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocol.chain.market import TaskPhase
from protocol.cli.output import (
    TOKEN,
    Column,
    format_seconds,
    format_tokens,
    parse_tokens,
    print_json,
    print_table,
    progress,
    say,
)


@pytest.mark.parametrize(
    ("wei", "short", "full"),
    [
        (0, "0.0000", "0"),
        (1, "1 wei", "0.000000000000000001"),
        (TOKEN, "1.0000", "1"),
        (1_234_567 * TOKEN + TOKEN // 2, "1,234,567.5000", "1,234,567.5"),
        (-3 * TOKEN // 2, "-1.5000", "-1.5"),
        (TOKEN - 1, "1.0000", "0.999999999999999999"),
        (10**44 + 1, "100,000,000,000,000,000,000,000,000.0000", f"{10**26:,}.{1:018}"),
    ],
)
def test_amounts_are_shown_in_tokens(wei, short, full) -> None:
    assert format_tokens(wei) == short
    assert format_tokens(wei, full=True) == full
    assert parse_tokens(full.removeprefix("-")) == abs(wei)


@pytest.mark.parametrize(
    "text",
    ["", "x", "-1", "nan", "inf", "1e400", "1e9999999999", "1_0" * 99, "0.0000000000000000001"],
)
def test_texts_that_are_no_amount_are_refused(text) -> None:
    with pytest.raises(ValueError, match="no amount"):
        parse_tokens(text)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0s"), (59.9, "59s"), (3600, "1h"), (93_784, "1d 2h"), (-61, "-1m 1s")],
)
def test_durations_are_shown_with_their_two_largest_units(seconds, shown) -> None:
    assert format_seconds(seconds) == shown


def test_tables_go_to_stdout_uncut_and_without_markup(capsys) -> None:
    long = "0x" + "ab" * 100
    print_table([Column("name"), Column("value", "right")], [["[red]x[/red]", long], ["y", 3]])
    captured = capsys.readouterr()
    assert long in captured.out
    assert "[red]x[/red]" in captured.out
    assert captured.err == ""
    assert not any(line.endswith(" ") for line in captured.out.splitlines())


def test_json_has_bytes_as_hex_and_enums_by_name(capsys) -> None:
    print_json(
        {"root": b"\x01\x02", "file": Path("a/b"), "big": 10**30, "phase": TaskPhase.RUNNING}
    )
    out = capsys.readouterr().out
    assert '"0x0102"' in out
    assert '"a/b"' in out
    assert str(10**30) in out
    with pytest.raises(TypeError, match="convert it"):
        print_json(object())


def test_remarks_and_progress_keep_off_stdout(capsys) -> None:
    say("just so you know")
    with progress() as bars:
        bars.advance(bars.add_task("steps", total=2))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "just so you know\n", "no bars without a terminal"
