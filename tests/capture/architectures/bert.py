"""BERT as a classifier: token types, attention mask, pooler."""

from __future__ import annotations

from typing import Any

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


def smoothed(output: Any, y: torch.Tensor) -> torch.Tensor:
    """Cross entropy with smoothed labels and a weight for each class."""
    weights = torch.tensor([1.0, 2.0, 0.5, 1.5]).to(output.logits)
    return F.cross_entropy(output.logits, y, weight=weights, label_smoothing=0.1)


def architecture(scale: int = 1, dropout: float = 0.0) -> Architecture:
    def model() -> nn.Module:
        from transformers import BertConfig, BertForSequenceClassification

        return BertForSequenceClassification(
            BertConfig(
                vocab_size=WORDS,
                hidden_size=32 * scale,
                num_hidden_layers=2 * scale,
                num_attention_heads=4,
                intermediate_size=64 * scale,
                max_position_embeddings=LENGTH,
                num_labels=CLASSES,
                hidden_dropout_prob=dropout,
                attention_probs_dropout_prob=dropout,
            )
        )

    return Architecture(
        model,
        smoothed,
        ({"input_ids": tokens(), "attention_mask": padding()}, labels()),
        "BERT classifier, attention mask; weighted classes, smoothed labels",
    )
