"""An architecture trained by its captured program and by stock PyTorch, side by side."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from protocol.capture.captured import Captured
from protocol.capture.data.feeds import by_name, like, loss_of, split_data
from protocol.capture.task import task_from
from tests.capture.architectures.base import Architecture
from tests.capture.running import states

BATCH = 8


@dataclass(frozen=True)
class Pair:
    """The losses of the same training, by the program and by PyTorch."""

    captured: Captured
    own: np.ndarray
    stock: np.ndarray

    def worst(self, first: int | None = None) -> float:
        """Largest relative difference in the ``first`` steps (default: all)."""
        return relative_difference(self.own[:first], self.stock[:first])


def relative_difference(losses: np.ndarray, others: np.ndarray) -> float:
    """The largest of any step."""
    return float(np.abs(losses / others - 1).max())


def optimizer_of(model: nn.Module, rate: float) -> torch.optim.Optimizer:
    """AdamW on what is trainable."""
    return torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=rate)


def make_model(architecture: Architecture) -> nn.Module:
    """In training mode, with the same weights every time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return architecture.model().train()


def capture(architecture: Architecture, steps: int, model: nn.Module | None = None) -> Captured:
    """The task of some steps of AdamW."""
    model = make_model(architecture) if model is None else model
    return task_from(
        model,
        architecture.loss,
        optimizer_of(model, architecture.learning_rate),
        architecture.data,
        steps=steps,
        interval=min(steps, 5),
        batch_size=BATCH,
    )


def train_both(architecture: Architecture, steps: int) -> Pair:
    """Both from the same weights and on the same batches."""
    model = make_model(architecture)
    stock = copy.deepcopy(model)
    captured = capture(architecture, steps, model)
    own = np.array([state["loss"].item() for state in states(captured)])
    return Pair(captured, own, stock_losses(architecture, stock, captured))


def stock_losses(
    architecture: Architecture,
    model: nn.Module,
    captured: Captured,
    dtype: torch.dtype = torch.float32,
) -> np.ndarray:
    """Ordinary training of ``model`` in the captured order; float64 shows what rounding does."""
    model = model.to(dtype)
    optimizer = optimizer_of(model, architecture.learning_rate)
    losses = []
    for row in torch.from_numpy(dict(captured.data)["order"]).long():
        value = loss_of(model, architecture.loss, *batch_of(architecture.data, row, dtype))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        losses.append(value.item())
    return np.array(losses)


def batch_of(data: Any, rows: torch.Tensor, dtype: torch.dtype = torch.float32) -> tuple[Any, Any]:
    """(inputs, targets) of some examples as tensors, the floating ones of ``dtype``."""
    sides = split_data(data)
    given: Mapping[str, np.ndarray] = by_name(*sides)
    batch = {name: torch.from_numpy(array)[rows] for name, array in given.items()}
    floating = {name for name, tensor in batch.items() if tensor.is_floating_point()}
    return like(*sides, {n: t.to(dtype) if n in floating else t for n, t in batch.items()})
