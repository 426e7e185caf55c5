"""Classifiers of sequences by recurrent layers, unrolled over the length of a batch."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from tests.capture.architectures.base import CLASSES, Architecture, labels, series

WIDTH = 16


class Recurrent(nn.Module):
    """Two layers, and a linear one on the last step's output."""

    def __init__(self, cell: type[nn.RNNBase], hidden: int, dropout: float, both: bool) -> None:
        super().__init__()
        self.cell = cell(WIDTH, hidden, 2, batch_first=True, dropout=dropout, bidirectional=both)
        self.head = nn.Linear(hidden * (1 + both), CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.cell(x)[0][:, -1])


def lstm(scale: int = 1, dropout: float = 0.0) -> Architecture:
    return Architecture(
        lambda: Recurrent(nn.LSTM, 16 * scale, dropout, both=False),
        F.cross_entropy,
        (series(6, WIDTH), labels()),
        "LSTM classifier, two layers",
    )


def gru(scale: int = 1, dropout: float = 0.0) -> Architecture:
    return Architecture(
        lambda: Recurrent(nn.GRU, 16 * scale, dropout, both=True),
        nn.CrossEntropyLoss(),
        (series(6, WIDTH), labels()),
        "GRU classifier, two layers, both directions",
    )
