"""Small causal language models with random weights, and prompts for them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from protocol.capture.captured import Captured
from protocol.capture.inference.caches import KeyValueCache
from tests.capture.running import states

WORDS, WIDTH, LAYERS, HEADS, POSITIONS = 61, 32, 2, 4, 24
NEW_TOKENS = 6
PROMPTS = [
    np.random.default_rng(n).integers(2, WORDS, length).tolist()
    for n, length in enumerate((3, 1, 6, 4, 5))
]
"""Of several lengths, one more than whole batches of two."""


def gpt2(**options: Any) -> nn.Module:
    """GPT-2: learned positions, one projection for queries, keys and values, tied embeddings."""
    from transformers import GPT2Config, GPT2LMHeadModel

    given = {"n_positions": POSITIONS, "n_embd": WIDTH, "n_layer": LAYERS, "n_head": HEADS}
    return _made(GPT2LMHeadModel, GPT2Config, given | options)


def llama(**options: Any) -> nn.Module:
    """Llama: rotary positions, two heads of keys and values for four of queries."""
    from transformers import LlamaConfig, LlamaForCausalLM

    return _made(LlamaForCausalLM, LlamaConfig, _GROUPED | options)


def mistral(**options: Any) -> nn.Module:
    """As Llama, but each token sees the last four only."""
    from transformers import MistralConfig, MistralForCausalLM

    return _made(MistralForCausalLM, MistralConfig, _GROUPED | {"sliding_window": 4} | options)


_GROUPED = {
    "hidden_size": WIDTH,
    "intermediate_size": 48,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": 2,
    "max_position_embeddings": POSITIONS,
}


class Own(nn.Module):
    """A decoder of plain ``torch.nn`` that is asked for one token with a cache."""

    def __init__(self) -> None:
        super().__init__()
        self.word, self.place = nn.Embedding(WORDS, WIDTH), nn.Embedding(POSITIONS, WIDTH)
        self.first = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(LAYERS))
        self.qkv = nn.ModuleList(nn.Linear(WIDTH, 3 * WIDTH) for _ in range(LAYERS))
        self.out = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(LAYERS))
        self.head = nn.Linear(WIDTH, WORDS)

    def forward(self, tokens: torch.Tensor, cache: KeyValueCache) -> torch.Tensor:
        x = self.word(tokens) + self.place(cache.position)
        for layer in range(LAYERS):
            q, k, v = self._heads(x, layer)
            k, v = cache.update(k, v, layer)
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=cache.mask)
            x = x + self._joined(y, layer)
        return self.head(x)

    def whole(self, tokens: torch.Tensor) -> torch.Tensor:
        """The same of all positions at once, without a cache."""
        x = self.word(tokens) + self.place(torch.arange(tokens.shape[1]))
        for layer in range(LAYERS):
            q, k, v = self._heads(x, layer)
            x = x + self._joined(F.scaled_dot_product_attention(q, k, v, is_causal=True), layer)
        return self.head(x)

    def _heads(self, x: torch.Tensor, layer: int) -> list[torch.Tensor]:
        parts = self.qkv[layer](self.first[layer](x)).split(WIDTH, -1)
        return [p.unflatten(-1, (HEADS, -1)).transpose(1, 2) for p in parts]

    def _joined(self, y: torch.Tensor, layer: int) -> torch.Tensor:
        return self.out[layer](y.transpose(1, 2).flatten(2))


def own() -> nn.Module:
    """`Own` with weights as wide as those of the others."""
    torch.manual_seed(0)
    model = Own().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    return model


MODELS: dict[str, Callable[[], nn.Module]] = {
    "gpt2": gpt2,
    "gpt2, eager": lambda: gpt2(attn_implementation="eager"),
    "llama": llama,
    "mistral": mistral,
    "own": own,
}


@cache
def model_of(name: str) -> nn.Module:
    """A model by its name; nobody may change it."""
    return MODELS[name]()


def continued(
    name: str, prompt: list[int], new_tokens: int, end: int | None = None
) -> tuple[list[int], float]:
    """What PyTorch says without a program, and the least margin of a choice.

    The margin is between the two best scores, relative to the largest.
    """
    model = model_of(name)
    tokens, margin = list(prompt), float("inf")
    for _ in range(new_tokens):
        with torch.no_grad():
            given = torch.tensor([tokens])
            said = model.whole(given) if isinstance(model, Own) else model(given).logits
        best = said[0, -1].topk(2)
        margin = min(margin, float((best.values[0] - best.values[1]) / said.abs().max()))
        tokens.append(int(best.indices[0]))
        if tokens[-1] == end:
            break
    return tokens, margin


def last(captured: Captured) -> list[tuple[str, np.ndarray]]:
    """The named state after the last step."""
    *_, state = states(captured)
    return list(state.items())


def _made(model: Any, config: Any, options: dict[str, Any]) -> nn.Module:
    torch.manual_seed(0)
    plain = {
        "vocab_size": WORDS,
        "initializer_range": 0.3,
        "bos_token_id": 0,
        "eos_token_id": None,
        "pad_token_id": None,
    }
    made: nn.Module = model(config(**plain | options)).eval()
    return made
