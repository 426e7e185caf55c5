"""What an architecture of the table in docs/MODELS.md consists of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from protocol.capture.data.feeds import Loss

EXAMPLES = 40
WORDS = 50
LENGTH = 12
CLASSES = 4


@dataclass(frozen=True)
class Architecture:
    """A model of one size with its loss and data; dropout is off unless it was asked for.

    Attributes:
        model: Makes it; its weights are torch's random ones.
        loss: As ``task_from`` takes it; None if the model computes its own.
        data: As ``task_from`` takes it.
        says: What stands in the table.
    """

    model: Callable[[], nn.Module]
    loss: Loss | None
    data: Any
    says: str
    learning_rate: float = 1e-3


def tokens(seed: int = 0, length: int = LENGTH) -> np.ndarray:
    """i64 [EXAMPLES, length], half of them continuing a count: a thing to learn."""
    rng = np.random.default_rng(seed)
    start = rng.integers(0, WORDS, size=(EXAMPLES, 1))
    counted = (start + np.arange(length)) % WORDS
    drawn = rng.integers(0, WORDS, size=(EXAMPLES, length))
    return np.where(rng.random((EXAMPLES, length)) < 0.5, counted, drawn)


def padding(length: int = LENGTH) -> np.ndarray:
    """i64 [EXAMPLES, length]: 1 for a token, 0 for the padding behind a sequence's end."""
    ends = np.random.default_rng(1).integers(length // 2, length + 1, size=(EXAMPLES, 1))
    return (np.arange(length) < ends).astype(np.int64)


def labels(classes: int = CLASSES) -> np.ndarray:
    """i64 [EXAMPLES]."""
    return np.random.default_rng(2).integers(0, classes, EXAMPLES)


def images(size: int, channels: int = 3) -> np.ndarray:
    """f32 [EXAMPLES, channels, size, size]."""
    return np.random.default_rng(3).normal(size=(EXAMPLES, channels, size, size)).astype(np.float32)


def series(length: int, width: int) -> np.ndarray:
    """f32 [EXAMPLES, length, width]."""
    return np.random.default_rng(4).normal(size=(EXAMPLES, length, width)).astype(np.float32)
