"""The rows of whole training steps: forward, backward and AdamW."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from scripts.bench.models import GPT, ResNet, mlp
from scripts.bench.work import Row, Training

TRAINING = "training step"


def training_rows() -> list[Row]:
    """The issue's networks, and an MLP whose products are large."""
    return [
        Row("GPT step", TRAINING, gpt),
        Row("ResNet-20 step", TRAINING, resnet),
        Row("MLP digits step", TRAINING, digits),
        Row("MLP 784-512-512-10 step", TRAINING, wide_mlp),
    ]


def gpt(tiny: bool) -> Training:
    """6 layers, width 256, 8 heads, 128 tokens, batch 16, vocabulary 1,024."""
    vocabulary, width, layers, heads, length, batch, examples, steps = (
        (50, 16, 1, 2, 8, 2, 4, 4) if tiny else (1024, 256, 6, 8, 128, 16, 128, 64)
    )
    random = np.random.default_rng(0)
    tokens, targets = random.integers(0, vocabulary, (2, examples, length)).astype(np.int32)
    return Training(
        _seeded(lambda: GPT(vocabulary, width, layers, heads, length)),
        flat_cross_entropy,
        (tokens, targets),
        _order(examples, steps, batch),
    )


def resnet(tiny: bool) -> Training:
    """ResNet-20 on 32x32 colour images, batch 64."""
    blocks, width, size, batch, examples, steps = (
        (1, 4, 8, 4, 8, 4) if tiny else (3, 16, 32, 64, 512, 64)
    )
    random = np.random.default_rng(0)
    images = random.standard_normal((examples, 3, size, size)).astype(np.float32)
    return Training(
        _seeded(lambda: ResNet(blocks, width)),
        cross_entropy,
        (images, _classes(random, examples)),
        _order(examples, steps, batch),
    )


def digits(tiny: bool) -> Training:
    """64-128-10 on scikit-learn's digits, batch 64."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    inputs, targets = (pixels / 16).astype(np.float32), labels.astype(np.int32)
    batch, steps = (8, 4) if tiny else (64, 512)
    return Training(
        _seeded(lambda: mlp(64, 128, 10)),
        cross_entropy,
        (inputs, targets),
        _order(len(inputs), steps, batch),
    )


def wide_mlp(tiny: bool) -> Training:
    """784-512-512-10, batch 128."""
    widths, batch, examples, steps = (
        ((20, 9, 9, 10), 4, 8, 4) if tiny else ((784, 512, 512, 10), 128, 4096, 256)
    )
    random = np.random.default_rng(0)
    inputs = random.standard_normal((examples, widths[0])).astype(np.float32)
    return Training(
        _seeded(lambda: mlp(*widths)),
        cross_entropy,
        (inputs, _classes(random, examples)),
        _order(examples, steps, batch),
    )


def flat_cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean over all tokens."""
    return cross_entropy(logits, targets.flatten())


def _seeded(make: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    def model() -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return make()

    return model


def _classes(random: np.random.Generator, count: int) -> np.ndarray:
    return random.integers(0, 10, count).astype(np.int32)


def _order(examples: int, steps: int, batch: int) -> np.ndarray:
    random = np.random.default_rng(1)
    return np.stack([random.permutation(examples)[:batch] for _ in range(steps)])
