"""Drawn numbers have the distribution that was asked for, bit for bit in every executor."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from protocol.capture.errors import CaptureError
from protocol.capture.initial.distributions import (
    Constant,
    Distribution,
    Normal,
    Padded,
    TruncatedNormal,
    Uniform,
)
from protocol.kernels.reference.evaluator import evaluate_node
from protocol.program.cost import TreeSizes, judgement_gas
from tests.capture.drawn import Bag, capture, sample

COUNT = 60_000
SIGNIFICANT = 1.63  # of Kolmogorov and Smirnov: one sample in a hundred is farther from the truth
LARGEST = TreeSizes(65_536, 65_536, 65_536)


def normal_up_to(x: np.ndarray, mean: float, std: float) -> np.ndarray:
    """The share of a normal distribution below x."""
    scaled = torch.from_numpy((x.astype(np.float64) - mean) / (std * math.sqrt(2)))
    return (0.5 + 0.5 * torch.erf(scaled)).numpy()


def share_below(distribution: Distribution, x: np.ndarray) -> np.ndarray:
    match distribution:
        case Uniform(low, high):
            return (x.astype(np.float64) - low) / (high - low)
        case Normal(mean, std):
            return normal_up_to(x, mean, std)
        case TruncatedNormal(mean, std, a, b):
            low, high = normal_up_to(np.array([a, b]), mean, std)
            return (normal_up_to(x, mean, std) - low) / (high - low)
    raise AssertionError(distribution)


CASES = [
    Uniform(0.0, 1.0),
    Uniform(-0.3, 0.1),
    Normal(),
    Normal(0.5, 0.02),
    TruncatedNormal(),
    TruncatedNormal(0.0, 0.02, -2.0, 2.0),
    TruncatedNormal(0.01, 0.02, -0.02, 0.03),
    TruncatedNormal(1.0, 0.5, 1.2, 9.0),
]


@pytest.mark.parametrize("distribution", CASES, ids=str)
def test_drawn_numbers_have_their_distribution(distribution: Distribution) -> None:
    numbers = np.sort(sample(distribution, COUNT))
    expected = share_below(distribution, numbers)
    steps = np.arange(COUNT + 1) / COUNT
    worst = max(np.abs(expected - steps[1:]).max(), np.abs(expected - steps[:-1]).max())
    assert worst < SIGNIFICANT / math.sqrt(COUNT)
    match distribution:
        case Uniform(low, high):
            assert np.float32(low) <= numbers[0]
            assert numbers[-1] <= np.float32(high)
        case TruncatedNormal(_, _, a, b):
            assert np.float32(a) <= numbers[0]
            assert numbers[-1] <= np.float32(b)


def test_padded_numbers_are_those_of_the_whole_but_for_the_constant_ones() -> None:
    whole = sample(Normal(), 50)
    for start, stop, value in ((0, 7, 0.0), (7, 21, -1.5), (49, 50, 3.0), (0, 50, 1.0)):
        padded = sample(Padded(Normal(), start, stop, value), 50)
        expected = whole.copy()
        expected[start:stop] = value
        np.testing.assert_array_equal(padded, expected)


def test_constant_stands_in_the_state_and_draws_nothing() -> None:
    captured = capture(Bag(a=(2, 3)), {"a": Constant(0.25)})
    plain = capture(Bag(a=(2, 3)), None)
    np.testing.assert_array_equal(dict(captured.state)["model.a"], np.full((2, 3), 0.25))
    assert captured.program == plain.program


@pytest.mark.parametrize(
    "distribution", [*CASES, Padded(TruncatedNormal(0.01, 0.02, -0.02, 0.03), 3, 5, 0.5)], ids=str
)
def test_draw_is_the_references_and_cheap_to_judge(distribution: Distribution) -> None:
    captured = capture(Bag(a=(3, 1, 7)), {"a": distribution}, seed=(1 << 62) + 12_345)
    nodes = dict(zip(captured.origins, captured.program.nodes, strict=True))
    draw, choice = nodes["a: draw (init)"], nodes["a: drawn or state (init)"]
    assert max(judgement_gas(node, LARGEST) for node in (draw, choice)) < 330_000
    own = sample_words(distribution)
    assert own == evaluate_node(draw, [[0]])
    for later in (1, 2**31 - 1, 2**32 - 1):
        assert set(evaluate_node(draw, [[later]])) == {0}
    step, state = (
        next(k for k, o in enumerate(choice.operands) if len(o.shape) == rank) for rank in (0, 3)
    )
    for at, expected in ((0, own), (1, [9] * 21), (2**32 - 1, [9] * 21)):
        given = [own] * 3
        given[step], given[state] = [at], [9] * 21
        assert evaluate_node(choice, given) == expected


def sample_words(distribution: Distribution) -> list[int]:
    words: list[int] = sample(distribution, 21, (1 << 62) + 12_345).view(np.uint32).tolist()
    return words


def test_scaled_and_shifted_distribution_is_that_of_the_scaled_number() -> None:
    assert Uniform(-1, 3).moved(-2, 1) == Uniform(-5, 3)
    assert Normal(1, 2).moved(-0.5, 1) == Normal(0.5, 1)
    assert TruncatedNormal(0, 1, -2, 1).moved(-2, 0) == TruncatedNormal(0, 2, -2, 4)
    assert Constant(3).moved(2, 1) == Constant(7)
    assert Normal(1, 2).moved(0, 4) == Uniform(1, 2).moved(0, 4) == Constant(4)


def test_number_of_numpy_is_a_number() -> None:
    drawn = sample(Normal(np.float32(0.5), np.float64(0.25)), 5)
    np.testing.assert_array_equal(drawn, sample(Normal(0.5, 0.25), 5))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Uniform(1.0, 1.0), "low 1.0 is not below high 1.0"),
        (lambda: Uniform(-3e38, 3e38), "width is 6e"),
        (lambda: Uniform("0", 1.0), "low is '0', expected a number"),
        (lambda: Normal(0.0, 0.0), r"std is 0.0.*Constant\(value\)"),
        (lambda: Normal(0.0, 1e-60), "std is 1e-60"),
        (lambda: Normal(float("nan")), "mean is nan"),
        (lambda: Normal(0.0, float("inf")), "std is inf"),
        (lambda: Normal(True), "mean is True"),
        (lambda: TruncatedNormal(a=1.0, b=1.0), "a 1.0 is not below b 1.0"),
        (lambda: TruncatedNormal(a=3.0, b=4.0), "2.0 deviations outside 3.0..4.0"),
        (lambda: Constant(float("nan")), "value is nan"),
        (lambda: Constant(1e39), "no f32"),
        (lambda: Padded(Normal(), 3, 3), "elements 3 to 3 - 1 are none"),
        (lambda: Padded(Normal(), -1, 3), "elements -1 to 3"),
        (lambda: replace(Padded(Normal(), 0, 3), value=float("inf")), "value is inf"),
    ],
)
def test_distribution_that_makes_no_sense_is_refused(make, says: str) -> None:
    with pytest.raises(CaptureError, match=rf"cannot be drawn from: .*{says}.*docs/CAPTURE.md"):
        make()
