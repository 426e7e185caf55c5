"""Hundreds of captured steps against stock PyTorch: same weights, same batches, same losses."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from protocol.capture.captured import load_into
from protocol.capture.schedules import warmup_cosine
from protocol.capture.task import task_from
from tests.capture.running import states, stock_losses

STEPS = 200
TOLERANCE = 1e-4

MakeOptimizer = Callable[[nn.Module], torch.optim.Optimizer]


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)


def nesterov(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True)


def plain_sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=1e-3)


def dampened(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.8, dampening=0.4)


def adam(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(model.parameters(), lr=0.002, weight_decay=0.01)


def adamw(model: nn.Module) -> torch.optim.Optimizer:
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": 0.05}, {"params": others, "lr": 0.006}]
    return torch.optim.AdamW(groups, lr=0.003, weight_decay=0.0)


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def normed_mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 32), nn.LayerNorm(32), nn.GELU(), nn.Linear(32, 10))


def max_pool_cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 8, 3, stride=2, padding=1),
        nn.GELU(approximate="tanh"),
        nn.Flatten(),
        nn.Linear(32, 10),
    )


def average_pool_cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, bias=False),
        nn.BatchNorm2d(4),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Conv2d(4, 8, 2),
        nn.SiLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 10),
    )


def digits(image: bool) -> tuple[np.ndarray, np.ndarray]:
    data, labels = load_digits(return_X_y=True)
    if image:
        return (data * 15.9).astype(np.uint8).reshape(-1, 1, 8, 8), labels
    return (data / 16).astype(np.float32), labels


CASES = {
    "mlp, momentum": (mlp, sgd, None),
    "mlp, plain, warm-up and cosine": (mlp, plain_sgd, warmup_cosine(STEPS, 20)),
    "mlp, dampened": (mlp, dampened, None),
    "mlp, adam": (mlp, adam, None),
    "layer norm and gelu, adamw, warm-up and cosine": (
        normed_mlp,
        adamw,
        warmup_cosine(STEPS, 20, floor=0.1),
    ),
    "max pool, nesterov": (max_pool_cnn, nesterov, None),
    "average pool and batch norm, adamw": (average_pool_cnn, adamw, warmup_cosine(STEPS, 10)),
}


@pytest.mark.parametrize("case", CASES)
def test_losses_of_200_steps_agree_with_stock_pytorch(case: str) -> None:
    make_model, make_optimizer, schedule = CASES[case]
    torch.manual_seed(3)
    model = make_model()
    stock = copy.deepcopy(model)
    loss = nn.CrossEntropyLoss()
    captured = task_from(
        model,
        loss,
        make_optimizer(model),
        digits(image="pool" in case),
        steps=STEPS,
        interval=50,
        batch_size=32,
        schedule=schedule,
        seed=9,
    )
    after = list(states(captured))
    own = np.array([state["loss"].item() for state in after])
    expected = np.array(stock_losses(captured, stock, loss, make_optimizer(stock), schedule))
    worst = np.abs(own / expected - 1).max()
    assert worst < TOLERANCE
    assert expected[-20:].mean() < 0.9 * expected[:5].mean()  # it really learned

    load_into(model, after[-1].items())
    assert after[-1]["step"] == STEPS
    for (name, tensor), other in zip(
        model.state_dict().items(), stock.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(tensor, other, rtol=1e-3, atol=1e-4, msg=name)
