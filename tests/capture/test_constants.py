"""What a step computes from constants alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from protocol.capture.errors import UnsupportedDtype
from protocol.capture.task import task_from
from tests.capture.running import run_operator

X = np.random.default_rng(0).normal(size=(8, 6)).astype(np.float32)
DOUBLE = torch.linspace(0.1, 0.7, 6, dtype=torch.float64)


def sinusoids(x: torch.Tensor) -> torch.Tensor:
    """A table of positions as libraries make it, in double."""
    rates = 10_000.0 ** (-torch.arange(0, 6, 2, dtype=torch.float64) / 6)
    angles = torch.outer(torch.arange(8, dtype=torch.float64), rates)
    return x + torch.cat([angles.sin(), angles.cos()], 1).float()


@pytest.mark.parametrize(
    "operator",
    [
        sinusoids,
        lambda x: x * torch.logspace(0, 1, 6),
        lambda x: x * torch.tensor(0.1, dtype=torch.float64),
        lambda x: x + DOUBLE.to(torch.float32),
        lambda x: x + DOUBLE.half().float(),
        lambda x: x[:, torch.triu_indices(6, 6)[1]] * 2.0,
        lambda x: x * torch.topk(DOUBLE, 6).values.float() + torch.hann_window(6),
    ],
)
def test_constants_that_no_fold_can_compute_are_computed_when_the_task_is_built(
    operator: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    assert run_operator(operator, X).worst() < 1e-6


def test_random_draw_is_no_constant() -> None:
    data = dict(run_operator(lambda x: x + 0 * torch.rand(6), X).captured.data)
    assert not [name for name in data if name.startswith("constant.")]


def test_constant_in_double_beside_data_is_refused_with_its_place() -> None:
    class Table(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) + DOUBLE.half()[:3]

    model = Table(6, 3)
    with pytest.raises(UnsupportedDtype) as refused:
        task_from(
            model,
            lambda output, _: output.sum(),
            torch.optim.SGD(model.parameters(), lr=0.1),
            (X, X),
            steps=1,
            batch_size=4,
        )
    error = refused.value
    assert (error.dtype, error.tensor) == ("float16", "a constant that aten.add.Tensor takes")
    assert "DOUBLE.half()[:3]" in error.origin.source
    assert ".float()" in error.advice
