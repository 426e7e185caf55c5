"""Whole architectures: 20 captured steps against stock PyTorch."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from protocol.capture.task import task_from
from tests.capture.running import states, stock_losses

RNG = np.random.default_rng(0)
TOKENS = RNG.integers(0, 50, size=(40, 17))
IMAGES = RNG.normal(size=(40, 3, 8, 8)).astype(np.float32)
SERIES = RNG.normal(size=(40, 6, 16)).astype(np.float32)
LABELS = RNG.integers(0, 4, 40)


class Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.heads = heads

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, width = x.shape
        parts = self.qkv(self.first(x)).split(width, 2)
        q, k, v = (p.view(batch, length, self.heads, -1).transpose(1, 2) for p in parts)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(batch, length, width))
        return x + self.mlp(self.second(x))


class Gpt(nn.Module):
    def __init__(self, words: int = 50, length: int = 16, width: int = 32) -> None:
        super().__init__()
        self.word, self.place = nn.Embedding(words, width), nn.Embedding(length, width)
        self.blocks = nn.Sequential(Block(width, 4), Block(width, 4))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, words, bias=False)
        self.head.weight = self.word.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.word(x) + self.place(torch.arange(x.shape[1]))
        return self.head(self.norm(self.blocks(x)))


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.long, self.long_norm = nn.Conv2d(8, 16, 3, 2, padding=1), nn.BatchNorm2d(16)
        self.short, self.head = nn.Conv2d(8, 16, 1, stride=2), nn.Linear(16, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.norm(self.stem(x)))
        x = F.relu(self.long_norm(self.long(x)) + self.short(x))
        return self.head(x.mean((2, 3)))


class Recurrent(nn.Module):
    def __init__(self, cell: type[nn.RNNBase]) -> None:
        super().__init__()
        self.cell, self.head = cell(16, 8, batch_first=True), nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.cell(x)[0][:, -1])


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.top, self.down = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 2, stride=2)
        self.up, self.norm = nn.ConvTranspose2d(8, 8, 2, stride=2), nn.GroupNorm(2, 8)
        self.out = nn.Conv2d(16, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        top = F.silu(self.top(x))
        return self.out(torch.cat([top, self.norm(self.up(F.silu(self.down(top))))], 1))


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(16, 4, 32, dropout=0.0, batch_first=True)
        self.head = nn.Linear(16, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.layer(x).mean(1))


def of_tokens(scores: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(scores.flatten(0, 1), y.flatten(), label_smoothing=0.1)


MODELS: dict[str, tuple[Callable[[], nn.Module], Callable, np.ndarray, np.ndarray]] = {
    "gpt": (Gpt, of_tokens, TOKENS[:, :-1], TOKENS[:, 1:]),
    "residual": (Residual, F.cross_entropy, IMAGES, LABELS),
    "lstm": (lambda: Recurrent(nn.LSTM), F.cross_entropy, SERIES, LABELS),
    "gru": (lambda: Recurrent(nn.GRU), F.cross_entropy, SERIES, LABELS),
    "unet": (UNet, F.mse_loss, IMAGES, RNG.normal(size=(40, 4, 8, 8)).astype(np.float32)),
    "encoder": (Encoder, F.cross_entropy, SERIES, LABELS),
    "per pixel": (UNet, F.cross_entropy, IMAGES, RNG.integers(0, 4, size=(40, 8, 8))),
}


@pytest.mark.parametrize("name", MODELS)
def test_losses_of_an_architecture_agree_with_stock_pytorch(name: str) -> None:
    make, loss, inputs, targets = MODELS[name]
    torch.manual_seed(0)
    model = make()
    stock = copy.deepcopy(model)
    captured = task_from(
        model,
        loss,
        torch.optim.AdamW(model.parameters(), lr=3e-3),
        (inputs, targets),
        steps=20,
        interval=5,
        batch_size=8,
    )
    own = np.array([state["loss"].item() for state in states(captured)])
    optimizer = torch.optim.AdamW(stock.parameters(), lr=3e-3)
    expected = np.array(stock_losses(captured, stock, loss, optimizer))
    np.testing.assert_allclose(own, expected, rtol=1e-5)
