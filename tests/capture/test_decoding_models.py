"""The causal language models of transformers that docs/CAPTURE.md names are decoded as they are."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from protocol.capture.inference.decoding import decode_from, sequences_of
from tests.capture.decoded import NEW_TOKENS, POSITIONS, PROMPTS, WORDS, last

_ENDLESS: dict[str, Any] = {"bos_token_id": 0, "eos_token_id": None, "initializer_range": 0.2}
_LATE = _ENDLESS | {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": POSITIONS,
    "pad_token_id": 0,
}
_GROUPED = _LATE | {"num_key_value_heads": 2}
_SHORT = _ENDLESS | {"n_positions": POSITIONS, "n_embd": 32, "n_layer": 2, "n_head": 4}
_WINDOW = {"sliding_window": 4, "head_dim": 8, "query_pre_attn_scalar": 8}
_SCALED = {
    "rope_type": "llama3",
    "factor": 8.0,
    "rope_theta": 10000.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}

MODELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "GPT-J": ("GPTJConfig", "GPTJForCausalLM", _SHORT | {"rotary_dim": 4}),
    "GPT-NeoX": ("GPTNeoXConfig", "GPTNeoXForCausalLM", _LATE),
    "GPTBigCode": ("GPTBigCodeConfig", "GPTBigCodeForCausalLM", _SHORT),
    "Llama, scaled": (
        "LlamaConfig",
        "LlamaForCausalLM",
        _GROUPED | {"rope_parameters": _SCALED},
    ),
    "Llama, eager": (
        "LlamaConfig",
        "LlamaForCausalLM",
        _GROUPED | {"attn_implementation": "eager"},
    ),
    "Gemma 2": ("Gemma2Config", "Gemma2ForCausalLM", _GROUPED | _WINDOW),
    "Gemma 3": (
        "Gemma3TextConfig",
        "Gemma3ForCausalLM",
        _GROUPED | _WINDOW | {"layer_types": ["sliding_attention", "full_attention"]},
    ),
    "Qwen 2": ("Qwen2Config", "Qwen2ForCausalLM", _GROUPED),
    "Qwen 3": ("Qwen3Config", "Qwen3ForCausalLM", _GROUPED | {"head_dim": 8}),
    "Phi": ("PhiConfig", "PhiForCausalLM", _GROUPED),
    "Phi 3": ("Phi3Config", "Phi3ForCausalLM", _GROUPED),
    "OLMo 2": ("Olmo2Config", "Olmo2ForCausalLM", _GROUPED),
    "SmolLM 3": ("SmolLM3Config", "SmolLM3ForCausalLM", _GROUPED),
    "OPT": (
        "OPTConfig",
        "OPTForCausalLM",
        _LATE | {"ffn_dim": 48, "word_embed_proj_dim": 32, "init_std": 0.2, "pad_token_id": 1},
    ),
    "Bloom": ("BloomConfig", "BloomForCausalLM", _ENDLESS | {"hidden_size": 32, "n_head": 4}),
    "Falcon": ("FalconConfig", "FalconForCausalLM", _LATE),
    "CTRL": ("CTRLConfig", "CTRLLMHeadModel", _SHORT | {"dff": 48}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_words_of_a_model_of_transformers_are_those_of_generate(name: str) -> None:
    import transformers

    config, model, options = MODELS[name]
    torch.manual_seed(0)
    made = getattr(transformers, model)(
        getattr(transformers, config)(vocab_size=WORDS, **options)
    ).eval()
    captured = decode_from(made, PROMPTS, new_tokens=NEW_TOKENS, batch_size=2, end_token=())
    expected = []
    for prompt in PROMPTS:
        ids = torch.tensor([prompt])
        mask = torch.ones_like(ids)
        said = made.generate(
            ids,
            attention_mask=mask,
            do_sample=False,
            max_new_tokens=NEW_TOKENS,
            min_new_tokens=NEW_TOKENS,
            pad_token_id=0,
        )
        expected.append(said[0].tolist())
    assert [row.tolist() for row in sequences_of(last(captured))] == expected
