"""Decompositions of Pinpoint's own, forwards and backwards against PyTorch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from protocol.capture.errors import UnsupportedOperator
from protocol.capture.task import task_from
from tests.capture.running import run_operator, states, stock_losses

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 4)).astype(np.float32)
LABELS = torch.tensor([0, 3, 1, 1, 2, 0])
WEIGHT = torch.tensor([0.5, 2.0, 1.0, 0.0])
OTHERS = torch.from_numpy(RNG.normal(size=(5, 4)).astype(np.float32))
Operator = Callable[[torch.Tensor], torch.Tensor]


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_multi_margin_loss_is_stock(reduction: str, p: int, weight: torch.Tensor | None) -> None:
    def loss(x: torch.Tensor) -> torch.Tensor:
        return F.multi_margin_loss(x, LABELS, p=p, margin=0.7, weight=weight, reduction=reduction)

    assert run_operator(loss, X).worst() < 1e-5


@pytest.mark.parametrize(
    "operator",
    [
        lambda x: torch.cdist(x, OTHERS),
        lambda x: torch.cdist(x, OTHERS, p=1),
        lambda x: torch.cdist(x, x[:2] * 1.5),
        lambda x: torch.cdist(x.reshape(2, 3, 4), OTHERS.expand(2, 5, 4)),
        lambda x: torch.cdist(x, torch.from_numpy(X[:1])),  # a row at distance 0
    ],
)
def test_distances_of_rows_are_stock(operator: Operator) -> None:
    assert run_operator(operator, X).worst() < 1e-5


def test_distances_by_another_norm_are_refused() -> None:
    with pytest.raises(UnsupportedOperator, match="_cdist_forward"):
        run_operator(lambda x: torch.cdist(x, OTHERS, p=3.0), X)


@pytest.mark.parametrize("dim", [0, 1])
def test_layer_with_normed_weight_trains_as_stock(dim: int) -> None:
    def make() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(weight_norm(nn.Linear(4, 5), dim=dim), nn.Tanh(), nn.Linear(5, 4))

    model, stock = make(), make()
    captured = task_from(
        model,
        F.cross_entropy,
        torch.optim.SGD(model.parameters(), lr=0.5),
        (X, LABELS),
        steps=5,
        interval=1,
        batch_size=3,
    )
    own = [float(state["loss"]) for state in states(captured)]
    optimizer = torch.optim.SGD(stock.parameters(), lr=0.5)
    assert own == pytest.approx(stock_losses(captured, stock, F.cross_entropy, optimizer), rel=1e-5)


def test_exponential_numbers_have_their_mean_and_are_new_at_each_step() -> None:
    class Drawing(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.empty(4096).exponential_(0.5).mean() + 0 * super().forward(x).sum()

    model = Drawing(4, 1)
    captured = task_from(
        model,
        lambda output, _: output,
        torch.optim.SGD(model.parameters(), lr=0.1),
        (X, X),
        steps=2,
        interval=1,
        batch_size=2,
    )
    means = [float(state["loss"]) for state in states(captured)]
    assert means == pytest.approx([2.0, 2.0], abs=0.15)
    assert means[0] != means[1]
