"""What a row of the table measures, said once for both sides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Operator:
    """Some tensors through ``function``, which makes one new tensor or a tuple of them.

    PyTorch calls the function; ours captures it, and lowers it as it lowers a training step.
    """

    function: Callable[..., Any]
    inputs: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Update:
    """AdamW, with its default arguments, on tensors of ``shapes`` with gradients that stay.

    ``fused`` is PyTorch's option; ours is the same program either way.
    """

    shapes: tuple[tuple[int, ...], ...]
    fused: bool = False


@dataclass(frozen=True)
class Training:
    """Steps of forward, backward and AdamW, each on the examples that ``order`` names.

    ``order`` is i64 [steps, batch]; a run that reached its end starts over. ``model`` makes the
    same weights each time.
    """

    model: Callable[[], torch.nn.Module]
    loss: Loss
    data: tuple[np.ndarray, np.ndarray]
    order: np.ndarray
    rate: float = 1e-3

    @property
    def steps(self) -> int:
        """Steps until the run starts over."""
        return len(self.order)


Work = Operator | Update | Training


@dataclass(frozen=True)
class Row:
    """A line of the table; ``make(tiny)`` gives its work, small enough for a test if ``tiny``."""

    name: str
    group: str
    make: Callable[[bool], Work]
