"""What a trained model of characters can do, in plain PyTorch: held-out loss, and a sample."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

WINDOWS = 64
"""So many windows at a time are looked at."""


def held_out_loss(model: nn.Module, tokens: np.ndarray, block: int) -> float:
    """Mean loss in nats per character, over the text cut in windows of ``block``."""
    count = (len(tokens) - 1) // block
    ids = torch.from_numpy(tokens[: count * block + 1].astype(np.int64))
    inputs, targets = ids[:-1].view(count, block), ids[1:].view(count, block)
    total = 0.0
    with torch.no_grad():
        for x, y in zip(inputs.split(WINDOWS), targets.split(WINDOWS), strict=True):
            logits = model(input_ids=x, use_cache=False).logits
            total += nn.functional.cross_entropy(
                logits.flatten(0, 1), y.flatten(), reduction="sum"
            ).item()
    return total / targets.numel()


def sample(
    model: nn.Module,
    prompt: np.ndarray,
    count: int,
    block: int,
    temperature: float = 0.8,
    seed: int = 0,
) -> list[int]:
    """The tokens of the prompt and ``count`` more, each drawn as the model predicts it.

    Args:
        model: of logits for the next token.
        prompt: tokens to begin with, at least one.
        count: of tokens to draw.
        block: the model sees at most so many.
        temperature: what the logits are divided by.
        seed: of the draws.
    """
    draws = torch.Generator().manual_seed(seed)
    ids = torch.from_numpy(prompt.astype(np.int64))[None]
    with torch.no_grad(), _one_thread():
        for _ in range(count):
            logits = model(input_ids=ids[:, -block:], use_cache=False).logits[0, -1]
            odds = torch.softmax(logits / temperature, 0)
            ids = torch.cat([ids, torch.multinomial(odds, 1, generator=draws)[None]], 1)
    return ids[0].tolist()


@contextmanager
def _one_thread() -> Iterator[None]:
    """A single row of text is too little work to be shared out."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
