"""ViT: patches by a strided convolution, a class token, learned positions."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from tests.capture.architectures.base import CLASSES, Architecture, images, labels


def smoothed(output: Any, y: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(output.logits, y, label_smoothing=0.1)


def architecture(scale: int = 1, dropout: float = 0.0) -> Architecture:
    def model() -> nn.Module:
        from transformers import ViTConfig, ViTForImageClassification

        return ViTForImageClassification(
            ViTConfig(
                hidden_size=32 * scale,
                num_hidden_layers=2 * scale,
                num_attention_heads=4,
                intermediate_size=64 * scale,
                image_size=16,
                patch_size=4,
                num_labels=CLASSES,
                hidden_dropout_prob=dropout,
                attention_probs_dropout_prob=dropout,
            )
        )

    data = ({"pixel_values": images(16)}, labels())
    return Architecture(model, smoothed, data, "ViT classifier; smoothed labels")
