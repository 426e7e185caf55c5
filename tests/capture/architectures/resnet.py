"""ResNet: batch norm with running statistics, max pooling, strided convolution, shortcuts."""

from __future__ import annotations

from torch import nn

from tests.capture.architectures.base import CLASSES, Architecture, images, labels


def architecture(scale: int = 1, dropout: float = 0.0) -> Architecture:
    assert dropout == 0.0, "it has none"

    def model() -> nn.Module:
        from transformers import ResNetConfig, ResNetForImageClassification

        return ResNetForImageClassification(
            ResNetConfig(
                embedding_size=8 * scale,
                hidden_sizes=[16 * scale, 32 * scale],
                depths=[1, scale],
                layer_type="bottleneck" if scale > 1 else "basic",
                num_labels=CLASSES,
            )
        )

    data = {"pixel_values": images(16 * scale), "labels": labels()}
    says = "ResNet, batch norm with running statistics, max pooling; its own loss"
    return Architecture(model, None, data, says, learning_rate=1e-3 if scale == 1 else 3e-4)
