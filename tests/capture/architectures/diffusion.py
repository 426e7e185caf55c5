"""One step of a diffusion model's training: noise of a drawn strength is added and predicted."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from tests.capture.architectures.base import EXAMPLES, Architecture, images
from tests.capture.architectures.unet import UNet

TIMES = 100


class Denoiser(nn.Module):
    """A U-Net that is told the time by sines; the schedule of strengths is a buffer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.time = nn.Sequential(
            nn.Linear(16, 2 * width), nn.SiLU(), nn.Linear(2 * width, 2 * width)
        )
        self.net = UNet(1, width, 1)
        kept = torch.cumprod(1.0 - torch.linspace(1e-4, 0.02, TIMES), 0)
        self.register_buffer("kept", kept)

    def forward(self, x: torch.Tensor, time: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        kept = self.kept[time][:, None, None, None]
        noisy = kept.sqrt() * x + (1.0 - kept).sqrt() * noise
        return F.mse_loss(self.net(noisy, self.time(embedded(time).to(x))), noise)


def embedded(time: torch.Tensor) -> torch.Tensor:
    """f32 [batch, 16] of sines and cosines of i64 [batch] times."""
    rates = torch.exp(torch.arange(8, dtype=torch.float32) * (-math.log(10_000.0) / 8))
    angles = time[:, None].float() * rates
    return torch.cat([angles.sin(), angles.cos()], 1)


def architecture(scale: int = 1, dropout: float = 0.0) -> Architecture:
    assert dropout == 0.0, "it has none"
    rng = np.random.default_rng(6)
    data = {
        "x": images(8, 1),
        "time": rng.integers(0, TIMES, EXAMPLES),
        "noise": rng.normal(size=(EXAMPLES, 1, 8, 8)).astype(np.float32),
    }
    says = "diffusion step, times by sines, noise from the data; its own loss"
    return Architecture(lambda: Denoiser(8 * scale), None, data, says)
