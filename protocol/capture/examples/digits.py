"""The task of the demo: a classifier of scikit-learn's 8x8 handwritten digits.

An MLP of 64-32-10 with layer norm and GELU, AdamW with warm-up and cosine, dropout off. The last
fifth of a seeded shuffle is held out, so that a requester can grade what it bought.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import nn

from protocol.capture.captured import Captured, load_into
from protocol.capture.schedules import warmup_cosine
from protocol.capture.task import task_from

STEPS = 48
INTERVAL = 8
BATCH_SIZE = 32
HELD_OUT = 360  # of 1,797 examples


def make_model(seed: int = 0) -> nn.Module:
    """The untrained classifier; the caller's random state is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(64, 32), nn.LayerNorm(32), nn.GELU(), nn.Linear(32, 10))


def digits(seed: int = 0) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """((inputs, targets) to train on, the same held out): u8 [n, 64] grey levels and i32 [n]."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(labels))
    inputs = np.rint(pixels[order] * (255 / 16)).astype(np.uint8)
    targets = labels[order].astype(np.int32)
    return (inputs[:-HELD_OUT], targets[:-HELD_OUT]), (inputs[-HELD_OUT:], targets[-HELD_OUT:])


def make_task(
    steps: int = STEPS,
    interval: int = INTERVAL,
    batch_size: int = BATCH_SIZE,
    seed: int = 0,
    name: str = "digits",
) -> Captured:
    """Capture the training run; ``Task.create(**make_task().parts())`` is the task."""
    model = make_model(seed)
    train, _ = digits(seed)
    return task_from(
        model,
        nn.CrossEntropyLoss(),
        torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.01),
        train,
        steps=steps,
        interval=interval,
        batch_size=batch_size,
        schedule=warmup_cosine(steps, max(1, steps // 10)),
        seed=seed,
        name=name,
    )


def accuracy(state: Iterable[tuple[str, np.ndarray]], seed: int = 0) -> float:
    """Share of held-out digits that the trained state classifies rightly, in plain PyTorch."""
    model = make_model(seed)
    load_into(model, state)
    _, (inputs, targets) = digits(seed)
    with torch.no_grad():
        scores = model(torch.from_numpy(inputs).float() * (1.0 / 255.0))
    return float((scores.argmax(1).numpy() == targets).mean())
