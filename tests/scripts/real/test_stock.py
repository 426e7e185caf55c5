"""Plain training by the harness takes the batches of the program; then the losses agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from protocol.capture.captured import load_into
from protocol.capture.data.columns import Images, next_tokens
from protocol.capture.schedules import warmup_cosine
from protocol.capture.task import task_from
from scripts.real.stock import state_of, stock_losses
from tests.capture.running import states

STEPS = 6


def text(order: Any) -> dict[str, Any]:
    torch.manual_seed(0)
    stream = np.random.default_rng(0).integers(0, 11, 90, dtype=np.uint8)
    model = nn.Sequential(nn.Embedding(11, 8), nn.Linear(8, 11))
    return {
        "model": model,
        "loss": lambda out, y: nn.functional.cross_entropy(out.flatten(0, 1), y.flatten()),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=0.05),
        "data": next_tokens(stream, 5, stride=1),
        "steps": STEPS,
        "batch_size": 4,
        "order": order,
        "seed": 3,
        "clip_norm": 0.1,
    }


def images() -> dict[str, Any]:
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (20, 2, 4, 4), dtype=np.uint8)
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 3))
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9),
        "data": (Images(pixels, mean=[0.4, 0.5], std=[0.2, 0.3]), random.integers(0, 3, 20)),
        "steps": STEPS,
        "batch_size": 5,
        "schedule": warmup_cosine(STEPS, 2),
        "clip_value": 0.5,
        "name": "images",
    }


def named() -> dict[str, Any]:
    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(3, 2), nn.Linear(1, 2)

        def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return self.first(a) + self.second(b)

    torch.manual_seed(0)
    random = np.random.default_rng(0)
    model = Sum()
    inputs = {
        "a": random.normal(size=(12, 3)).astype(np.float32),
        "b": random.integers(0, 256, (12, 1), dtype=np.uint8),
    }
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": optimizer,
        "data": (inputs, random.integers(0, 2, 12)),
        "steps": STEPS,
        "batch_size": 4,
        "schedule": torch.optim.lr_scheduler.StepLR(optimizer, 2),
    }


def test_state_of_a_stock_model_can_stand_for_a_delivered_one() -> None:
    arguments = images()
    stock_losses(arguments, STEPS)
    state, model = state_of(arguments["model"]), images()["model"]
    load_into(model, state.items())
    assert model.state_dict().keys() == {name.removeprefix("model.") for name in state}
    for name, tensor in model.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), state["model." + name])
    trained = {name for name, _ in task_from(**images()).state}
    assert state.keys() <= trained


@pytest.mark.parametrize(
    "make",
    [lambda: text(None), lambda: text("keyed"), images, named],
    ids=["drawn order", "keyed order", "images", "named"],
)
def test_stock_losses_are_those_of_the_program_but_for_rounding(make) -> None:
    own = [float(state["loss"]) for state in states(task_from(**make()))]
    stock = stock_losses(make(), STEPS)
    np.testing.assert_allclose(stock, own, rtol=1e-5)
    assert len(set(stock)) == STEPS, "each step has a batch of its own"


def test_stock_losses_of_a_prefix_are_those_of_the_whole_run() -> None:
    assert stock_losses(text(None), 2) == stock_losses(text(None), STEPS)[:2]


def test_stock_losses_of_what_is_not_known_are_refused() -> None:
    with pytest.raises(ValueError, match="plain training here knows no accumulate, ema"):
        stock_losses({**text(None), "accumulate": 2, "ema": 0.9}, STEPS)
