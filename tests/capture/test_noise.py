"""Noise that a model draws while it runs: of the right distribution, new at every step."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from protocol.capture.captured import Captured
from protocol.capture.errors import UnsupportedOperator
from protocol.capture.task import task_from
from protocol.program.philox import philox
from tests.capture.running import states

SHAPE = (64, 48)
SEED = 0x1234_5678_9ABC


class Noisy(nn.Module):
    """Keeps what was drawn in a buffer."""

    def __init__(self, draw: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.weight, self.draw = nn.Parameter(torch.ones(())), draw
        self.register_buffer("seen", torch.zeros(SHAPE))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        drawn = self.draw(x)
        self.seen.copy_(drawn)
        return (self.weight * drawn).mean()


def capture(draw: Callable[[torch.Tensor], torch.Tensor]) -> Captured:
    model, zeros = Noisy(draw), np.zeros(SHAPE, np.float32)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    options = {"steps": 3, "interval": 1, "batch_size": SHAPE[0], "seed": SEED}
    return task_from(model, None, optimizer, {"x": zeros}, **options)


def draws(draw: Callable[[torch.Tensor], torch.Tensor]) -> list[np.ndarray]:
    return [state["model.seen"] for state in states(capture(draw))]


NORMAL: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], float, float]] = {
    "randn_like": (torch.randn_like, 0.0, 1.0),
    "randn": (lambda x: torch.randn(x.shape), 0.0, 1.0),
    "normal": (lambda x: torch.normal(1.0, 2.0, x.shape), 1.0, 2.0),
    "normal_": (lambda x: torch.empty_like(x).normal_(-3.0, 0.5), -3.0, 0.5),
}
UNIFORM: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], float, float]] = {
    "rand_like": (torch.rand_like, 0.0, 1.0),
    "rand": (lambda x: torch.rand(x.shape), 0.0, 1.0),
    "uniform_": (lambda x: torch.empty_like(x).uniform_(-1.0, 3.0), -1.0, 3.0),
}
WHOLE: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], int, int]] = {
    "randint": (lambda x: torch.randint(5, x.shape), 0, 5),
    "randint from": (lambda x: torch.randint(-2, 3, x.shape), -2, 3),
    "randint_like": (lambda x: torch.randint_like(x, 7), 0, 7),
    "randint_like from": (lambda x: torch.randint_like(x, 3, 10), 3, 10),
}


@pytest.mark.parametrize("name", NORMAL)
def test_normal_noise_has_its_mean_spread_and_tails(name: str) -> None:
    draw, mean, spread = NORMAL[name]
    first, second, third = draws(draw)
    unit = (np.stack([first, second, third]).astype(np.float64) - mean) / spread
    assert abs(unit.mean()) < 0.05
    assert abs(unit.std() - 1) < 0.05
    assert abs((unit**4).mean() - 3) < 0.5
    assert abs((np.abs(unit) < 1).mean() - 0.6827) < 0.02
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.08


@pytest.mark.parametrize("name", UNIFORM)
def test_uniform_noise_fills_its_range_evenly(name: str) -> None:
    draw, low, high = UNIFORM[name]
    unit = (np.stack(draws(draw)).astype(np.float64) - low) / (high - low)
    assert unit.min() >= 0.0
    assert unit.max() < 1.0 if (low, high) == (0.0, 1.0) else unit.max() <= 1.0
    counts, _ = np.histogram(unit, 8, (0, 1))
    np.testing.assert_allclose(counts / unit.size, 1 / 8, atol=0.02)


@pytest.mark.parametrize("name", WHOLE)
def test_whole_numbers_are_all_those_of_their_range(name: str) -> None:
    draw, low, high = WHOLE[name]
    values, counts = np.unique(np.stack(draws(draw)), return_counts=True)
    np.testing.assert_array_equal(values, np.arange(low, high))
    np.testing.assert_allclose(counts / counts.sum(), 1 / (high - low), atol=0.03)


def test_words_are_philoxs_of_seed_draw_step_and_element() -> None:
    after = draws(torch.rand_like)
    for step, element in ((0, 0), (0, 77), (2, 3_000)):
        word = philox((element, step, SEED >> 32, 0), (SEED & 0xFFFFFFFF, 0))[0]
        assert after[step].ravel()[element] == np.float32((word >> 8) * 2.0**-24)


def test_draws_of_one_step_differ() -> None:
    (first, *_) = draws(lambda x: torch.randn_like(x) - torch.randn_like(x))
    assert abs(first.std() - 2**0.5) < 0.1


def test_an_empty_range_is_refused() -> None:
    with pytest.raises(UnsupportedOperator, match=r"range 0\.\.4294967296"):
        capture(lambda x: torch.randint(1 << 32, x.shape))
