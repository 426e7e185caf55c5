"""Small models with drawn weights, and what the program draws for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from protocol.capture.captured import Captured
from protocol.capture.initial.distributions import Distribution
from protocol.capture.initial.starting import Asked, drawn_values
from protocol.capture.task import task_from

EXAMPLES = 12


class Bag(nn.Module):
    """Parameters of any shapes, of which each example sees the mean."""

    def __init__(self, **shapes: tuple[int, ...]) -> None:
        super().__init__()
        for name, shape in shapes.items():
            self.register_parameter(name, nn.Parameter(torch.full(shape, 0.5)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, 1) to the same."""
        return x * sum(parameter.mean() for parameter in self.parameters())


def data() -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets of `Bag`."""
    inputs = np.random.default_rng(0).normal(size=(EXAMPLES, 1)).astype(np.float32)
    return inputs, np.ones_like(inputs)


def capture(
    model: nn.Module, drawn: Asked | None, optimizer: Any = None, **options: Any
) -> Captured:
    """A task of a few steps on `data`."""
    optimizer = optimizer or torch.optim.SGD(
        [p for p in model.parameters() if p.requires_grad], lr=0.1
    )
    settings = {"steps": 4, "interval": 2, "batch_size": 4, "seed": 7, **options}
    return task_from(model, nn.functional.mse_loss, optimizer, data(), drawn=drawn, **settings)


def sample(distribution: Distribution, count: int = 60_000, seed: int = 7) -> np.ndarray:
    """So many numbers of a distribution, as a program draws them."""
    captured = capture(Bag(a=(count,)), {"a": distribution}, seed=seed)
    return drawn_values(captured)["model.a"]
