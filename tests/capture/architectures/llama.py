"""Llama: grouped heads, rotary positions, RMS norm, SwiGLU."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from tests.capture.architectures.base import LENGTH, WORDS, Architecture, padding, tokens


def masked(output: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Mean cross entropy of the next tokens that count."""
    scores, wanted, counts = output.logits, batch["next"], batch["counts"].float()
    each = F.cross_entropy(scores.flatten(0, 1), wanted.flatten(), reduction="none")
    return (each * counts.flatten()).sum() / counts.sum()


def architecture(scale: int = 1, dropout: float = 0.0) -> Architecture:
    def model() -> nn.Module:
        from transformers import LlamaConfig, LlamaForCausalLM

        return LlamaForCausalLM(
            LlamaConfig(
                vocab_size=WORDS,
                hidden_size=32 * scale,
                num_hidden_layers=2 * scale,
                num_attention_heads=4,
                num_key_value_heads=2,
                intermediate_size=64 * scale,
                max_position_embeddings=LENGTH,
                attention_dropout=dropout,
            )
        )

    ids = tokens(length=LENGTH + 1)
    wanted = {"next": np.ascontiguousarray(ids[:, 1:]), "counts": padding().astype(bool)}
    return Architecture(
        model,
        masked,
        ({"input_ids": np.ascontiguousarray(ids[:, :-1])}, wanted),
        "Llama, grouped heads, rotary, RMS norm, SwiGLU; masked loss",
    )
