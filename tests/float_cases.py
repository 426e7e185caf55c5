"""Words that are hard for float arithmetic, generated from a seed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint32]

SPECIALS: Words = np.array(
    [
        *(0x00000000, 0x80000000, 0x00000001, 0x80000001, 0x00000002, 0x00000003),
        *(0x007FFFFF, 0x00800000, 0x00800001, 0x807FFFFF, 0x80800000, 0x00400000),
        *(0x00FFFFFF, 0x01000000, 0x33800000, 0x33800001, 0x3F7FFFFF, 0x3F800000),
        *(0x3F800001, 0xBF800000, 0x3F000000, 0x40000000, 0x4B000000, 0x4B7FFFFF),
        *(0x4B800000, 0x4EFFFFFF, 0x4F000000, 0xCF000000, 0xCF000001, 0x4F7FFFFF),
        *(0x5F000000, 0x7E800000, 0x7F000000, 0x7F7FFFFF, 0xFF7FFFFF, 0x7F7FFFFE),
        *(0x7F800000, 0xFF800000, 0x7FC00000),
    ],
    dtype=np.uint32,
)
"""Both zeros, the ends of the subnormals and of the normals, powers of two, infinities, NaN."""


def canonical(words: Words) -> Words:
    """The same words with every NaN made ``0x7fc00000``."""
    nan = (words & np.uint32(0x7FFFFFFF)) > np.uint32(0x7F800000)
    return np.where(nan, np.uint32(0x7FC00000), words)


def _compose(
    sign: NDArray[np.int64], exponent: NDArray[np.int64], fraction: NDArray[np.int64]
) -> Words:
    return canonical((sign << 31 | exponent << 23 | fraction).astype(np.uint32))


def _fractions(rng: np.random.Generator, n: int) -> NDArray[np.int64]:
    """Fractions that are random, or few bits at either end: these make ties and carries."""
    bits = rng.integers(0, 24, n)
    random = rng.integers(0, 1 << 23, n)
    low = (1 << bits) - 1
    high = 0x7FFFFF & ~low
    choice = rng.integers(0, 6, n)
    return np.choose(
        choice,
        [random, random, low & 0x7FFFFF, high, 0x7FFFFF & (1 << bits), random & high],
    ).astype(np.int64)


def spread(rng: np.random.Generator, n: int) -> Words:
    """Any exponent, including subnormals, infinities and (canonical) NaN."""
    exponent = np.where(
        rng.random(n) < 0.2, rng.choice([0, 0, 1, 2, 253, 254, 255], n), rng.integers(0, 255, n)
    )
    return _compose(rng.integers(0, 2, n), exponent, _fractions(rng, n))


def near(rng: np.random.Generator, words: Words, distance: int) -> Words:
    """Words with an exponent field within `distance` of the given ones, other bits at random."""
    n = len(words)
    exponent = (words >> 23 & 0xFF).astype(np.int64) + rng.integers(-distance, distance + 1, n)
    return _compose(rng.integers(0, 2, n), np.clip(exponent, 0, 254), _fractions(rng, n))


def _neighbour(rng: np.random.Generator, words: Words) -> Words:
    """The word itself or one a few steps away, of either sign: total or massive cancellation."""
    step = rng.integers(-2, 3, len(words))
    magnitude = np.clip((words & np.uint32(0x7FFFFFFF)).astype(np.int64) + step, 0, 0x7F800000)
    return canonical((magnitude | rng.integers(0, 2, len(words)) << 31).astype(np.uint32))


def _product(a: Words, b: Words) -> Words:
    with np.errstate(all="ignore"):
        return canonical((a.view(np.float32) * b.view(np.float32)).view(np.uint32))


def triples(seed: int, n: int) -> Words:
    """`n` cases of three words, shape (n, 3), fit for operations of one, two and three operands.

    Equal shares of: special words; independent exponents; neighbouring exponents (rounding and ties
    in a sum); cancellation of b against a and of c against the rounded product; c half a unit of
    the product's last place (ties in fma), or at its edge; exponents that put a product, or a
    quotient, among the subnormals or at overflow.
    """
    rng = np.random.default_rng(seed)
    kinds = 7
    share = -(-n // kinds)
    groups = []

    def group(a: Words, b: Words, c: Words) -> None:
        groups.append(np.stack([a, b, c], axis=1))

    group(*rng.choice(SPECIALS, (3, share)))
    a, b, c = (spread(rng, share) for _ in range(3))
    group(a, b, c)
    a = spread(rng, share)
    group(a, near(rng, a, 27), near(rng, a, 27))
    a = spread(rng, share)
    group(a, _neighbour(rng, a), _neighbour(rng, a))
    a = spread(rng, share)
    b = near(rng, np.full(share, 0x3F800000, np.uint32), 60)
    group(a, b, _neighbour(rng, _product(a, b)))
    a = spread(rng, share)
    b = near(rng, np.full(share, 0x3F800000, np.uint32), 60)
    group(a, b, near(rng, _product(a, b), 51))
    # Exponents whose sum (product) or difference (quotient) ends near the smallest or the largest.
    a = spread(rng, share)
    field = (a >> 23 & 0xFF).astype(np.int64)
    target = rng.choice([-25, -24, -1, 0, 1, 253, 254, 255], share) + rng.integers(-1, 2, share)
    partner = np.where(rng.random(share) < 0.5, target + 127 - field, field - target + 127)
    b = _compose(rng.integers(0, 2, share), np.clip(partner, 0, 254), _fractions(rng, share))
    group(a, b, near(rng, np.zeros(share, np.uint32), 3))
    cases = np.concatenate(groups)
    rng.shuffle(cases)
    return cases[:n]
