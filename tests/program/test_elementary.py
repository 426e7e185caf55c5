"""The further elementary functions against double precision, special values included."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import special

from protocol.kernels.executor import Compiled, Executor
from protocol.program import elementary
from protocol.program.builder import FoldBuilder
from protocol.program.isa import DType
from protocol.program.node import Operand, OperandKind

SPECIAL = np.array(
    [0.0, -0.0, np.inf, -np.inf, np.nan, 1, -1, 0.5, -0.5, 2.5, -3.5, 1e-40, -1e-40, 3e38, 88.8],
    np.float32,
)
UNARY = {
    "trunc": (np.trunc, 0.0),
    "round_even": (np.round, 0.0),
    "floor": (np.floor, 0.0),
    "atan": (np.arctan, 3.0),
    "asin": (np.arcsin, 3.0),
    "acos": (np.arccos, 3.0),
    "sinh": (np.sinh, 3.0),
    "cosh": (np.cosh, 3.0),
    "asinh": (np.arcsinh, 3.0),
    "acosh": (np.arccosh, 3.0),
    "atanh": (np.arctanh, 3.0),
    "exp2": (np.exp2, 1.0),
    "log2": (np.log2, 2.5),
    "log10": (np.log10, 2.0),
    "erfc": (special.erfc, 8.0),
}
BINARY = {"atan2": (np.arctan2, 3.5), "hypot": (np.hypot, 2.5), "power": (np.power, 16.0)}


@pytest.fixture(autouse=True)
def _same_numbers_in_any_order() -> None:
    global RNG  # each test draws from the beginning, whichever ran before it
    RNG = np.random.default_rng(8)


def words(count: int) -> np.ndarray:
    """Random words of every exponent, ordinary numbers, special values; one NaN."""
    raw = RNG.integers(0, 1 << 32, count, dtype=np.uint64).astype(np.uint32).view(np.float32)
    near = RNG.normal(size=count).astype(np.float32) * RNG.choice([0.01, 1, 30], count)
    found = np.concatenate([raw, near.astype(np.float32), SPECIAL])
    return np.where(np.isnan(found), np.float32(np.nan), found)


def evaluate(function: Callable, *inputs: np.ndarray) -> np.ndarray:
    shape = inputs[0].shape
    b = FoldBuilder(DType.F32, shape)
    axes = [b.out(0).axis(shape[0], 1)]
    loads = [
        b.load(Operand(OperandKind.DATA, i, DType.F32, shape), axes) for i in range(len(inputs))
    ]
    node = b.finish(function(b, *loads))
    return Executor(threads=1, compiled=Compiled.NOTHING).run(node, list(inputs))


def assert_close(own: np.ndarray, exact: np.ndarray, ulp: float) -> None:
    with np.errstate(all="ignore"):
        nearest = exact.astype(np.float32)
        finite = np.isfinite(nearest) & np.isfinite(own)
        unit = np.spacing(np.abs(nearest[finite])).astype(np.float64)
        error = np.abs(own[finite].astype(np.float64) - exact[finite]) / unit
    np.testing.assert_array_equal(own[~finite], nearest[~finite])
    signed = ~np.isnan(own)
    np.testing.assert_array_equal(np.signbit(own[signed]), np.signbit(exact[signed]))
    assert error.max() <= ulp


@pytest.mark.parametrize("name", UNARY)
def test_function_of_one_number_is_within_its_error(name: str) -> None:
    reference, ulp = UNARY[name]
    x = words(20_000)
    with np.errstate(all="ignore"):
        exact = reference(x.astype(np.float64))
    assert_close(evaluate(getattr(elementary, name), x), exact, ulp)


@pytest.mark.parametrize("name", BINARY)
def test_function_of_two_numbers_is_within_its_error_for_all_pairs_of_special_values(
    name: str,
) -> None:
    reference, ulp = BINARY[name]
    first, second = np.meshgrid(SPECIAL, SPECIAL)
    x = np.concatenate([words(20_000), first.ravel()])
    y = np.concatenate([words(20_000), second.ravel()])
    with np.errstate(all="ignore"):
        exact = reference(x.astype(np.float64), y.astype(np.float64))
    assert_close(evaluate(getattr(elementary, name), x, y), exact, ulp)


def test_remainders_are_exact_below_the_limit_and_nan_beyond() -> None:
    x = (RNG.normal(size=20_000) * 100).astype(np.float32)
    y = RNG.normal(size=20_000).astype(np.float32)
    known = np.abs(x.astype(np.float64) / y) < 1 << 23
    own = evaluate(elementary.fmod, x, y)
    np.testing.assert_array_equal(own[known], np.fmod(x, y)[known])
    far = evaluate(elementary.fmod, np.float32([1e30, 5]), np.float32([1, 0]))
    assert np.isnan(far).all()
