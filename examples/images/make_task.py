"""What the requester of this task wrote: a small residual network for real images.

    pinpoint task build --entry examples/images/make_task.py --out my-task

It learns MNIST's handwritten digits, and is graded on 2,000 that it has not seen. Batch norm keeps
running statistics: they are state of the task, as weights are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from images_data import Digits, load_digits
from torch import nn

from protocol.capture import Captured, load_into, task_from
from protocol.capture.data.columns import Images
from protocol.capture.schedules import warmup_cosine

STEPS = 480
BATCH = 64
MEAN, STD = 0.1307, 0.3081  # of MNIST's pixels / 255


class Block(nn.Module):
    """Two convolutions with batch norm around a shortcut."""

    def __init__(self, width: int, out: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, out, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(out)
        self.second = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(out)
        self.shortcut = (
            nn.Identity()
            if (width, stride) == (out, 1)
            else nn.Sequential(nn.Conv2d(width, out, 1, stride, bias=False), nn.BatchNorm2d(out))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[n, width, h, w] to [n, out, h / stride, w / stride]."""
        y = torch.relu(self.norm1(self.first(x)))
        return torch.relu(self.norm2(self.second(y)) + self.shortcut(x))


def make_model() -> nn.Module:
    """A residual network of three blocks, 77 thousand parameters; always the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 16, 3, 1, 1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.MaxPool2d(2),
            Block(16, 16, 1),
            Block(16, 32, 2),
            Block(32, 64, 2),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(64, 10),
        )


def arguments(steps: int = STEPS, train: Digits | None = None) -> dict[str, Any]:
    """The arguments of ``task_from``. PackageError if the data is not to be had."""
    digits = load_digits()[0] if train is None else train
    model = make_model()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": torch.optim.SGD(
            model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4
        ),
        "data": (Images(digits.images, mean=[MEAN], std=[STD]), digits.labels),
        "steps": steps,
        "interval": max(1, steps // 8),
        "batch_size": BATCH,
        "schedule": warmup_cosine(steps, max(1, steps // 10)),
        "name": "images",
    }


def make_task(steps: int = STEPS) -> Captured:
    """What to train, from which weights, on which data, and for how long."""
    return task_from(**arguments(steps))


def evaluate(state: Mapping[str, np.ndarray], held_out: Digits | None = None) -> dict[str, str]:
    """How well a trained state does on images that it has not seen, in plain PyTorch."""
    digits = load_digits()[1] if held_out is None else held_out
    model = make_model()
    load_into(model, state.items())
    model.eval()
    with torch.no_grad():
        pixels = torch.from_numpy(digits.images).float() / 255.0
        scores = torch.cat([model((part - MEAN) / STD) for part in pixels.split(500)])
    right = (scores.argmax(1).numpy() == digits.labels).mean()
    return {"accuracy": f"{right:.2%} of {len(digits.labels):,} held-out images"}
