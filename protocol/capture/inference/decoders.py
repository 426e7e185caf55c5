"""How a causal language model is asked for one token, and whether it can be asked so at all.

Models of transformers get their token, its position and a cache as they do in ``generate``. A
module of one's own gets ``forward(tokens, cache)`` with tokens i64 [batch, 1] and a
``KeyValueCache``, and returns the scores of the next token, f32 [batch, words] or [batch, 1,
words], or an object with such ``logits``.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
from torch.func import functional_call

from protocol.capture.errors import CaptureError
from protocol.capture.inference.caches import KeyValueCache, Pair, for_transformers

Forward = Callable[..., Any]

_READ = "(docs/CAPTURE.md, Decoding)"
_COMPARED: Final = 8
"""Tokens that a model of transformers decodes singly and at once, to compare."""
_NEAR: Final = 1e-3
"""Largest difference of the two, relative to the largest score."""

_PLAIN: Final = {
    "do_sample": (False, None),
    "num_beams": (1, None),
    "repetition_penalty": (1.0, None),
    "no_repeat_ngram_size": (0, None),
    "min_length": (0, None),
    "min_new_tokens": (0, None),
    "bad_words_ids": (None,),
    "suppress_tokens": (None,),
    "begin_suppress_tokens": (None,),
    "forced_bos_token_id": (None,),
    "forced_eos_token_id": (None,),
    "sequence_bias": (None,),
}
"""What of a generation config changes the choice of tokens, and values that do not."""


class Decoder(ABC):
    """Asks a model for the scores of the token after one."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.model = model

    def own_tokens(self, role: str) -> tuple[int, ...]:  # noqa: ARG002
        """What the model itself names by a role, ``eos`` or ``pad``."""
        return ()

    @abstractmethod
    def ask(self, forward: Forward, tokens: torch.Tensor, cache: KeyValueCache) -> Any:
        """What ``forward``, the model's, says of tokens i64 [batch, 1] at the cache's position."""

    def scores(self, forward: Forward, tokens: torch.Tensor, cache: KeyValueCache) -> torch.Tensor:
        """f32 [batch, words]. CaptureError for what has no score for each word."""
        said = self.ask(forward, tokens, cache)
        logits = getattr(said, "logits", said)
        batch = tokens.shape[0]
        if isinstance(logits, torch.Tensor) and logits.ndim == 3 and logits.shape[1] == 1:
            logits = logits[:, 0]
        if not isinstance(logits, torch.Tensor) or logits.ndim != 2 or len(logits) != batch:
            got = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(said).__name__
            raise CaptureError(
                f"the model's output is {got}, expected scores of the next token for each of "
                f"{batch} rows, ({batch}, words) or ({batch}, 1, words); decode a causal language "
                f"model, or return its logits {_READ}"
            )
        if not cache.written:
            raise CaptureError(
                f"{type(self.model).__name__} puts nothing into the cache: each token would only "
                f"see itself; give keys and values to cache.update {_READ}"
            )
        return logits

    def check(self, token: int, length: int) -> None:
        """CaptureError where the model cannot be decoded token by token.

        ``token`` is the greatest of the prompts'; positions go to ``length - 1``.
        """
        if self.model.training:
            raise CaptureError(
                f"{type(self.model).__name__} is in training mode, in which dropout changes what "
                f"it says; call model.eval() before {_READ}"
            )
        words = self.probe([token], length, length - 1)[0].shape[-1]
        if words - 1 > token:  # what it chooses is its next token
            self.probe([words - 1], length, length - 1)

    def shapes(self, token: int, length: int, batch: int) -> dict[int, Pair]:
        """Zeros like the cache's keys and values by layer, for ``batch`` rows."""

        def empty(one: torch.Tensor) -> torch.Tensor:
            return torch.zeros((batch, *one.shape[1:]), dtype=one.dtype)

        _, written = self.probe([token], length, 0)
        return {n: (empty(k), empty(v)) for n, (k, v) in sorted(written.items())}

    def probe(
        self, tokens: Sequence[int], length: int, first: int
    ) -> tuple[torch.Tensor, dict[int, Pair]]:
        """Decode ``tokens`` in one row from position ``first`` on, by PyTorch.

        The model is not changed. Returns scores f32 [tokens, words] and the last cache.
        """
        buffers = {n: b.clone() for n, b in self.model.named_buffers()}
        written: dict[int, Pair] = {}
        rows = []

        def forward(*given: Any, **named: Any) -> Any:
            return functional_call(self.model, buffers, given, named)

        for position, token in enumerate(tokens, first):
            cache = KeyValueCache(torch.tensor(position), length, written)
            with torch.no_grad():
                rows.append(self._told(forward, token, cache))
            written = cache.written
        return torch.stack(rows), written

    def _told(self, forward: Forward, token: int, cache: KeyValueCache) -> torch.Tensor:
        """Scores f32 [words] after one token; whatever the model raises, in words for people."""
        name, position = type(self.model).__name__, int(cache.position)
        try:
            return self.scores(forward, torch.tensor([[token]]), cache)[0]
        except CaptureError:
            raise
        except Exception as error:
            if isinstance(error, IndexError) and "out of range in self" in str(error):
                raise CaptureError(
                    f"{name} has no embedding of token {token} or of position {position}: {error}; "
                    "decode fewer new_tokens, shorten the prompts, or use the tokenizer that "
                    f"belongs to the model {_READ}"
                ) from error
            raise CaptureError(
                f"{name} cannot be asked for one token at position {position} with a cache of "
                f"{cache.length}: {type(error).__name__}: {error}; take a model that attends to "
                "keys and values by position, or write forward(tokens, cache) with a "
                f"KeyValueCache {_READ}"
            ) from error


