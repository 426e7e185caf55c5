"""A task that scores nineteen examples by a small network, four at a step: the last has three."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from protocol.capture import inference_from
from protocol.training import Task

EXAMPLES, BATCH, STEPS = 19, 4, 5
X = np.random.default_rng(8).normal(size=(EXAMPLES, 6)).astype(np.float32)


def scorer() -> nn.Module:
    """With batch norm, in the mode of evaluation."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        hidden = (nn.Linear(6, 8), nn.BatchNorm1d(8), nn.GELU())
        return nn.Sequential(*hidden, nn.Linear(8, 3), nn.Softmax(1)).eval()


def scores_task() -> Task:
    """Five steps in three segments."""
    return Task.create(**inference_from(scorer(), X, batch_size=BATCH, interval=2).parts())


def node_of(task: Task, origin: str) -> int:
    """The last node whose origin contains a text."""
    return max(node for node, text in enumerate(task.manifest.origins) if origin in text)


def expected() -> np.ndarray:
    """What PyTorch says, f32 [EXAMPLES, 3]."""
    with torch.no_grad():
        return scorer()(torch.from_numpy(X)).numpy()
