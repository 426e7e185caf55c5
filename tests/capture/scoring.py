"""Outputs of models, by the program that capture makes and by stock PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from protocol.capture import inference_from, outputs_of
from protocol.capture.captured import Captured
from tests.capture.running import states

X = np.random.default_rng(3).normal(size=(11, 6)).astype(np.float32)
BATCH = 4
"""Examples of a step: the last batch of ``X`` has three."""


class Calls(nn.Module):
    """Calls a function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *given: Any, **named: Any) -> Any:
        return self.function(*given, **named)


def mlp() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return nn.Sequential(
            *(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.GELU(), nn.Dropout(0.5), nn.Linear(8, 3))
        ).eval()


def computed(captured: Captured) -> dict[str, np.ndarray]:
    """The outputs after the last step."""
    *_, after = states(captured)
    return outputs_of(after.items())


def scored(model: nn.Module, data: Any = X, *, batch_size: int = BATCH, **options: Any) -> Any:
    """The outputs by the program; alone if there is one."""
    found = computed(inference_from(model, data, batch_size=batch_size, **options))
    return found["output"] if found.keys() == {"output"} else found


def stock(model: nn.Module, data: Any, output: Callable[[Any, Any], Any] | None = None) -> Any:
    """The same by PyTorch, all examples in one batch."""
    if isinstance(data, Mapping):
        inputs: Any = {k: torch.from_numpy(a) for k, a in data.items()}
    else:
        inputs = torch.from_numpy(data)
    with torch.no_grad():
        said = model(**inputs) if isinstance(inputs, Mapping) else model(inputs)
        if output is not None:
            return output(said, inputs)
        return said if isinstance(said, torch.Tensor) else said["logits"]


def close(own: np.ndarray, other: torch.Tensor) -> None:
    """Equal but for rounding, relative to the largest."""
    expected = other.numpy()
    assert own.shape == expected.shape
    scale = float(np.abs(expected).max())
    np.testing.assert_allclose(own, expected, rtol=1e-5, atol=2e-6 * scale)
