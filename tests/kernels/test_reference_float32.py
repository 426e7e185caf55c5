"""The reference arithmetic against hardware floats, MPFR and NumPy's integers."""

from __future__ import annotations

import gmpy2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.kernels.reference import float32 as ref
from protocol.program.isa import SIGNATURES, Op
from tests.float_cases import SPECIALS, Words, canonical, triples

CASES = 60_000
NAN = 0x7FC00000
words = st.integers(0, 2**32 - 1)


def _reference(name: str, cases: Words) -> Words:
    operation = ref.OPERATIONS[name]
    arity = len(SIGNATURES[Op[name.upper()]].arguments)
    rows = cases[:, :arity].tolist()
    return np.array([operation(*row) for row in rows], dtype=np.uint32)


def _assert_equal(name: str, cases: Words, got: Words, expected: Words) -> None:
    wrong = np.nonzero(got != expected)[0]
    if len(wrong):
        i = int(wrong[0])
        shown = ", ".join(f"{int(word):#010x}" for word in cases[i])
        pytest.fail(
            f"{name}({shown}) is {int(expected[i]):#010x}, the reference says {int(got[i]):#010x} "
            f"({len(wrong)} of {len(cases)} cases differ)"
        )


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "sqrt"])
def test_float_arithmetic_on_hard_cases_equals_hardware(name: str) -> None:
    cases = triples(seed=11, n=CASES)
    a, b = cases[:, 0].copy().view(np.float32), cases[:, 1].copy().view(np.float32)
    with np.errstate(all="ignore"):
        hardware = {
            "add": lambda: a + b,
            "sub": lambda: a - b,
            "mul": lambda: a * b,
            "div": lambda: a / b,
            "sqrt": lambda: np.sqrt(a),
        }[name]()
    _assert_equal(name, cases, _reference(name, cases), canonical(hardware.view(np.uint32)))


def _mpfr_fma(rows: list[list[float]]) -> list[float]:
    """fma by MPFR with binary32's precision and exponents, subnormals rounded once."""
    # MPFR's exponents are those of a significand in [1/2, 1): 2**-149 has exponent -148.
    context = gmpy2.context(precision=24, emin=-148, emax=128, subnormalize=True)
    with gmpy2.context(context):
        return [float(gmpy2.fma(gmpy2.mpfr(a), gmpy2.mpfr(b), gmpy2.mpfr(c))) for a, b, c in rows]


def test_fma_on_hard_cases_equals_mpfr() -> None:
    cases = triples(seed=12, n=CASES)
    rows = cases.view(np.float32).astype(np.float64).tolist()
    expected = np.array(_mpfr_fma(rows), dtype=np.float64).astype(np.float32).view(np.uint32)
    _assert_equal("fma", cases, _reference("fma", cases), canonical(expected))


def test_conversions_on_hard_cases_equal_numpy() -> None:
    cases = np.concatenate([triples(seed=13, n=CASES)[:, :1], SPECIALS[:, None]])
    as_float = cases[:, 0].copy().view(np.float32).astype(np.float64)
    clipped = np.clip(np.nan_to_num(np.trunc(as_float), posinf=2**31), -(2**31), 2**31 - 1)
    to_int = clipped.astype(np.int64).astype(np.int32).view(np.uint32)
    _assert_equal("f2i", cases, _reference("f2i", cases), to_int)
    to_float = cases[:, 0].copy().view(np.int32).astype(np.float32).view(np.uint32)
    _assert_equal("i2f", cases, _reference("i2f", cases), to_float)


def test_order_on_hard_cases_equals_hardware() -> None:
    cases = triples(seed=14, n=CASES)
    a, b = cases[:, 0].copy().view(np.float32), cases[:, 1].copy().view(np.float32)
    for name, hardware in (("flt", a < b), ("fle", a <= b), ("feq", a == b)):
        _assert_equal(name, cases, _reference(name, cases), hardware.astype(np.uint32))
    signed = np.signbit(a) | np.signbit(b), np.signbit(a) & np.signbit(b)
    zeros = (a == 0) & (b == 0)
    for name, hardware, sign in (
        ("min", np.minimum(a, b), signed[0]),
        ("max", np.maximum(a, b), signed[1]),
    ):
        # NumPy leaves the sign of min(-0, +0) open; the protocol does not.
        expected = np.where(zeros, np.where(sign, np.uint32(1 << 31), np.uint32(0)), 0)
        expected = np.where(zeros, expected, hardware.view(np.uint32)).astype(np.uint32)
        _assert_equal(name, cases, _reference(name, cases), canonical(expected))


