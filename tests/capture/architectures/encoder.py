"""PyTorch's own Transformer encoder with padded sequences."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from tests.capture.architectures.base import (
    CLASSES,
    LENGTH,
    WORDS,
    Architecture,
    labels,
    padding,
    tokens,
)


class Encoder(nn.Module):
    """Mean of the real tokens' outputs, classified."""

    def __init__(self, width: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.word = nn.Embedding(WORDS, width, padding_idx=0)
        self.place = nn.Parameter(torch.zeros(LENGTH, width))
        layer = nn.TransformerEncoderLayer(
            width, 4, 2 * width, dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, layers, nn.LayerNorm(width), False)
        self.head = nn.Linear(width, CLASSES)

    def forward(self, ids: torch.Tensor, padded: torch.Tensor) -> torch.Tensor:
        x = self.layers(self.word(ids) + self.place, src_key_padding_mask=padded)
        x = x.masked_fill(padded[..., None], 0.0)
        return self.head(x.sum(1) / (~padded).sum(1, keepdim=True))


def architecture(scale: int = 1, dropout: float = 0.0) -> Architecture:
    return Architecture(
        lambda: Encoder(32 * scale, 2 * scale, dropout),
        F.cross_entropy,
        ({"ids": tokens(), "padded": padding() == 0}, labels()),
        "nn.TransformerEncoder, mask of bools",
    )
