"""Greedy decoding with a cache of keys and values, against PyTorch and transformers."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from protocol.capture.captured import Captured
from protocol.capture.errors import CaptureError
from protocol.capture.inference.caches import KeyValueCache
from protocol.capture.inference.decoding import decode_from, sequences_of
from tests.capture.agreement import assert_engines_agree
from tests.capture.decoded import (
    MODELS,
    NEW_TOKENS,
    POSITIONS,
    PROMPTS,
    WORDS,
    Own,
    continued,
    gpt2,
    last,
    llama,
    model_of,
    own,
)
from tests.capture.running import states

LONGEST = max(map(len, PROMPTS))


def decoded(name: str, prompts: Any = PROMPTS, **options: Any) -> Captured:
    options = {"new_tokens": NEW_TOKENS, "batch_size": 2} | options
    return decode_from(model_of(name), prompts, **options)


@cache
def plain(name: str) -> Captured:
    """All prompts without an end token; nobody may change it."""
    return decoded(name)


def sequences(captured: Captured) -> list[list[int]]:
    return [row.tolist() for row in sequences_of(last(captured))]


@pytest.mark.parametrize("name", MODELS)
def test_decoded_tokens_are_those_that_pytorch_chooses(name: str) -> None:
    expected = [continued(name, prompt, NEW_TOKENS) for prompt in PROMPTS]
    assert min(margin for _, margin in expected) > 1e-4  # no choice hangs on rounding
    assert len({tuple(tokens[-NEW_TOKENS:]) for tokens, _ in expected}) > 1
    assert sequences(plain(name)) == [tokens for tokens, _ in expected]


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_decoded_tokens_are_those_of_generate(name: str) -> None:
    model = model_of(name)
    end = continued(name, PROMPTS[0], NEW_TOKENS)[0][len(PROMPTS[0]) + 1]
    expected = [
        model.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            do_sample=False,
            max_new_tokens=NEW_TOKENS,
            eos_token_id=end,
            pad_token_id=0,
        )[0].tolist()
        for prompt in PROMPTS
    ]
    assert len({len(e) - len(p) for e, p in zip(expected, PROMPTS, strict=True)}) > 1
    assert sequences(decoded(name, end_token=end)) == expected


def test_scores_of_each_position_are_near_those_of_pytorch() -> None:
    model = Scored(model_of("llama")).eval()
    captured = decode_from(model, [PROMPTS[2]], new_tokens=NEW_TOKENS, batch_size=1)
    own_scores = [state["model.seen"][0] for state in states(captured)]
    tokens = sequences(captured)[0]
    with torch.no_grad():
        expected = model_of("llama")(torch.tensor([tokens[:-1]])).logits[0].numpy()
    apart = np.abs(np.stack(own_scores) - expected).max() / np.abs(expected).max()
    assert apart < 2e-6


class Scored(nn.Module):
    """Keeps the scores of a model of transformers, by the protocol for modules of one's own."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("seen", torch.zeros(1, WORDS))

    def forward(self, tokens: torch.Tensor, cache: KeyValueCache) -> torch.Tensor:
        from protocol.capture.inference.caches import for_transformers

        at = cache.position.reshape(1, 1)
        said = self.model(input_ids=tokens, position_ids=at, cache=for_transformers(cache))
        self.seen.copy_(said.logits[:, 0])
        return said.logits


def test_state_of_a_decoding_is_tokens_lengths_and_caches() -> None:
    captured = plain("llama")
    length = LONGEST + NEW_TOKENS - 1
    shapes = {name: array.shape for name, array in captured.state}
    pair = {f"cache.{n}.{part}": (2, 2, length, 8) for n in (0, 1) for part in ("keys", "values")}
    tokens = {"outputs.tokens": (5, length + 1), "outputs.lengths": (5,)}
    assert shapes == {"step": (), **tokens, **pair}
    assert captured.steps == 3 * length
    assert captured.loss_state is None
    assert [o for o in captured.origins if "argmax" in o][-1] == "output: aten.argmax (fwd)"
    data = dict(captured.data)
    assert data["prompts.lengths"].tolist() == [3, 1, 6, 4, 5]
    assert "model.lm_head.weight" in data


def test_decoding_has_the_same_bits_by_every_engine() -> None:
    assert_engines_agree(decoded("llama", PROMPTS[:3], new_tokens=2))


