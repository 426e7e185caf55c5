"""Logs of agents: text for people or one JSON object a line for machines, on stderr.

Modules log with ``logging.getLogger(__name__)`` as ever. `configure_logs` puts structlog behind
that; `log_context` says what a piece of work is about, and every line below carries it:

    with log_context(task=task_id, step=12):
        log.info("trained")

Private keys and passwords do not get into a line, and neither do credentials in URLs; strangers'
words cannot forge lines.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor

from protocol.chain.urls import redact_url

__all__ = ["CONTEXT_NAMES", "configure_logs", "log_context"]

CONTEXT_NAMES = ("task", "claim", "dispute", "step", "tx")
"""What a line may be about, from the whole to the part."""

HIDDEN = "[hidden]"

_SECRET_NAME = re.compile(r"(?i)password|passphrase|mnemonic|secret|private_?key")
_KEY_NAME = re.compile(r"(?i)(^|_)keys?($|_)|pk$|priv|seed")
_KEY_VALUE = re.compile(r"(0x)?[0-9a-fA-F]{64}")
_NAMED_KEY = re.compile(
    r"""(?ix) (\b\w*(?:key|secret|password|passphrase|mnemonic|seed)s?\b  # a name,
        ["']? \s* [:=(]* \s* (?:HexBytes\()? ["']?)                     # what joins it
        (?:0x)?[0-9a-f]{64}\b"""
)
_URL = re.compile(r"""[a-z][a-z0-9+.-]*://[^\s'"<>]+""")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")


def configure_logs(
    log_format: str = "text", level: str = "info", *, stream: TextIO | None = None
) -> None:
    """Send all logs of this process to stderr, in place of whatever was configured before.

    Args:
        log_format: ``text`` or ``json``.
        level: The least important lines of the protocol: ``debug``, ``info``, ``warning`` or
            ``error``. Libraries log warnings and worse.
        stream: Where to instead of stderr.

    Raises:
        ValueError: There is no such format or level.
    """
    if log_format not in ("text", "json"):
        raise ValueError(f"no log format {log_format!r}: there are text and json")
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise ValueError(f"no log level {level!r}: there are debug, info, warning and error")
    out = stream or sys.stderr
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_before(),
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_rendering(log_format, colors=out.isatty()),
            ],
        )
    )
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(max(number, logging.WARNING))
    logging.getLogger("protocol").setLevel(number)


@contextmanager
def log_context(**values: object) -> Iterator[None]:
    """Say what the lines within are about; names are those of `CONTEXT_NAMES`.

    Raises:
        ValueError: A name is another.
    """
    unknown = sorted(set(values) - set(CONTEXT_NAMES))
    if unknown:
        raise ValueError(f"no log context {', '.join(unknown)}: there are {CONTEXT_NAMES}")
    with structlog.contextvars.bound_contextvars(**values):
        yield


def _before() -> list[Processor]:
    """What is added to a record of the standard library."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.ExtraAdder(),
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        # As text and without local variables, which may hold keys.
        structlog.processors.format_exc_info,
        _to_text,
        _redact,
    ]


def _rendering(log_format: str, *, colors: bool) -> list[Processor]:
    if log_format == "json":
        return [structlog.processors.JSONRenderer(default=str)]
    return [_escape, structlog.dev.ConsoleRenderer(colors=colors, sort_keys=False)]


def _to_text(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Show bytes as hex."""
    for name, value in event.items():
        if isinstance(value, (bytes, bytearray)):
            event[name] = f"0x{bytes(value).hex()}"
    return event


def _redact(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Hide secrets under their names, keys that a text names, and credentials in URLs."""
    for name, value in event.items():
        event[name] = _redact_value(name, value)
    return event


def _redact_value(name: str, value: Any) -> Any:
    if _SECRET_NAME.search(name):
        return HIDDEN
    if isinstance(value, MutableMapping):
        return {inner: _redact_value(str(inner), one) for inner, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_redact_value(name, one) for one in value]
    if isinstance(value, (bytes, bytearray)):
        value = f"0x{bytes(value).hex()}"
    if not isinstance(value, str):
        return value
    if _KEY_NAME.search(name) and _KEY_VALUE.fullmatch(value):
        return HIDDEN
    value = _NAMED_KEY.sub(rf"\1{HIDDEN}", value)
    return _URL.sub(lambda found: redact_url(found.group()), value)


def _escape(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Make control characters visible. A traceback keeps its lines, indented below the first."""
    for name, value in event.items():
        if isinstance(value, str):
            lines = value.splitlines() if name == "exception" else [value]
            indent = "    " if name == "exception" else ""
            event[name] = "\n".join(indent + _CONTROL.sub(_visible, line) for line in lines)
    return event


def _visible(character: re.Match[str]) -> str:
    return character.group().encode("unicode_escape").decode()