def test_sign_operations_with_nan_give_the_canonical_nan() -> None:
    assert ref.neg(NAN) == NAN
    assert ref.abs(0xFFC00001) == NAN
    assert ref.b2f(0xFFC00000) == NAN
    assert ref.b2f(0x7F800001) == NAN
    assert ref.f2b(0xFF800000) == ref.b2f(0xFF800000) == 0xFF800000
    assert ref.neg(0) == 0x80000000
    assert ref.abs(0xFF800000) == 0x7F800000


def test_integers_on_random_and_extreme_words_equal_numpy() -> None:
    rng = np.random.default_rng(15)
    extremes = np.array([0, 1, 2, 31, 32, 33, 2**31 - 1, 2**31, 2**31 + 1, 2**32 - 1], np.uint32)
    a = np.concatenate([rng.integers(0, 2**32, 5_000, np.uint32), np.repeat(extremes, 10)])
    b = np.concatenate([rng.integers(0, 2**32, 5_000, np.uint32), np.tile(extremes, 10)])
    b[::7] %= np.uint32(40)
    cases = np.stack([a, b], axis=1)
    ua, ub = a.astype(np.uint64), b.astype(np.uint64)
    sa, sb = a.view(np.int32).astype(np.int64), b.view(np.int32).astype(np.int64)
    divisor = np.where(sb == 0, 1, sb)
    quotient = np.where(sb == 0, 0, np.sign(sa) * np.sign(sb) * (np.abs(sa) // np.abs(divisor)))
    remainder = np.where(sb == 0, 0, np.fmod(sa, divisor))
    count = ub & np.uint64(31)
    expected = {
        "iadd": sa + sb,
        "isub": sa - sb,
        "imul": (ua * ub & np.uint64(0xFFFFFFFF)),
        "imulhi": ua * ub >> np.uint64(32),
        "idiv": quotient,
        "irem": remainder,
        "iand": a & b,
        "ior": a | b,
        "ixor": a ^ b,
        "ishl": ua << count,
        "ishr": ua >> count,
        "isar": sa >> count.astype(np.int64),
        "ilt": sa < sb,
        "iult": ua < ub,
        "ieq": ua == ub,
        "imin": np.minimum(sa, sb),
        "imax": np.maximum(sa, sb),
    }
    for name, value in expected.items():
        wrapped = (value.astype(np.int64) & 0xFFFFFFFF).astype(np.uint32)
        _assert_equal(name, cases, _reference(name, cases), wrapped)


def test_integer_division_at_its_edges_is_total() -> None:
    int_min, minus_one = 0x80000000, 0xFFFFFFFF
    assert ref.idiv(7, 0) == ref.irem(7, 0) == ref.idiv(int_min, 0) == 0
    assert ref.idiv(int_min, minus_one) == int_min
    assert ref.irem(int_min, minus_one) == 0
    assert ref.idiv(ref.word(-7), 2) == ref.word(-3)
    assert ref.irem(ref.word(-7), 2) == ref.word(-1)


def test_operations_name_exactly_the_instruction_set() -> None:
    assert set(ref.OPERATIONS) == {op.name.lower() for op in Op}


@given(st.sampled_from(list(Op)), words, words, words)
def test_every_operation_on_any_words_gives_a_word(op: Op, a: int, b: int, c: int) -> None:
    arity = len(SIGNATURES[op].arguments)
    result = ref.OPERATIONS[op.name.lower()](*(a, b, c)[:arity])
    assert 0 <= result < 2**32


@given(words, words)
def test_fma_of_one_factor_one_equals_add(a: int, b: int) -> None:
    a, b = ref.canonical(a), ref.canonical(b)
    assert ref.fma(a, ref.ONE, b) == ref.add(a, b)


@given(words, words)
def test_fma_with_zero_of_the_product_sign_equals_mul(a: int, b: int) -> None:
    a, b = ref.canonical(a), ref.canonical(b)
    zero = (a ^ b) & ref.SIGN
    assert ref.fma(a, b, zero) == ref.mul(a, b)


def test_published_traps_of_the_accumulator_hold() -> None:
    tiny, minus_tiny = 0x0D800000, 0x8D800000  # 2**-100
    assert ref.fma(tiny, minus_tiny, 0) == 0x80000000
    assert ref.fma(0, ref.ONE, 0x80000000) == 0
    assert ref.fma(0, ref.INFINITY, ref.ONE) == NAN
