"""What the requester of this task wrote: an ordinary model, its data, and how to train it.

    pinpoint task build --entry examples/digits/make_task.py:make_task --out my-task

runs it, on the requester's machine only, and writes the files that stand beside it here. A small
classifier of scikit-learn's 8x8 handwritten digits; the last fifth of a seeded shuffle is held out.
"""

from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

from protocol.capture import Captured, task_from
from protocol.capture.schedules import warmup_cosine

STEPS = 48
HELD_OUT = 360  # of 1,797 examples


def make_task() -> Captured:
    """What to train, from which weights, on which data, and for how long."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 32), nn.LayerNorm(32), nn.GELU(), nn.Linear(32, 10))
    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))[:-HELD_OUT]
    inputs = np.rint(pixels[order] * (255 / 16)).astype(np.uint8)  # the model sees value / 255
    return task_from(
        model,
        nn.CrossEntropyLoss(),
        torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.01),
        (inputs, labels[order]),
        steps=STEPS,
        interval=8,  # steps from one checkpoint to the next
        batch_size=32,
        schedule=warmup_cosine(STEPS, STEPS // 10),
        name="digits",
    )
