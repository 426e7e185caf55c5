"""DistilBERT as a classifier."""

from __future__ import annotations

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


def make_model(scale: int, dropout: float) -> nn.Module:
    from transformers import DistilBertConfig, DistilBertForSequenceClassification

    return DistilBertForSequenceClassification(
        DistilBertConfig(
            vocab_size=WORDS,
            dim=32 * scale,
            n_layers=2 * scale,
            n_heads=4,
            hidden_dim=64 * scale,
            max_position_embeddings=LENGTH,
            num_labels=CLASSES,
            dropout=dropout,
            attention_dropout=dropout,
            seq_classif_dropout=dropout,
        )
    )


def architecture(scale: int = 1, dropout: float = 0.0) -> Architecture:
    return Architecture(
        lambda: make_model(scale, dropout),
        None,
        {"input_ids": tokens(), "attention_mask": padding(), "labels": labels()},
        "DistilBERT classifier, attention mask; its own loss",
    )
