"""GPT-2: learned positions, tied embeddings, Conv1D layers, tanh GELU."""

from __future__ import annotations

from torch import nn

from tests.capture.architectures.base import LENGTH, WORDS, Architecture, tokens


def architecture(scale: int = 1, dropout: float = 0.0) -> Architecture:
    def model() -> nn.Module:
        from transformers import GPT2Config, GPT2LMHeadModel

        return GPT2LMHeadModel(
            GPT2Config(
                vocab_size=WORDS,
                n_positions=LENGTH,
                n_embd=32 * scale,
                n_layer=2 * scale,
                n_head=4,
                resid_pdrop=dropout,
                embd_pdrop=dropout,
                attn_pdrop=dropout,
                bos_token_id=0,
                eos_token_id=0,
            )
        )

    ids = tokens()
    return Architecture(
        model, None, {"input_ids": ids, "labels": ids}, "GPT-2, tied embeddings; its own loss"
    )