class _Own(Decoder):
    """A module with ``forward(tokens, cache)``."""

    def ask(self, forward: Forward, tokens: torch.Tensor, cache: KeyValueCache) -> Any:
        return forward(tokens, cache)


class _OfTransformers(Decoder):
    """A causal language model of transformers, as it is."""

    def ask(self, forward: Forward, tokens: torch.Tensor, cache: KeyValueCache) -> Any:
        parameters = inspect.signature(self.model.forward).parameters
        named: dict[str, Any] = {"input_ids": tokens, "use_cache": True}
        keyword = "cache" if "cache" in parameters else "past_key_values"  # its older name
        named[keyword] = for_transformers(cache)
        if "position_ids" in parameters:
            named["position_ids"] = cache.position.expand(len(tokens), 1)
        if "cache_position" in parameters:
            named["cache_position"] = cache.position.reshape(1)
        return forward(**named)

    def own_tokens(self, role: str) -> tuple[int, ...]:
        generation = getattr(self.model, "generation_config", self.model.config)
        return as_tuple(getattr(generation, f"{role}_token_id", None))

    def check(self, token: int, length: int) -> None:
        config = self.model.config
        name = type(self.model).__name__
        if getattr(config, "is_encoder_decoder", False):
            raise CaptureError(
                f"{name} is an encoder with a decoder, which is not decoded; take a causal "
                f"language model, such as GPT-2 or Llama {_READ}"
            )
        generation = getattr(self.model, "generation_config", None)
        for setting, plain in _PLAIN.items():
            value = getattr(generation, setting, plain[0])
            if value not in plain:
                raise CaptureError(
                    f"{name}.generation_config.{setting} is {value!r}, but decoding is greedy: it "
                    f"takes the word of the highest score; set it to {plain[0]!r} {_READ}"
                )
        super().check(token, length)
        self._compare(length)

    def _compare(self, length: int) -> None:
        """Refuse a model that says something else token by token than at once."""
        words = self.probe([0], length, 0)[0].shape[-1]
        tokens = [(7 * n + 1) % words for n in range(min(length, _COMPARED))]
        singly, _ = self.probe(tokens, length, 0)
        with torch.no_grad():
            whole = self.model(input_ids=torch.tensor([tokens]), use_cache=False).logits[0]
        apart = float((singly - whole).abs().max() / whole.abs().max().clamp_min(1e-30))
        if not apart <= _NEAR:
            raise CaptureError(
                f"{type(self.model).__name__} gives other scores for {len(tokens)} tokens one "
                f"after the other than at once, {apart:.1e} of the largest apart, expected "
                f"{_NEAR:.0e} at most; it keeps something else than keys and values by position "
                f"{_READ}"
            )


def as_tuple(tokens: int | Sequence[int] | None) -> tuple[int, ...]:
    """One token, several, or none."""
    if tokens is None:
        return ()
    return (tokens,) if isinstance(tokens, int) else tuple(tokens)


def decoder_of(model: torch.nn.Module) -> Decoder:
    """The way in which this model is asked."""
    of_transformers = any(c.__module__.startswith("transformers.") for c in type(model).__mro__)
    return _OfTransformers(model) if of_transformers else _Own(model)
