"""A model whose gradients are the inputs: optimisers are then compared on the same gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from protocol.capture.captured import Captured
from protocol.capture.task import task_from
from tests.capture.running import states

SHAPES: dict[str, tuple[int, ...]] = {
    "matrix": (5, 7),
    "bias": (11,),
    "scale": (),
    "kernel": (2, 3, 4),
}
Maker = Callable[[list[dict[str, Any]]], torch.optim.Optimizer]


class Fed(nn.Module):
    """``sum(parameters * inputs)``."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        for name, shape in SHAPES.items():
            self.register_parameter(name, nn.Parameter(torch.randn(shape, generator=generator)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        total, first = x[0, 0] * 0.0, 0
        for parameter in self.parameters():
            part = x[0, first : first + parameter.numel()]
            total = total + (parameter * part.reshape(parameter.shape)).sum()
            first += parameter.numel()
        return total

    def two_groups(self) -> list[dict[str, Any]]:
        """Matrices in a group of their own, with decay and the double rate."""
        matrices = [p for p in self.parameters() if p.ndim > 1]
        others = [p for p in self.parameters() if p.ndim <= 1]
        return [{"params": others}, {"params": matrices}]


def gradients(steps: int) -> np.ndarray:
    """f32 [steps, numbers]: normal, of very different sizes."""
    rng = np.random.default_rng(7)
    count = sum(int(np.prod(shape)) for shape in SHAPES.values())
    sizes = np.exp(rng.normal(size=(1, count)))
    return (rng.normal(size=(steps, count)) * sizes).astype(np.float32)


def capture(make: Maker, steps: int, **options: Any) -> Captured:
    """The run over all gradients, one after the other."""
    model = Fed()
    optimizer = make(model.two_groups())
    schedule = options.pop("schedule", None)
    return task_from(
        model,
        lambda out, _: out,
        optimizer,
        (gradients(steps), np.zeros(steps, np.int32)),
        steps=steps,
        interval=1,
        batch_size=1,
        order=np.arange(steps)[:, None],
        schedule=schedule(optimizer) if schedule else None,
        **options,
    )


def stock(
    make: Maker,
    steps: int,
    schedule: Callable[[torch.optim.Optimizer], Any] | None = None,
    accumulate: int = 1,
    clip: Callable[[list[nn.Parameter]], Any] | None = None,
) -> list[dict[str, np.ndarray]]:
    """The named state after each step by PyTorch."""
    model = Fed()
    optimizer = make(model.two_groups())
    rates = schedule(optimizer) if schedule else None
    names = {p: name for name, p in model.named_parameters()}
    after = []
    for step, row in enumerate(torch.from_numpy(gradients(steps))):
        (model(row[None]) / accumulate).backward()
        if (step + 1) % accumulate == 0:
            if clip is not None:
                clip(list(model.parameters()))
            optimizer.step()
            optimizer.zero_grad()
            if rates is not None:
                rates.step()
        state = {f"model.{name}": p.detach().numpy().copy() for p, name in names.items()}
        for parameter, slots in optimizer.state.items():
            for role, tensor in slots.items():
                if role != "step" and tensor is not None:
                    state[f"optimizer.{role}.{names[parameter]}"] = tensor.numpy().copy()
        after.append(state)
    return after


def worst_difference(
    captured: Captured, expected: list[dict[str, np.ndarray]], every: int = 1
) -> float:
    """Over all steps and tensors: the largest difference relative to the largest element."""
    worst = 0.0
    for number, (own, other) in enumerate(zip(states(captured), expected, strict=True)):
        if (number + 1) % every:
            continue
        slots = {n for n in own if n.startswith(("model.", "optimizer."))}
        assert slots == other.keys()
        for name in slots:
            assert own[name].shape == other[name].shape
            assert np.isfinite(own[name]).all()
            scale = max(float(np.abs(other[name]).max()), 1e-30)
            worst = max(worst, float(np.abs(own[name] - other[name]).max()) / scale)
    return worst
