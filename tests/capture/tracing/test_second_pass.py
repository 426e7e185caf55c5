"""Tensors that nobody registered: constants of the graph, and what they cannot be."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from protocol.capture.errors import CaptureError, UnsupportedOperator
from protocol.capture.task import task_from
from tests.capture.running import run_operator, states, stock_losses

RNG = np.random.default_rng(0)
X = RNG.normal(size=(16, 4)).astype(np.float32)
Y = RNG.integers(0, 3, 16)
Forward = Callable[[nn.Linear, torch.Tensor], torch.Tensor]


class Layer(nn.Linear):
    """A layer whose forward is given."""

    def __init__(self, run: Forward) -> None:
        super().__init__(4, 3)
        self.run = run

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.run(self, x)


def capture(run: Forward, loss: Callable[..., torch.Tensor] = F.cross_entropy) -> None:
    model = Layer(run)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    task_from(model, loss, optimizer, (X, Y), steps=2, interval=1, batch_size=4)


def plain(layer: nn.Linear, x: torch.Tensor) -> torch.Tensor:
    return F.linear(x, layer.weight, layer.bias)


def test_tensor_that_is_made_of_a_constant_may_be_written() -> None:
    mask = torch.tensor([True, False, True])

    def masked(x: torch.Tensor) -> torch.Tensor:
        return x + torch.zeros_like(mask, dtype=x.dtype).masked_fill_(mask, 3.0)

    assert run_operator(masked, X[:, :3]).worst() < 1e-6


@pytest.mark.parametrize("needs_weights", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
def test_attention_with_masks_that_the_model_holds_is_stock(
    needs_weights: bool, batch_first: bool
) -> None:
    class Attending(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.attention = nn.MultiheadAttention(8, 2, batch_first=batch_first)
            self.head = nn.Linear(8, 3)
            self.padding = torch.arange(5).expand(4, 5) >= torch.tensor([[5], [3], [4], [1]])
            self.future = torch.triu(torch.ones(5, 5, dtype=torch.bool), 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = x if batch_first else x.transpose(0, 1)
            out, _ = self.attention(
                x,
                x,
                x,
                key_padding_mask=self.padding,
                attn_mask=self.future,
                need_weights=needs_weights,
            )
            return self.head(out).mean(1 if batch_first else 0)

    inputs = RNG.normal(size=(16, 5, 8)).astype(np.float32)
    model, stock = Attending(), Attending()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    captured = task_from(
        model, F.cross_entropy, optimizer, (inputs, Y), steps=3, interval=1, batch_size=4
    )
    own = [float(state["loss"]) for state in states(captured)]
    twin = torch.optim.SGD(stock.parameters(), lr=0.1)
    assert own == pytest.approx(stock_losses(captured, stock, F.cross_entropy, twin), rel=1e-5)


def test_write_to_a_tensor_that_is_no_buffer_is_refused_with_its_line() -> None:
    kept = torch.ones(3)

    def forward(layer: nn.Linear, x: torch.Tensor) -> torch.Tensor:
        kept[:2].mul_(0.5)
        return plain(layer, x) * kept

    with pytest.raises(UnsupportedOperator, match=r"register_buffer") as refused:
        capture(forward)
    assert refused.value.operator == "aten.mul_.Tensor"
    assert "kept[:2].mul_(0.5)" in refused.value.origin.source
    assert kept.tolist() == [1.0, 1.0, 1.0]


def test_loss_that_writes_a_buffer_of_its_own_is_refused() -> None:
    class Recording(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mean", torch.zeros(()))

        def forward(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            value = F.cross_entropy(output, target)
            self.mean.mul_(0.9).add_(value.detach())
            return value

    with pytest.raises(UnsupportedOperator, match="buffer of the model") as refused:
        capture(plain, Recording())
    assert refused.value.origin.module == "loss"
    assert "self.mean.mul_" in refused.value.origin.source


def test_parameter_that_was_taken_from_the_model_before_is_refused_by_name() -> None:
    model = nn.Sequential(nn.Linear(4, 3))
    weight = model[0].weight

    def loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(output, target) + weight.abs().sum()

    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(CaptureError, match=r"get_parameter\('0\.weight'\)"):
        task_from(model, loss, optimizer, (X, Y), steps=2, interval=1, batch_size=4)


def test_forward_that_changes_a_parameter_is_refused_with_its_line() -> None:
    def forward(layer: nn.Linear, x: torch.Tensor) -> torch.Tensor:
        layer.weight.data.clamp_(-0.1, 0.1)
        return plain(layer, x)

    with pytest.raises(UnsupportedOperator, match="changes the parameter weight") as refused:
        capture(forward)
    assert "clamp_(-0.1, 0.1)" in refused.value.origin.source


def test_generator_of_the_models_own_is_refused_with_its_line() -> None:
    generator = torch.Generator()

    def forward(layer: nn.Linear, x: torch.Tensor) -> torch.Tensor:
        return plain(layer, x) + torch.rand(3, generator=generator)

    with pytest.raises(UnsupportedOperator, match="the task's seed") as refused:
        capture(forward)
    assert "torch.rand(3, generator=generator)" in refused.value.origin.source


def test_branch_of_an_operator_is_refused_as_one_that_depends_on_data() -> None:
    def forward(layer: nn.Linear, x: torch.Tensor) -> torch.Tensor:
        h = plain(layer, x)
        return torch.cond(h.sum() > 0, lambda y: y * 2, lambda y: y * 3, (h,))

    with pytest.raises(UnsupportedOperator, match=r"torch\.where") as refused:
        capture(forward)
    assert "torch.cond" in refused.value.origin.source


@pytest.mark.parametrize(
    ("run", "operator"),
    [
        (lambda layer, x: plain(layer, x) * float(np.mean(x.numpy())), "Tensor.numpy"),
        (
            lambda layer, x: plain(layer, x) + torch.ones(3, device="meta"),
            "on tensors of two devices",
        ),
    ],
)
def test_what_leaves_the_trace_is_refused_with_its_line(run: Forward, operator: str) -> None:
    with pytest.raises(UnsupportedOperator) as refused:
        capture(run)
    assert operator in refused.value.operator
    assert "test_second_pass.py" in refused.value.origin.source