def test_capturing_a_decoding_twice_gives_the_same_bytes() -> None:
    first, second = plain("own"), decoded("own")
    assert first.program == second.program
    for (_, a), (_, b) in zip(first.data + first.state, second.data + second.state, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", ["gpt2", "gpt2, eager", "own"])
def test_what_stands_in_the_cache_before_cannot_be_seen(name: str) -> None:
    expected = last(plain(name))
    for word in (0x7F800000, 0xFF800000, 0x7FC00000):  # both infinities, NaN
        state = [(n, array.copy()) for n, array in plain(name).state]
        for state_name, array in state:
            if state_name.startswith("cache."):
                array.view("<u4")[...] = word
        for (_, a), (_, b) in zip(last(replace(plain(name), state=state)), expected, strict=True):
            np.testing.assert_array_equal(a, b)


def test_prompts_do_not_see_each_other() -> None:
    alone = sequences(decoded("own", batch_size=1))
    assert sequences(plain("own")) == alone
    assert sequences(decoded("own", batch_size=7)) == alone


def test_prompts_of_one_token_are_continued_by_one() -> None:
    prompts = [[5], [7], [9]]
    captured = decoded("own", prompts, new_tokens=1)
    assert captured.steps == 2
    assert sequences(captured) == [continued("own", prompt, 1)[0] for prompt in prompts]


def test_row_ends_after_its_end_token_and_is_padded() -> None:
    whole = [continued("gpt2", prompt, NEW_TOKENS)[0] for prompt in PROMPTS]
    ends = (whole[0][len(PROMPTS[0])], whole[3][-2])
    captured = decoded("gpt2", end_token=ends, pad_token=1)
    state = dict(last(captured))
    for n, (prompt, tokens) in enumerate(zip(PROMPTS, whole, strict=True)):
        cut = next(
            (at + 1 for at in range(len(prompt), len(tokens)) if tokens[at] in ends), len(tokens)
        )
        row = state["outputs.tokens"][n].tolist()
        assert row == tokens[:cut] + [1] * (len(row) - cut)
        assert state["outputs.lengths"][n] == cut
    assert state["outputs.lengths"][0] == len(PROMPTS[0]) + 1


def test_end_token_in_a_prompt_ends_nothing() -> None:
    prompt = PROMPTS[2]
    ends = (prompt[0], prompt[-1])
    expected, _ = continued("own", prompt, NEW_TOKENS)
    assert not set(ends) & set(expected[len(prompt) :])
    assert sequences(decoded("own", [prompt], batch_size=1, end_token=ends)) == [expected]


def test_end_and_pad_are_those_of_the_model_unless_given() -> None:
    end = continued("gpt2", PROMPTS[0], 1)[0][-1]
    model = gpt2(eos_token_id=end, pad_token_id=WORDS - 1)
    ended = decode_from(model, PROMPTS[:1], new_tokens=3, batch_size=1)
    assert dict(last(ended))["outputs.tokens"][0].tolist() == [
        *PROMPTS[0],
        end,
        WORDS - 1,
        WORDS - 1,
    ]
    endless = decode_from(model, PROMPTS[:1], new_tokens=3, batch_size=1, end_token=())
    assert sequences(endless) == [continued("gpt2", PROMPTS[0], 3)[0]]


def test_first_of_equal_scores_is_chosen() -> None:
    model = own()
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.copy_(torch.tensor([0.0, 2.0, 2.0] + [2.0] * (WORDS - 3)))
    captured = decode_from(model, [[5]], new_tokens=2, batch_size=1)
    assert sequences(captured) == [[5, 1, 1]]


class Drawing(Own):
    """Draws its words: the highest score with Gumbel noise on each."""

    def forward(self, tokens: torch.Tensor, cache: KeyValueCache) -> torch.Tensor:
        scores = super().forward(tokens, cache)
        return scores - torch.log(-torch.log(torch.rand_like(scores)))


def test_words_can_be_drawn_with_the_seed_of_the_task() -> None:
    model = Drawing().eval()
    odds = torch.linspace(1, 3, WORDS)
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.copy_(odds.log())
    count = 4_000

    def drawn(seed: int) -> np.ndarray:
        options = {"new_tokens": 1, "batch_size": count, "seed": seed}
        captured = decode_from(model, [[1]] * count, **options)
        return dict(last(captured))["outputs.tokens"][:, 1]

    first = drawn(1)
    np.testing.assert_array_equal(drawn(1), first)
    assert np.any(drawn(2) != first)
    seen = np.bincount(first, minlength=WORDS)
    expected = (odds / odds.sum()).numpy() * count
    assert ((seen - expected) ** 2 / expected).sum() < 120  # chi squared of 60: 99.999 %


@pytest.mark.parametrize(
    ("prompts", "says"),
    [
        ([[WORDS]], f"no embedding of token {WORDS}"),
        ([[1] * POSITIONS], f"or of position {POSITIONS + NEW_TOKENS - 2}"),
    ],
)
def test_prompts_beyond_the_model_are_refused(prompts: Any, says: str) -> None:
    with pytest.raises(CaptureError, match=says):
        decoded("own", prompts)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"new_tokens": 0}, "new_tokens is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"seed": -1}, "seed -1"),
        ({"interval": 100}, "interval 100"),
    ],
)
def test_numbers_that_no_task_can_have_are_refused(options: dict[str, int], says: str) -> None:
    with pytest.raises(CaptureError, match=says):
        decoded("own", **options)


