"""What the requester of this task wrote: let a language model continue eight beginnings.

    pinpoint task build --entry examples/generate/make_task.py --out my-task

Nothing is trained. The model is transformers' Llama as it is, with a cache of keys and values; a
step decodes one character of four texts side by side. What is delivered are the texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from generate_model import BLOCK, Text, load_text, trained_model

from protocol.capture import Captured, decode_from, sequences_of

PROMPTS = (
    "Call me Ishmael",
    "The whale",
    "I",
    "At midnight the ",
    "Captain Ahab ",
    "The sea was ",
    '"Thar she blows',
    "And the ship ",
)
BATCH = 4
LONGEST = max(map(len, PROMPTS))
BATCHES = -(-len(PROMPTS) // BATCH)
STEPS = BATCHES * (BLOCK - 1)
"""As many as the model has positions."""


def arguments(
    steps: int = STEPS, text: Text | None = None, model: torch.nn.Module | None = None
) -> dict[str, Any]:
    """The arguments of ``decode_from``. PackageError if the text is not to be had."""
    text = load_text() if text is None else text
    return {
        "model": trained_model(text) if model is None else model,
        "prompts": [text.encode(prompt).tolist() for prompt in PROMPTS],
        "new_tokens": max(1, steps // BATCHES - LONGEST + 1),
        "batch_size": BATCH,
        "interval": max(1, steps // 12),
        "name": "generate",
    }


def make_task(steps: int = STEPS) -> Captured:
    """Which model continues which beginnings."""
    return decode_from(**arguments(steps))


def evaluate(
    state: Mapping[str, np.ndarray], text: Text | None = None, model: torch.nn.Module | None = None
) -> dict[str, str]:
    """The texts, and whether transformers writes the same."""
    text = load_text() if text is None else text
    model = trained_model(text) if model is None else model
    written = [row.tolist() for row in sequences_of(state.items())]
    lengths = map(len, PROMPTS)
    same = [r == continued(model, text, r, n) for r, n in zip(written, lengths, strict=True)]
    return {
        "texts": "".join(f"\n--- {text.decode(row)}" for row in written),
        "transformers": f"generate() writes the same {sum(same)} of {len(same)} texts",
    }


def continued(model: torch.nn.Module, text: Text, row: list[int], begun: int) -> list[int]:
    """What ``generate`` of transformers makes of the first ``begun`` tokens, as long as ``row``."""
    ids = torch.tensor([row[:begun]])
    made = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=len(row) - begun,
        pad_token_id=len(text.vocabulary) - 1,
    )
    tokens: list[int] = made[0].tolist()
    return tokens
