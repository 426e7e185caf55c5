"""Philox4x32-10, the counter-based generator of Salmon et al. (SC 2011), in integer instructions.

Dropout draws one word per element: key (low word of the task seed, number of the drawing node),
counter (element, step, high word of the seed, 0). The key is constant, so its schedule is too.
``tests/program/test_philox.py`` holds the known answers of the authors' Random123 library.
"""

from __future__ import annotations

from dataclasses import dataclass

from protocol.program.body import Body, Value
from protocol.program.isa import WORD_MASK

ROUNDS = 10
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)

Words = tuple[int, int, int, int]
Part = Value | int
"""A word of a counter: of a body, or known when it is written."""


@dataclass(frozen=True, slots=True)
class _Multiplier:
    """One of `MULTIPLIERS`, as a number and as a value of a body."""

    number: int
    value: Value

    def high(self, b: Body, c: Part) -> Part:
        """The upper word of its product with ``c``."""
        return self.number * c >> 32 if isinstance(c, int) else b.imulhi(self.value, c)

    def low(self, b: Body, c: Part) -> Part:
        """The lower word."""
        return self.number * c & WORD_MASK if isinstance(c, int) else b.imul(self.value, c)


def philox(counter: Words, key: tuple[int, int]) -> Words:
    """The four words for a counter and a key, in Python integers."""
    c0, c1, c2, c3 = counter
    for k0, k1 in key_schedule(key):
        p0, p1 = MULTIPLIERS[0] * c0, MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = (
            p1 >> 32 ^ c1 ^ k0,
            p1 & WORD_MASK,
            p0 >> 32 ^ c3 ^ k1,
            p0 & WORD_MASK,
        )
    return c0, c1, c2, c3


def key_schedule(key: tuple[int, int]) -> list[tuple[int, int]]:
    """The key of each round: the Weyl sequences that start at ``key``."""
    return [
        ((key[0] + i * WEYL[0]) & WORD_MASK, (key[1] + i * WEYL[1]) & WORD_MASK)
        for i in range(ROUNDS)
    ]


def philox_words(
    b: Body, counter: tuple[Part, Part, Part, Part], key: tuple[int, int]
) -> tuple[Value, Value, Value, Value]:
    """The same as instructions: 8 per round; what a caller does not use is dropped at layout.

    What follows from whole numbers in the counter alone is computed here, and takes none.
    """
    c0, c1, c2, c3 = counter
    m0, m1 = (_Multiplier(m, b.i32(m)) for m in MULTIPLIERS)
    for k0, k1 in key_schedule(key):
        c0, c1, c2, c3 = (
            _mixed(b, m1.high(b, c2), c1, k0),
            m1.low(b, c2),
            _mixed(b, m0.high(b, c0), c3, k1),
            m0.low(b, c0),
        )
    w0, w1, w2, w3 = (b.i32(c) if isinstance(c, int) else c for c in (c0, c1, c2, c3))
    return w0, w1, w2, w3


def _mixed(b: Body, product: Part, c: Part, key: int) -> Part:
    if isinstance(c, int):
        product, c = c, product
    if isinstance(c, int):
        return product ^ c ^ key if isinstance(product, int) else b.ixor(product, b.i32(c ^ key))
    if isinstance(product, int):
        return b.ixor(c, b.i32(product ^ key))
    return b.ixor(b.ixor(product, c), b.i32(key))


def uniform_word(b: Body, seed: int, node: int, step: Value, element: Value) -> Value:
    """One uniform 32-bit word per (task seed, node, step, element)."""
    counter = (element, step, b.i32(seed >> 32 & WORD_MASK), b.i32(0))
    return philox_words(b, counter, (seed & WORD_MASK, node & WORD_MASK))[0]


def keep_threshold(probability: float) -> int:
    """Words below it are kept: ``probability`` of the 2^32 words, to the nearest."""
    if not 0.0 <= probability <= 1.0:
        raise ValueError(f"probability {probability} is outside 0..1")
    return round(probability * 2**32)


def keep(b: Body, word: Value, probability: float) -> Value:
    """1 with ``probability``, else 0."""
    threshold = keep_threshold(probability)
    return b.i32(1) if threshold > WORD_MASK else b.iult(word, b.i32(threshold))
