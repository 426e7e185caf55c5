"""What the requester of this task wrote: a GPT that learns to write, character by character.

    pinpoint task build --entry examples/chargpt/make_task.py --out my-task

The model is transformers' GPT-2 as it is, small and with fresh weights; the text is Moby-Dick. It
is stored once, and the windows of a step begin anywhere in it, shuffled in the program.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from chargpt_data import Text, load_text
from chargpt_sample import held_out_loss, sample
from torch import nn

from protocol.capture import Captured, load_into, task_from
from protocol.capture.data.columns import next_tokens
from protocol.capture.schedules import warmup_cosine

STEPS = 2_000
BATCH = 16
BLOCK = 128
WIDTH, LAYERS, HEADS = 128, 4, 4
RATE = 4e-3
PROMPT = "The whale"
SAMPLED = 500


def make_model(words: int) -> nn.Module:
    """A GPT-2 of 0.8 M parameters with a vocabulary of ``words``; always the same weights."""
    from transformers import GPT2Config, GPT2LMHeadModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return GPT2LMHeadModel(
            GPT2Config(
                vocab_size=words,
                n_positions=BLOCK,
                n_embd=WIDTH,
                n_layer=LAYERS,
                n_head=HEADS,
                resid_pdrop=0.0,
                embd_pdrop=0.0,
                attn_pdrop=0.0,
                bos_token_id=0,
                eos_token_id=0,
            )
        )


def next_token_loss(output: Any, targets: torch.Tensor) -> torch.Tensor:
    """Mean cross entropy in nats per character."""
    return nn.functional.cross_entropy(output.logits.flatten(0, 1), targets.flatten())


def arguments(steps: int = STEPS, text: Text | None = None) -> dict[str, Any]:
    """The arguments of ``task_from``. PackageError if the text is not to be had."""
    text = load_text() if text is None else text
    model = make_model(len(text.vocabulary))
    inputs, targets = next_tokens(text.train, BLOCK, stride=1)
    return {
        "model": model,
        "loss": next_token_loss,
        "optimizer": torch.optim.AdamW(
            [
                {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": 0.1},
                {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0},
            ],
            lr=RATE,
            betas=(0.9, 0.99),
        ),
        "data": ({"input_ids": inputs}, targets),
        "steps": steps,
        "interval": max(1, steps // 16),
        "batch_size": BATCH,
        "schedule": warmup_cosine(steps, max(1, steps // 20), floor=0.1),
        "order": "keyed",
        "clip_norm": 1.0,
        "name": "chargpt",
    }


def make_task(steps: int = STEPS) -> Captured:
    """What to train, from which weights, on which data, and for how long."""
    return task_from(**arguments(steps))


def evaluate(state: Mapping[str, np.ndarray], text: Text | None = None) -> dict[str, str]:
    """How well a trained state predicts the held-out text, and what it writes."""
    text = load_text() if text is None else text
    model = make_model(len(text.vocabulary)).eval()
    load_into(model, state.items())
    loss = held_out_loss(model, text.held_out, BLOCK)
    written = text.decode(sample(model, text.encode(PROMPT), SAMPLED, BLOCK))
    return {
        "loss": f"{loss:.3f} nats per character of {len(text.held_out):,} held out",
        "sample": written,
    }
