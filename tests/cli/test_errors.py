"""Errors: four parts, exit codes, and words for exceptions by their names."""

from __future__ import annotations

import importlib
import json
import sys

import pytest
import typer

from protocol.chain.errors import ChainError
from protocol.chain.keys import KeysError
from protocol.chain.outbox import NotMined
from protocol.chain.reverts import Reverted
from protocol.cli import errors
from protocol.cli.errors import Code, Reporting, UserError, explain, render, report
from protocol.storage.errors import StoreUnusable


@pytest.fixture(autouse=True)
def reporting(monkeypatch) -> Reporting:
    fresh = Reporting()
    monkeypatch.setattr(errors, "reporting", fresh)
    return fresh


def test_every_registered_exception_exists() -> None:
    for name in errors._TABLE:
        module, _, cls = name.rpartition(".")
        assert issubclass(getattr(importlib.import_module(module), cls), BaseException), name


def test_render_of_an_error_has_its_four_parts_in_order() -> None:
    text = render(UserError("it broke", "2, not 3", "mend it", "docs/x.md"))
    assert text.splitlines() == [
        "error: it broke",
        "  why:  2, not 3",
        "  do:   mend it",
        "  read: docs/x.md",
    ]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UserError("a", "b", "c", code=Code.DIFFER), 6),
        (Reverted("InsufficientCredit", ("0x1", 5, 3)), 1),
        (ChainError("a", "b", "c"), 3),
        (NotMined("a", "b", "c"), 1),
        (StoreUnusable(28, "full"), 4),
        (KeysError("a", "b", "c"), 5),
        (FileNotFoundError(2, "No such file", "x"), 2),
        (OSError(98, "Address already in use"), 2),
        (OSError(28, "No space left on device", "x"), 1),
        (KeyboardInterrupt(), 130),
        (RuntimeError("never thought of"), 1),
        (typer.Exit(6), 6),
        (typer.BadParameter("bad"), 2),
    ],
)
def test_report_of_an_exception_returns_its_documented_exit_code(error, code, capsys) -> None:
    assert report(error) == code
    assert capsys.readouterr().out == "", "errors are no results"


def test_exceptions_that_have_the_four_parts_speak_for_themselves() -> None:
    words = explain(NotMined("not yet", "300 s are over", "wait"))
    assert (words.what, words.why, words.todo) == ("not yet", "300 s are over", "wait")
    assert words.kind == "NotMined"


@pytest.mark.parametrize(
    ("field", "name"), [(9, "max-reward"), (12, "verifiers"), (16, "run-seconds"), (99, "term 99")]
)
def test_term_that_a_market_refuses_is_told_by_its_name_with_both_values(field, name) -> None:
    words = explain(Reverted("TermOutOfBounds", (field, 1, 2_592_000, 0)))
    assert (words.code, words.kind) == (2, "Reverted")
    assert name in words.what
    assert "it is 0, this deployment takes 1 to 2,592,000" in words.why


def test_reverts_name_both_values_and_the_way_out() -> None:
    words = explain(Reverted("InsufficientCredit", ("0xabc", 500, 20)))
    assert "500" in words.why
    assert "20" in words.why
    assert "wallet deposit" in words.todo


def test_json_mode_prints_one_object_on_stderr(reporting, capsys) -> None:
    reporting.as_json = True
    report(KeysError("no key", "none there", "make one"))
    assert json.loads(capsys.readouterr().err) == {
        "error": {
            "what": "no key",
            "why": "none there",
            "todo": "make one",
            "read": "docs/operate/keys.md",
            "code": 5,
            "kind": "KeysError",
        }
    }


def test_unexpected_errors_show_their_traceback_only_when_debugging(reporting, capsys) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        divmod(1, 0)
    for debug in (False, True):
        reporting.debug = debug
        assert report(caught.value) == Code.FAILED
        told = capsys.readouterr().err
        assert ("Traceback" in told) is debug
        assert "unexpected ZeroDivisionError" in told
        assert "--debug" in told


def test_task_without_a_result_is_told_with_what_to_do() -> None:
    from protocol.agents.requester import NotFinal

    words = explain(NotFinal("task 0x12 is SUBMITTED, expected FINALISED"))
    assert words.code == Code.FAILED
    assert "SUBMITTED, expected FINALISED" in words.why
    assert "pinpoint task show" in words.todo
    assert words.read == "docs/operate/requester.md#4-how-it-ends"


def test_closed_pipes_are_no_errors(capsys) -> None:
    assert report(BrokenPipeError(32, "Broken pipe")) == Code.OK
    assert capsys.readouterr().err == ""


def test_errors_module_loads_nothing_heavy() -> None:
    import subprocess

    code = "import sys, protocol.cli.errors\nsys.exit(bool({'torch','web3'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
