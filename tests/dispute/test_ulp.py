from __future__ import annotations

import pytest

from protocol.dispute.ulp import decimal, describe, distance, how_far
from protocol.program.isa import DType

ONE, INF, NAN = 0x3F800000, 0x7F800000, 0x7FC00000
NEGATIVE = 0x80000000


@pytest.mark.parametrize(
    ("a", "b", "apart"),
    [
        (ONE, ONE, 0),
        (ONE, ONE + 1, 1),
        (0, 1, 1),
        (0, NEGATIVE, 1),
        (1, NEGATIVE | 1, 3),
        (0x7F7FFFFF, INF, 1),
        (INF, NEGATIVE | INF, 2 * INF + 1),
        (NAN, NAN, 0),
        (NAN, ONE, None),
    ],
)
def test_distance_counts_the_floats_between(a: int, b: int, apart: int | None) -> None:
    assert distance(a, b) == distance(b, a) == apart


@pytest.mark.parametrize(
    ("word", "text"),
    [
        (ONE, "1.0"),
        (0x3DCCCCCD, "0.1"),
        (NEGATIVE, "-0.0"),
        (INF, "inf"),
        (NAN, "nan"),
        (1, "1e-45"),
        (0x7F7FFFFF, "3.4028235e+38"),
        (0x3F800001, "1.0000001"),
    ],
)
def test_decimal_is_the_shortest_that_reads_back(word: int, text: str) -> None:
    assert decimal(word) == text


def test_describe_names_both_words_and_the_distance() -> None:
    assert describe(ONE, ONE + 1) == "0x3f800000 (1.0) and 0x3f800001 (1.0000001), 1 ulp apart"
    assert describe(ONE, NAN).endswith("not comparable")


@pytest.mark.parametrize(
    ("dtype", "a", "b", "text"),
    [
        (DType.F32, 0, NEGATIVE, "0x00000000 (0.0) and 0x80000000 (-0.0), 1 ulp apart"),
        (DType.F32, INF, INF - 1, "0x7f800000 (inf) and 0x7f7fffff (3.4028235e+38), 1 ulp apart"),
        (DType.F32, 1, 3, "0x00000001 (1e-45) and 0x00000003 (4e-45), 2 ulp apart"),
        (DType.F32, NAN, NAN + 1, "0x7fc00000 (nan) and 0x7fc00001 (nan), two different NaNs"),
        (DType.I32, 0xFFFFFFFF, 2, "0xffffffff (-1) and 0x00000002 (2), 3 apart"),
        (DType.U8, 255, 0, "0xff (255) and 0x00 (0), 255 apart"),
    ],
)
def test_describe_reads_words_as_their_type_does(dtype: DType, a: int, b: int, text: str) -> None:
    assert describe(a, b, dtype) == text


def test_how_far_of_one_nan_is_the_same() -> None:
    assert how_far(NAN, NAN, DType.F32) == "the same NaN"