def test_model_in_training_mode_is_refused() -> None:
    with pytest.raises(CaptureError, match=r"in training mode.*model\.eval\(\)"):
        decode_from(gpt2().train(), PROMPTS, new_tokens=2, batch_size=1)


@pytest.mark.parametrize(
    ("setting", "value"), [("do_sample", True), ("num_beams", 4), ("repetition_penalty", 1.2)]
)
def test_choice_other_than_the_highest_score_is_refused(setting: str, value: object) -> None:
    model = gpt2()
    setattr(model.generation_config, setting, value)
    with pytest.raises(CaptureError, match=f"{setting} is {value!r}, but decoding is greedy"):
        decode_from(model, PROMPTS, new_tokens=2, batch_size=1)


def test_encoder_with_a_decoder_is_refused() -> None:
    from transformers import T5Config, T5ForConditionalGeneration

    config = T5Config(vocab_size=WORDS, d_model=16, num_layers=1, num_heads=2, d_ff=16, d_kv=8)
    with pytest.raises(CaptureError, match=r"an encoder with a decoder.*causal"):
        decode_from(T5ForConditionalGeneration(config).eval(), PROMPTS, new_tokens=2, batch_size=1)


def test_model_with_recurrent_state_is_refused() -> None:
    from transformers import MambaConfig, MambaForCausalLM

    config = MambaConfig(vocab_size=WORDS, hidden_size=16, num_hidden_layers=1)
    with pytest.raises(CaptureError, match=r"one token at position .* with a cache of"):
        decode_from(MambaForCausalLM(config).eval(), PROMPTS, new_tokens=2, batch_size=1)


def test_model_that_says_something_else_with_a_cache_is_refused() -> None:
    from transformers import GPTNeoConfig, GPTNeoForCausalLM

    config = GPTNeoConfig(
        vocab_size=WORDS,
        hidden_size=16,
        num_layers=2,
        num_heads=2,
        attention_types=[[["global", "local"], 1]],
        window_size=4,
        max_position_embeddings=POSITIONS,
        bos_token_id=0,
        eos_token_id=0,
        initializer_range=0.3,
    )
    with pytest.raises(CaptureError, match=r"other scores .* one after the other than at once"):
        decode_from(GPTNeoForCausalLM(config).eval(), PROMPTS, new_tokens=2, batch_size=1)


class Forgetful(Own):
    """Does not use its cache."""

    def forward(self, tokens: torch.Tensor, cache: KeyValueCache) -> torch.Tensor:
        del cache
        return self.whole(tokens)


class Doubtful(Own):
    """Numbers all of its layers 0."""

    def forward(self, tokens: torch.Tensor, cache: KeyValueCache) -> torch.Tensor:
        for layer in range(2):
            _, k, v = self._heads(self.word(tokens), layer)
            cache.update(k, v, 0)
        return self.whole(tokens)


class Hasty(Own):
    """Puts two positions into the cache at a time."""

    def forward(self, tokens: torch.Tensor, cache: KeyValueCache) -> torch.Tensor:
        _, k, v = self._heads(self.word(tokens.expand(-1, 2)), 0)
        cache.update(k, v, 0)
        return self.whole(tokens)


class Wordless(Own):
    """Returns what is no score of words."""

    def forward(self, tokens: torch.Tensor, cache: KeyValueCache) -> torch.Tensor:
        return super().forward(tokens, cache)[0, 0]


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (Forgetful, "puts nothing into the cache"),
        (Doubtful, "layer 0 updates its cache twice"),
        (Hasty, "expected one position"),
        (Wordless, "expected scores of the next token"),
    ],
)
def test_module_that_misuses_its_cache_is_refused(model: type[nn.Module], says: str) -> None:
    with pytest.raises(CaptureError, match=says):
        decode_from(model().eval(), PROMPTS, new_tokens=2, batch_size=2)


def test_sequences_of_another_kind_of_task_are_refused() -> None:
    scores = [("step", np.zeros((), np.int32)), ("outputs.output", np.zeros((2, 3), np.float32))]
    with pytest.raises(CaptureError, match="the outputs output, expected tokens and lengths"):
        sequences_of(scores)


def test_decoding_does_not_change_the_model() -> None:
    model = llama()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    decode_from(model, PROMPTS, new_tokens=2, batch_size=2)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name
