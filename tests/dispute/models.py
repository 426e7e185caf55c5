"""The tasks whose every kind of node is disputed: architectures, and what else capture writes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from protocol.capture.captured import Captured
from protocol.capture.data.columns import Images, next_tokens
from protocol.capture.data.feeds import split_data
from protocol.capture.inference.decoding import decode_from
from protocol.capture.inference.scoring import inference_from
from protocol.capture.initial.distributions import Normal, Padded, TruncatedNormal, Uniform
from protocol.capture.optim import Lion
from protocol.capture.task import task_from
from protocol.training import Task
from tests.capture.architectures.catalogue import ARCHITECTURES
from tests.capture.architectures.training import capture, make_model
from tests.capture.decoded import gpt2, llama
from tests.capture.drawn import Bag
from tests.capture.drawn import capture as capture_drawn
from tests.capture.fed import capture as capture_fed
from tests.capture.updates.test_optimizers import MAKERS

STEPS = 2


def _images() -> Captured:
    """Normalised bytes, batch norm, dropout; clipped, averaged, shuffled in the program."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(
            *(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Dropout(0.5), nn.Linear(16, 3)),
        )
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (12, 3, 4, 4)).astype(np.uint8)
    return task_from(
        model,
        nn.CrossEntropyLoss(label_smoothing=0.1),
        Lion(model.parameters(), lr=1e-3, weight_decay=0.1),
        (Images(pixels, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)), rng.integers(0, 3, 12)),
        steps=STEPS,
        interval=1,
        batch_size=4,
        order="keyed",
        clip_norm=0.5,
        accumulate=2,
        ema=0.9,
    )


def _stream() -> Captured:
    """Windows of a stream of tokens, noise on the weights; clipped by value."""

    class Noisy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = nn.Embedding(7, 6)
            self.out = nn.Linear(6, 7)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = self.words(x).cumsum(1)
            return self.out(h + 0.1 * torch.randn_like(h)).flatten(0, 1)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Noisy()
    stream = np.random.default_rng(0).integers(0, 7, 60)
    return task_from(
        model,
        lambda out, y: nn.functional.cross_entropy(out, y.flatten()),
        torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True),
        next_tokens(stream, 8, 1),
        steps=STEPS,
        interval=1,
        batch_size=3,
        clip_value=0.01,
    )


def _architecture(name: str) -> Captured:
    return capture(ARCHITECTURES[name](), STEPS)


def _inference(name: str) -> Captured:
    """Outputs of an architecture for all examples; the last batch is not full."""
    architecture = ARCHITECTURES[name]()
    inputs, _ = split_data(architecture.data)
    if isinstance(inputs, dict):
        inputs = {keyword: array for keyword, array in inputs.items() if keyword != "labels"}
    return inference_from(make_model(architecture).eval(), inputs, batch_size=16, interval=2)


def _decoding(make: Callable[[], nn.Module], end_token: int | None) -> Captured:
    """Of three prompts in batches of two: beside the last there is none."""
    prompts = [[3, 7, 1], [5], [2, 4]]
    return decode_from(
        make(), prompts, new_tokens=2, batch_size=2, interval=STEPS, end_token=end_token
    )


def _drawn() -> Captured:
    """The first step of weights that the program draws, of every distribution, and averages."""
    shapes = {"a": (9,), "b": (3, 4), "c": (5, 2), "d": (8,)}
    drawn = {
        "a": Uniform(-1.0, 1.0),
        "b": Normal(0.5, 0.02),
        "c": TruncatedNormal(0.0, 0.5, -1.0, 1.0),
        "d": Padded(Normal(), 2, 4),
    }
    return capture_drawn(Bag(**shapes), drawn, steps=1, interval=1, ema=0.9)


def _optimizer(name: str, **options: Any) -> Captured:
    return capture_fed(MAKERS[name], STEPS, **options)


OPTIMIZERS = ("sgd, nesterov, decay, maximize", "adam, decay, amsgrad", "rmsprop, all",
              "adagrad, all", "lion, all", "adafactor, all")  # fmt: skip
SCORED = ("llama", "resnet", "distilbert", "unet")
MODELS: dict[str, Callable[[], Captured]] = {
    **{name: partial(_architecture, name) for name in ARCHITECTURES},
    **{name: partial(_optimizer, name) for name in OPTIMIZERS},
    **{f"inference, {name}": partial(_inference, name) for name in SCORED},
    "decoding, gpt2": partial(_decoding, gpt2, None),
    "decoding, llama": partial(_decoding, llama, 11),
    "drawn weights": _drawn,
    "images": _images,
    "stream": _stream,
}


def task_of(name: str) -> Task:
    """The task of that name."""
    return Task.create(**MODELS[name]().parts())
