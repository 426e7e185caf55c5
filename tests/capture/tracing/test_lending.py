"""What uses the model's tensors while it is traced, and how the model is left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torch.utils.checkpoint import checkpoint

from protocol.capture.captured import Captured
from protocol.capture.errors import CaptureError
from protocol.capture.inference.scoring import inference_from
from protocol.capture.task import task_from
from tests.capture.running import states, stock_losses

RNG = np.random.default_rng(0)
X = RNG.normal(size=(16, 4)).astype(np.float32)
Y = RNG.integers(0, 3, 16)
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def mlp() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))


def capture(model: nn.Module, loss: Loss = F.cross_entropy) -> Captured:
    return task_from(model, loss, sgd(model), (X, Y), steps=4, interval=1, batch_size=4)


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.5)


def agrees(make: Callable[[], nn.Module], loss_of: Callable[[nn.Module], Loss]) -> dict[str, Any]:
    """Losses and weights are those of stock training; the last state."""
    model, stock = make(), make()
    captured = capture(model, loss_of(model))
    after = list(states(captured))
    losses = stock_losses(captured, stock, loss_of(stock), sgd(stock))
    assert [float(state["loss"]) for state in after] == pytest.approx(losses, rel=1e-5)
    for name, tensor in (*stock.named_parameters(), *stock.named_buffers()):
        assert after[-1][f"model.{name}"] == pytest.approx(tensor.detach().numpy(), abs=1e-5)
    return after[-1]


def plainly(_: nn.Module) -> Loss:
    return F.cross_entropy


def test_loss_that_uses_the_models_parameters_has_their_gradients() -> None:
    def penalised(model: nn.Module) -> Loss:
        def loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            penalty = sum(p.square().sum() for p in model.parameters())
            return F.cross_entropy(output, target) + 0.05 * penalty

        return loss

    agrees(mlp, penalised)


class Checkpointed(nn.Module):
    """Runs its first layers again on the way back."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Sequential(nn.Linear(4, 6), nn.Tanh())
        self.last = nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(checkpoint(self.first, x, use_reentrant=False))


def test_layers_that_are_run_again_on_the_way_back_use_the_weights_of_the_step() -> None:
    agrees(Checkpointed, plainly)


def test_hook_of_a_parameters_gradient_works() -> None:
    def make() -> nn.Module:
        model = mlp()
        model[0].weight.register_hook(lambda gradient: gradient * 0.25)
        return model

    agrees(make, plainly)


def test_hook_after_accumulation_is_refused_with_the_parameter() -> None:
    model = mlp()
    model[2].bias.register_post_accumulate_grad_hook(lambda _: None)
    with pytest.raises(CaptureError, match=r"parameter 2\.bias .*register_hook"):
        capture(model)


class Averaging(nn.Module):
    """Assigns one buffer anew and leaves another to the loss."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(4, 3)
        self.register_buffer("mean", torch.zeros(4))
        self.register_buffer("seen", torch.zeros(()), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.mean = 0.5 * self.mean + 0.5 * x.mean(0)
        return self.linear(x - self.mean)


def test_buffers_that_are_assigned_anew_or_written_by_the_loss_are_state() -> None:
    def recording(model: nn.Module) -> Loss:
        def loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            value = F.cross_entropy(output, target)
            model.seen.add_(value.detach())
            return value

        return loss

    last = agrees(Averaging, recording)
    assert last["model.seen"] > 1.0


def test_buffer_that_takes_another_shape_is_refused_by_name() -> None:
    class Growing(Averaging):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.mean = torch.cat([self.mean, self.mean])
            return self.linear(x)

    with pytest.raises(CaptureError, match=r"buffer mean .*shape \(8,\).*shape \(4,\)"):
        capture(Growing())


class Counting(nn.Module):
    """Counts its calls in Python, up to a limit."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.calls, self.most = 0, most
        self.seen: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls = min(self.calls + 1, self.most)
        self.last = self.linear(x)
        self.seen.append(self.last)
        return self.last * self.calls


def test_model_that_counts_its_calls_is_refused_with_the_attribute() -> None:
    message = r"changes its attribute calls \(from 1 to 2\).*register_buffer\('calls'"
    with pytest.raises(CaptureError, match=message):
        capture(Counting(most=9))
    with pytest.raises(CaptureError, match=message):
        inference_from(Counting(most=9).eval(), X, batch_size=4)


def test_attribute_that_only_the_first_call_sets_has_its_later_value() -> None:
    settled = Counting(most=1)
    settled.calls = 1
    assert capture(Counting(most=1)).program == capture(settled).program


def test_module_is_left_without_anything_of_the_trace() -> None:
    model = Counting(most=1)
    before = dict(vars(model))
    capture(model)
    inference_from(model.eval(), X, batch_size=4)
    assert vars(model).keys() == before.keys()
    assert (model.calls, model.seen) == (0, [])
    assert all(type(p) is nn.Parameter for p in model.parameters())


@pytest.mark.filterwarnings("ignore:.*torch.jit")
@pytest.mark.parametrize(
    ("wrap", "message"),
    [
        (lambda model: torch.jit.script(model), "the model is a TorchScript module"),
        (lambda model: nn.Sequential(torch.jit.script(model)), "0 is a TorchScript module"),
        (nn.DataParallel, "the model is DataParallel.*pass the module inside"),
    ],
)
def test_wrapper_whose_tensors_are_its_own_is_refused(
    wrap: Callable[[nn.Module], nn.Module], message: str
) -> None:
    with pytest.raises(CaptureError, match=message):
        capture(wrap(mlp()))
