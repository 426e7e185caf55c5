"""Logs: both formats, what a line is about, and what never gets into one."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from protocol.agents.process.logs import configure_logs, log_context

KEY = "0x" + "e5" * 32
ROOT = "0x" + "ab" * 32


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root, own = logging.getLogger(), logging.getLogger("protocol")
    before = (list(root.handlers), root.level, own.level)
    yield
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    own.setLevel(before[2])


def lines_of(log_format: str, level: str = "info") -> tuple[logging.Logger, io.StringIO]:
    stream = io.StringIO()
    configure_logs(log_format, level, stream=stream)
    return logging.getLogger("protocol.agents.solver"), stream


def test_json_lines_carry_their_context_and_only_inside_it() -> None:
    log, stream = lines_of("json")
    with log_context(task=b"\x01" * 32):
        with log_context(step=3):
            log.info("trained in %.1f s", 0.5)
        log.warning("slow")
    log.info("idle")
    inner, outer, idle = map(json.loads, stream.getvalue().splitlines())
    assert inner["event"] == "trained in 0.5 s"
    assert (inner["task"], inner["step"]) == ("0x" + "01" * 32, 3)
    assert inner["level"] == "info"
    assert inner["logger"] == "protocol.agents.solver"
    assert inner["timestamp"].endswith("Z")
    assert "step" not in outer
    assert "task" not in idle


def test_text_lines_carry_the_same_without_colours() -> None:
    log, stream = lines_of("text")
    with log_context(claim=ROOT, tx=ROOT):
        log.error("not mined")
    line = stream.getvalue()
    assert "[error" in line
    assert f"claim={ROOT}" in line
    assert f"tx={ROOT}" in line
    assert "\x1b" not in line


def test_levels_filter_lines_and_libraries_only_warn() -> None:
    log, stream = lines_of("text", "debug")
    log.debug("own detail")
    logging.getLogger("web3").info("library detail")
    logging.getLogger("web3").warning("library warning")
    assert [part in stream.getvalue() for part in ("own detail", "library detail", "warning")] == [
        True,
        False,
        True,
    ]
    log, stream = lines_of("text", "error")
    log.warning("less")
    assert stream.getvalue() == ""


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_private_keys_and_passwords_never_get_into_a_line(log_format) -> None:
    log, stream = lines_of(log_format)
    raw = bytes.fromhex(KEY[2:])
    for extra in (
        {"private_key": KEY},
        {"key": KEY},
        {"key": raw},
        {"signing_key": raw},
        {"keys": [KEY, KEY[2:]]},
        {"settings": {"private_key": KEY}},
        {"password": "e5e5e5e5"},
        {"mnemonic": "e5e5e5e5"},
    ):
        log.info("opened", extra=extra)
    log.info("private key: %s", KEY)
    log.info("key=%s", KEY[2:])
    log.info("%r", {"key": KEY})
    try:
        raise ValueError(f"bad private key {KEY}")
    except ValueError:
        log.exception("failed")
    assert "e5e5e5e5" not in stream.getvalue()
    assert stream.getvalue().count("[hidden]") == 13


def test_roots_and_hashes_stay_readable() -> None:
    log, stream = lines_of("json")
    log.info("submitted root %s", ROOT, extra={"tx": ROOT})
    line = json.loads(stream.getvalue())
    assert line["event"].endswith(ROOT)
    assert line["tx"] == ROOT


def test_credentials_in_urls_are_hidden() -> None:
    log, stream = lines_of("text")
    log.warning("using https://me:secret@node.example/v3/%s: timeout", "k" * 32)
    assert "node.example" in stream.getvalue()
    assert "secret" not in stream.getvalue()
    assert "kkkk" not in stream.getvalue()


def test_strangers_words_cannot_forge_lines() -> None:
    log, stream = lines_of("text")
    log.warning("bad name %s", "x\n2026-01-01 [info] all is well\x1b[2J")
    try:
        raise ValueError("first\n2026-01-01 [info] forged")
    except ValueError:
        log.exception("failed")
    lines = stream.getvalue().splitlines()
    assert sum(not line.startswith("    ") for line in lines) == 2
    assert "\x1b" not in stream.getvalue()


def test_unknown_names_formats_and_levels_are_refused() -> None:
    with pytest.raises(ValueError, match="no log context colour"), log_context(colour="red"):
        pass
    with pytest.raises(ValueError, match="no log format"):
        configure_logs("xml")
    with pytest.raises(ValueError, match="no log level"):
        configure_logs("text", "loud")
