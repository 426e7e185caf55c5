"""Runs captured tasks and stock PyTorch side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from protocol.capture.captured import Captured
from protocol.capture.task import task_from
from protocol.kernels.executor import Executor
from protocol.training.step import StepRunner


def states(captured: Captured) -> Iterator[dict[str, np.ndarray]]:
    """The named state after each step."""
    names = [name for name, _ in captured.state]
    state: Sequence[np.ndarray] = [array for _, array in captured.state]
    data = [array for _, array in captured.data]
    runner = StepRunner(captured.program, Executor(threads=1))
    for step in range(captured.steps):
        state = runner.run(step, state, data)
        yield dict(zip(names, state, strict=True))


def batches(captured: Captured) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The same batches for PyTorch, u8 inputs scaled as the program scales them."""
    data = dict(captured.data)
    inputs, targets = torch.from_numpy(data["inputs"]), torch.from_numpy(data["targets"])
    for row in torch.from_numpy(data["order"]).long():
        x, y = inputs[row], targets[row]
        x = x.float() * (1.0 / 255.0) if x.dtype is torch.uint8 else x
        yield x, y.long() if y.dtype is torch.int32 else y


def stock_losses(
    captured: Captured,
    model: nn.Module,
    loss: Callable[..., torch.Tensor],
    optimizer: torch.optim.Optimizer,
    schedule: Callable[[int], float] | None = None,
) -> list[float]:
    """Losses of ordinary training with the captured batches."""
    rates = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule) if schedule else None
    losses = []
    for x, y in batches(captured):
        value = loss(model(x), y)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        if rates is not None:
            rates.step()
        losses.append(value.item())
    return losses


class Probe(nn.Module):
    """An operator between a shift of zeros (for its gradient) and a buffer that sees its output."""

    def __init__(self, operator: Callable[..., torch.Tensor], x: torch.Tensor) -> None:
        super().__init__()
        self.operator = operator
        self.shift = nn.Parameter(torch.zeros_like(x)) if x.is_floating_point() else None
        with torch.no_grad():
            self.register_buffer("seen", torch.zeros_like(operator(x)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.operator(x if self.shift is None else x + self.shift)
        self.seen.copy_(out.detach())
        return out


@dataclass(frozen=True)
class Outcome:
    """Output and gradients of an operator, by Pinpoint and by PyTorch."""

    output: tuple[np.ndarray, np.ndarray]
    gradients: dict[str, tuple[np.ndarray, np.ndarray]]
    captured: Captured

    def worst(self) -> float:
        """Largest difference relative to the largest magnitude of its tensor."""
        return max(_relative(*pair) for pair in [self.output, *self.gradients.values()])


def run_operator(
    operator: Callable[..., torch.Tensor], x: np.ndarray, cotangent: np.ndarray | None = None
) -> Outcome:
    """One step of ``sum(operator(x) * cotangent)``; momentum buffers then hold the gradients."""
    inputs = torch.from_numpy(x)
    inputs = inputs.long() if inputs.dtype is torch.int32 else inputs
    model = Probe(operator, inputs)
    shape = tuple(model.seen.shape)
    rng = np.random.default_rng(5)
    if cotangent is None:
        cotangent = rng.normal(size=shape).astype(np.float32)
    targets = cotangent if shape and shape[0] == len(x) else np.repeat(cotangent[None], len(x), 0)
    keeps_batch = bool(shape) and shape[0] == len(x)

    def loss(out: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return (out * (target if keeps_batch else target[0])).sum()

    captured = task_from(
        model,
        loss,
        torch.optim.SGD(model.parameters(), lr=1.0, momentum=0.9),
        (x, targets),
        steps=1,
        interval=1,
        batch_size=len(x),
        order=np.arange(len(x))[None],
    )
    (after,) = states(captured)
    loss(model(inputs), torch.from_numpy(targets)).backward()
    gradients = {}
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            own = after[f"optimizer.momentum_buffer.{name}"]
            gradients[name] = (own, parameter.grad.numpy())
    return Outcome((after["model.seen"], model.seen.numpy()), gradients, captured)


def _relative(own: np.ndarray, stock: np.ndarray) -> float:
    assert own.shape == stock.shape
    both = np.isfinite(own) & np.isfinite(stock)
    np.testing.assert_array_equal(np.where(both, 0, own), np.where(both, 0, stock))
    if not both.any():
        return 0.0
    scale = max(float(np.abs(stock[both]).max()), 1e-30)
    return float(np.abs(own.astype(np.float64) - stock)[both].max()) / scale
