"""Small training runs that together have every kind of kernel, captured from PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from torch import nn

from protocol.capture.task import task_from
from protocol.training.task import Task

BATCH, LENGTH, WIDTH, HEADS, WORDS = 3, 7, 8, 2, 11
STEPS, INTERVAL = 4, 2


class Transformer(nn.Module):
    """A causal transformer of one block over an embedding; logits of (batch * length, words)."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(WORDS, WIDTH)
        self.norm = nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)
        self.head = nn.Linear(WIDTH, WORDS, bias=False)

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        """(batch, length) integers to logits."""
        x = self.tokens(words)
        parts = self.qkv(self.norm(x)).split(WIDTH, 2)
        q, k, v = (p.view(BATCH, LENGTH, HEADS, -1).transpose(1, 2) for p in parts)
        scores = q @ k.transpose(-1, -2) / (WIDTH // HEADS) ** 0.5
        causal = torch.ones(LENGTH, LENGTH, dtype=torch.bool).tril()
        weights = scores.masked_fill(~causal, float("-inf")).softmax(-1)
        x = x + self.out((weights @ v).transpose(1, 2).reshape(BATCH, LENGTH, WIDTH))
        x = x + self.down(nn.functional.gelu(self.up(x)))
        return self.head(x).flatten(0, 1)


def _flat_cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return nn.functional.cross_entropy(logits, targets.flatten())


@cache
def mlp() -> Task:
    """Two linear layers with dropout and tanh between them, by AdamW."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = nn.Sequential(nn.Linear(13, 17), nn.Tanh(), nn.Dropout(0.25), nn.Linear(17, 5))
    random = np.random.default_rng(1)
    inputs = random.standard_normal((20, 13)).astype(np.float32)
    labels = random.integers(0, 5, 20).astype(np.int32)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    return _task("mlp", model, nn.functional.cross_entropy, optimizer, (inputs, labels), 5)


@cache
def transformer() -> Task:
    """Embedding, layer norm, attention, GELU, by Adam."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        model = Transformer()
    words = np.random.default_rng(2).integers(0, WORDS, (2, 12, LENGTH)).astype(np.int32)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    return _task("transformer", model, _flat_cross_entropy, optimizer, (words[0], words[1]), BATCH)


@cache
def convnet() -> Task:
    """Two convolutions with batch norm and pooling, by SGD with momentum."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = nn.Sequential(
            *(nn.Conv2d(2, 5, 3, padding=1), nn.BatchNorm2d(5), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(5, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()),
            *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)),
        )
    random = np.random.default_rng(3)
    images = random.standard_normal((8, 2, 6, 6)).astype(np.float32)
    labels = random.integers(0, 3, 8).astype(np.int32)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    return _task("convnet", model, nn.functional.cross_entropy, optimizer, (images, labels), 4)


TASKS: dict[str, Callable[[], Task]] = {"mlp": mlp, "transformer": transformer, "convnet": convnet}


def _task(
    name: str,
    model: nn.Module,
    loss: Callable[..., torch.Tensor],
    optimizer: torch.optim.Optimizer,
    examples: tuple[np.ndarray, np.ndarray],
    batch_size: int,
) -> Task:
    captured = task_from(
        model,
        loss,
        optimizer,
        examples,
        steps=STEPS,
        interval=INTERVAL,
        batch_size=batch_size,
        seed=1,
        name=name,
    )
    return Task.create(**captured.parts())
