"""fma without the instruction: double arithmetic rounded to odd gives the correctly rounded bits.

The cases aim at what plain double arithmetic gets wrong: a product that lies halfway between two
floats (also between two subnormals, and at the ends of the range) and an addend so small that a
double forgets it.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from protocol.kernels import Executor, instruction_sets
from protocol.kernels.reference import float32
from protocol.program.builder import FoldBuilder
from protocol.program.isa import DType
from protocol.program.node import Node
from tests.float_cases import SPECIALS, Words, canonical, triples
from tests.kernels.shapes import product, tensor

REFERENCE_CASES = 60_000
SIGN = np.uint32(1 << 31)


def fma_node(count: int) -> Node:
    """One fma for each element."""
    b = FoldBuilder(DType.F32, (count,))
    values = [b.load(tensor(i, DType.F32, count), [b.out(0).axis(count, 1)]) for i in range(3)]
    return b.finish(b.fma(*values))


def fma(isa: str, cases: Words) -> Words:
    """By the kernels; ``cases`` of shape (n, 3)."""
    columns = [np.ascontiguousarray(cases[:, i]).view("<f4") for i in range(3)]
    return Executor(1, isa).run(fma_node(len(cases)), columns).view(np.uint32)


def reference(cases: Words) -> Words:
    return np.array([float32.fma(*row) for row in cases.tolist()], np.uint32)


def naive(cases: Words) -> Words:
    """Rounded twice: to double, then to float."""
    a, b, c = (cases[:, i].copy().view(np.float32).astype(np.float64) for i in range(3))
    with np.errstate(all="ignore"):
        return canonical((a * b + c).astype(np.float32).view(np.uint32))


def halfway(seed: int, n: int) -> Words:
    """a * b lies halfway between two floats of any exponent, c is nothing, or far below it.

    An odd number of 25 bits (fewer for a subnormal) times a power of two; its factors are floats.
    """
    rng = np.random.default_rng(seed)
    low = rng.integers(1, 13, n)  # bits of one factor
    p = rng.integers(1 << (low - 1), 1 << low) | 1
    q = rng.integers(1 << (24 - low), 1 << (25 - low)) | 1
    # The product's last bit is worth half an ulp: 2**-150 at the least.
    exponent = np.where(rng.random(n) < 0.3, -150, rng.integers(-150, 104, n))
    left = rng.integers(-120, 100, n)
    left = np.clip(left, exponent - 100, exponent + 120)
    a = np.ldexp(p.astype(np.float64), left).astype(np.float32)
    b = np.ldexp(q.astype(np.float64), exponent - left).astype(np.float32)
    tiny = np.ldexp(rng.integers(1, 1 << 24, n).astype(np.float64), rng.integers(-149, -100, n))
    far = np.ldexp(rng.random(n) + 0.5, exponent - rng.integers(20, 40, n))
    kind = rng.integers(0, 4, n)
    c = np.choose(kind, [tiny, far, np.zeros(n), tiny * 0.0]).astype(np.float32)
    return _with_signs(rng, np.stack([a, b, c], axis=1).view(np.uint32))


def small_sums(seed: int, n: int) -> Words:
    """Results about and below the smallest normal float, down to half of the smallest one.

    Half of the products are (1 + x)(1 - x) times an odd number of half units: next to the middle of
    two subnormals, by less than a double can tell beside c.
    """
    rng = np.random.default_rng(seed)
    c = rng.integers(0, 1 << rng.integers(1, 25, n))
    exponents = rng.integers(-100, -50, n)
    a, b = rng.random(n) + 0.5, np.ldexp(rng.random(n) + 0.5, rng.integers(-3, 30, n))
    x = np.ldexp(1.0, -rng.integers(21, 24, n))
    near = rng.random(n) < 0.5
    a, b = np.where(near, 1 + x, a), np.where(near, 1 - rng.choice([-1, 1], n) * x, b)
    a = np.ldexp(a, exponents).astype(np.float32)
    b = np.ldexp(b, -150 - exponents).astype(np.float32)
    return _with_signs(rng, np.stack([a.view("u4"), b.view("u4"), c.astype(np.uint32)], axis=1))


def edge_of_range(seed: int, n: int) -> Words:
    """Sums about 2**128 - 2**103, from where on a result rounds to infinity.

    A product that is exactly this number, (2**25 - 1) * 2**103, or one a few units away from it.
    """
    rng = np.random.default_rng(seed)
    exponent = rng.integers(0, 100, n)
    factors = rng.choice([(31, 1082401), (601, 55831), (1801, 18631)], n)
    few_less = np.stack([np.ones(n), rng.integers((1 << 25) - 8, 1 << 25, n) & ~1], axis=1)
    p, q = np.where(rng.random((n, 1)) < 0.5, factors, few_less).T
    a = np.ldexp(p, exponent).astype(np.float32)
    b = np.ldexp(q, 103 - exponent).astype(np.float32)
    last = rng.choice([102, 103, 104, 80, 0, -149], n)
    c = np.ldexp(rng.integers(0, 5, n).astype(np.float64), last).astype(np.float32)
    return _with_signs(rng, np.stack([a, b, c], axis=1).view(np.uint32))


def cancelling(seed: int, n: int) -> Words:
    """c is the rounded product with its sign turned, or next to it: what is left is its error."""
    rng = np.random.default_rng(seed)
    exponents = rng.integers(-120, 120, n)
    a = np.ldexp(rng.random(n) + 0.5, exponents).astype(np.float32)
    b = rng.integers(-140, 120, n) - exponents
    with np.errstate(over="ignore", under="ignore"):
        b = np.ldexp(rng.random(n) + 0.5, b).astype(np.float32)
        c = (-(a * b)).view(np.uint32) + rng.integers(-1, 2, n).astype(np.uint32)
    return np.stack([a.view(np.uint32), b.view(np.uint32), canonical(c)], axis=1)


def _with_signs(rng: np.random.Generator, cases: NDArray[np.uint32]) -> Words:
    return canonical(cases ^ (rng.integers(0, 2, cases.shape, np.uint32) << np.uint32(31)))


KINDS = {
    "hard": triples,
    "halfway": halfway,
    "small sums": small_sums,
    "edge of the range": edge_of_range,
    "cancelling": cancelling,
}


def _assert_equal(what: str, cases: Words, got: Words, expected: Words) -> None:
    wrong = np.nonzero(got != expected)[0]
    if len(wrong):
        i = int(wrong[0])
        a, b, c = (f"{int(word):#010x}" for word in cases[i])
        pytest.fail(
            f"{what}: fma({a}, {b}, {c}) is {int(got[i]):#010x}, expected {int(expected[i]):#010x} "
            f"({len(wrong)} of {len(cases)} cases differ)"
        )


@pytest.mark.parametrize("kind", KINDS)
def test_fma_of_hard_cases_equals_the_reference(kind) -> None:
    cases = KINDS[kind](31, REFERENCE_CASES)
    expected = reference(cases)
    for isa in instruction_sets():
        _assert_equal(f"{kind}, {isa}", cases, fma(isa, cases), expected)


def test_fma_of_every_triple_of_special_words_equals_the_reference() -> None:
    words = np.concatenate([SPECIALS, SPECIALS[:3] ^ SIGN])
    cases = np.stack(np.meshgrid(words, words, words), axis=-1).reshape(-1, 3).astype(np.uint32)
    expected = reference(cases)
    for isa in instruction_sets():
        _assert_equal(isa, cases, fma(isa, cases), expected)


@pytest.mark.parametrize(
    ("kind", "lowest", "highest", "least"),
    [
        ("halfway", 0x00800000, 0x7F7FFFFF, 3_000),
        ("small sums", 0, 0x007FFFFF, 500),
        ("edge of the range", 0x7F7FFFFF, 0x7F7FFFFF, 500),
    ],
)
def test_hard_cases_catch_a_sum_that_is_rounded_twice(kind, lowest, highest, least) -> None:
    cases = KINDS[kind](31, REFERENCE_CASES)
    expected = reference(cases)
    wrong = (expected & 0x7FFFFFFF)[naive(cases) != expected]
    assert ((wrong >= lowest) & (wrong <= highest)).sum() > least


def test_halfway_products_are_halfway_between_two_floats() -> None:
    cases = halfway(31, 2_000)
    inside = 0
    for a, b, _ in cases.tolist():
        exact = abs(float32.units(a) * float32.units(b))  # in units of 2**-298
        rounded = float32.units(float32.mul(a, b) & 0x7FFFFFFF) << 149
        above = float32.units((float32.mul(a, b) & 0x7FFFFFFF) + 1) << 149
        ulp = above - rounded
        inside += 2 * abs(exact - rounded) == ulp
    assert inside > 1_200


@pytest.mark.slow
@pytest.mark.skipif(len(instruction_sets()) == 1, reason="no other instruction set to compare")
@pytest.mark.parametrize("kind", KINDS)
def test_fma_without_the_instruction_equals_the_instruction_on_millions(kind) -> None:
    for seed in range(8):
        cases = KINDS[kind](100 + seed, 1_000_000)
        soft = fma("baseline", cases)
        for isa in instruction_sets()[:-1]:
            _assert_equal(f"{kind}, seed {seed}, {isa}", cases, soft, fma(isa, cases))


@pytest.mark.slow
def test_fma_of_a_million_more_equals_the_reference() -> None:
    for kind, make in KINDS.items():
        cases = make(77, 250_000)
        _assert_equal(kind, cases, fma("baseline", cases), reference(cases))


def test_matrix_tiles_without_the_instruction_round_hard_cases_once() -> None:
    # The tile is another loop than the elementwise one: 1 term that counts, 3 of +0 * +0.
    cases = np.concatenate([make(5, 120) for make in KINDS.values()])
    for isa in instruction_sets():
        for start in range(0, len(cases), 12):
            a, b, _ = cases[start : start + 12].T
            node = product(len(a), len(b), 4)
            left, right = np.zeros((len(a), 4), np.uint32), np.zeros((4, len(b)), np.uint32)
            left[:, 0], right[0, :] = a, b
            left[:, 1], right[1, :] = b[::-1], a  # a second product on the first one's rounding
            out = Executor(1, isa).run(node, [left.view("<f4"), right.view("<f4")])
            for i, row in enumerate(out.view(np.uint32).tolist()):
                for j, word in enumerate(row):
                    sum_ = float32.fma(int(a[i]), int(b[j]), 0)
                    sum_ = float32.fma(int(left[i, 1]), int(right[1, j]), sum_)
                    for _ in range(2):
                        sum_ = float32.fma(0, 0, sum_)
                    assert word == sum_, (isa, start, i, j)
