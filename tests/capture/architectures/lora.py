"""Adapters of low rank on the attention of a frozen DistilBERT."""

from __future__ import annotations

import torch
from torch import nn

from tests.capture.architectures.base import Architecture
from tests.capture.architectures.distilbert import architecture as distilbert
from tests.capture.architectures.distilbert import make_model

RANK = 4


class Adapted(nn.Module):
    """A frozen linear layer plus a trainable product of two small matrices."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base = base
        self.down = nn.Parameter(torch.randn(RANK, base.in_features) * 0.1)
        self.up = nn.Parameter(torch.zeros(base.out_features, RANK))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.base(x) + 2.0 * ((x @ self.down.T) @ self.up.T)


def adapted(scale: int, dropout: float) -> nn.Module:
    """The model with adapters; they and the classifier on top are all that is trained."""
    model = make_model(scale, dropout)
    for parameter in model.distilbert.parameters():
        parameter.requires_grad_(False)
    for layer in model.distilbert.transformer.layer:
        layer.attention.q_lin = Adapted(layer.attention.q_lin)
        layer.attention.v_lin = Adapted(layer.attention.v_lin)
    return model


def architecture(scale: int = 1, dropout: float = 0.0) -> Architecture:
    whole = distilbert(scale, dropout)
    says = "LoRA of rank 4 on a frozen DistilBERT"
    return Architecture(lambda: adapted(scale, dropout), whole.loss, whole.data, says)
