"""The model that writes: a small Llama of characters, which stock PyTorch trains in a minute.

It is trained once and kept in the cache folder. How it came about is its owner's affair: the task
commits to the weights.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from protocol.capture.initial.weights import load_weights
from protocol.capture.schedules import warmup_cosine

sys.path.append(str(Path(__file__).parents[1] / "chargpt"))  # the novel is that example's
from chargpt_data import Text, load_text

__all__ = ["Text", "load_text", "make_model", "train", "trained_model"]

BLOCK = 128
WIDTH, LAYERS, HEADS, GROUPS = 128, 4, 4, 2
STEPS, BATCH, RATE = 1_600, 6, 3e-3
CACHE = Path(__file__).resolve().parents[2] / ".cache" / "generate"


def make_model(words: int) -> nn.Module:
    """A Llama of 0.7 M parameters: rotary positions, two heads of keys for four of queries."""
    from transformers import LlamaConfig, LlamaForCausalLM

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model: nn.Module = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=words,
                hidden_size=WIDTH,
                intermediate_size=3 * WIDTH,
                num_hidden_layers=LAYERS,
                num_attention_heads=HEADS,
                num_key_value_heads=GROUPS,
                max_position_embeddings=BLOCK,
                bos_token_id=None,
                eos_token_id=None,
            )
        )
    return model


def trained_model(text: Text, cache: Path = CACHE) -> nn.Module:
    """The model in eval mode, with the weights of the cache folder, or trained now."""
    model = make_model(len(text.vocabulary))
    path = cache / f"llama-{WIDTH}-{LAYERS}-{STEPS}.safetensors"
    if path.is_file():
        load_weights(model, path)
    else:
        train(model, text.train, STEPS)
        cache.mkdir(parents=True, exist_ok=True)
        save_file({n: p.detach().clone() for n, p in model.state_dict().items()}, path)
    return model.eval()


def train(model: nn.Module, tokens: np.ndarray, steps: int) -> None:
    """Teach the model to predict the next character, by ordinary PyTorch."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.99))
    schedule = warmup_cosine(steps, max(1, steps // 20), floor=0.1)
    rates = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule)
    starts = np.random.default_rng(0).integers(0, len(tokens) - BLOCK, (steps, BATCH))
    model.train()
    for row in starts:
        ids = torch.from_numpy(np.stack([tokens[at : at + BLOCK] for at in row]).astype(np.int64))
        loss = model(input_ids=ids, labels=ids, use_cache=False).loss
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        rates.step()
