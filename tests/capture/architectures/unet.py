"""A small U-Net: strided and transposed convolutions, skips, group norm; a label per pixel."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from tests.capture.architectures.base import CLASSES, EXAMPLES, Architecture, images


class UNet(nn.Module):
    """Two resolutions; the upper one's features are joined to what comes up."""

    def __init__(self, channels: int, width: int, out: int) -> None:
        super().__init__()
        self.top = nn.Conv2d(channels, width, 3, padding=1)
        self.down = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
        self.norm = nn.GroupNorm(2, 2 * width)
        self.up = nn.ConvTranspose2d(2 * width, width, 3, stride=2, padding=1, output_padding=1)
        self.join = nn.Conv2d(2 * width, width, 3, padding=1)
        self.out = nn.Conv2d(width, out, 1)

    def forward(self, x: torch.Tensor, shift: torch.Tensor | None = None) -> torch.Tensor:
        top = F.silu(self.top(x))
        low = self.norm(self.down(top))
        low = F.silu(low if shift is None else low + shift[..., None, None])
        joined = torch.cat([top, self.up(low)], 1)
        return self.out(F.silu(self.join(joined)))


def per_pixel(scores: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Cross entropy of the pixels that have a label."""
    return F.cross_entropy(scores, y, ignore_index=-100)


def architecture(scale: int = 1, dropout: float = 0.0) -> Architecture:
    assert dropout == 0.0, "it has none"
    rng = np.random.default_rng(5)
    wanted = rng.integers(0, CLASSES, size=(EXAMPLES, 8, 8))
    wanted[rng.random(wanted.shape) < 0.2] = -100
    return Architecture(
        lambda: UNet(3, 8 * scale, CLASSES),
        per_pixel,
        (images(8), wanted),
        "U-Net, transposed convolution, skips; pixels without a label",
    )
