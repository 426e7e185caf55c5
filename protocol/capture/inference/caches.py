"""What a decoder keeps of the tokens before: keys and values of each layer, by position.

A cache is as long as the longest sequence from the start, so that every step has the same shapes. A
step writes its own position and zeros beyond it: whatever stood there, of longer sequences
that were decoded before, is gone before anything could read it, NaN and infinities included.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import torch

from protocol.capture.errors import CaptureError

KEYS, VALUES = "keys", "values"
CACHE_PREFIX: Final = "cache."
"""What begins the names of the state tensors that hold keys and values."""

Pair = tuple[torch.Tensor, torch.Tensor]


class KeyValueCache:
    """Keys and values of all layers at one step of decoding.

    This is what a module of one's own gets beside its token: it asks for ``position`` and ``mask``
    and gives each layer's new keys and values to `update`.

    Attributes:
        position: i64 scalar, the position of the step's token from 0.
        length: Positions that there are.
        written: After the step: keys and values by layer, each [batch, heads, length, width].
    """

    def __init__(
        self, position: torch.Tensor, length: int, stored: Mapping[int, Pair] | None = None
    ) -> None:
        """``stored`` is what the last step wrote; without it all is zero."""
        self.position = position
        self.length = length
        self.written: dict[int, Pair] = {}
        self._stored = stored or {}

    @property
    def mask(self) -> torch.Tensor:
        """Bool [1, 1, 1, length]: true up to the present position."""
        return (torch.arange(self.length) <= self.position).reshape(1, 1, 1, -1)

    def update(self, keys: torch.Tensor, values: torch.Tensor, layer: int) -> Pair:
        """Put in the step's keys and values; returns those of all positions.

        Args:
            keys: f32 [batch, heads, 1, width].
            values: Likewise; heads and width may be others.
            layer: Its number; each layer of a model has its own.

        Returns:
            Both at all positions, [batch, heads, length, width]; zero beyond the present one.
        """
        if layer in self.written:
            raise CaptureError(
                f"layer {layer} updates its cache twice in one step; give each layer a number of "
                "its own (docs/CAPTURE.md, Decoding)"
            )
        for name, tensor in ((KEYS, keys), (VALUES, values)):
            if tensor.ndim < 2 or tensor.shape[-2] != 1:
                raise CaptureError(
                    f"the {name} of layer {layer} have shape {tuple(tensor.shape)}, expected one "
                    "position, [batch, heads, 1, width]: a step decodes one token "
                    "(docs/CAPTURE.md, Decoding)"
                )
        old = self._stored.get(layer) or (self._nothing_like(keys), self._nothing_like(values))
        self.written[layer] = (self._put(old[0], keys), self._put(old[1], values))
        return self.written[layer]

    def _put(self, old: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
        place = torch.arange(self.length).reshape(-1, 1)
        kept = torch.where(place < self.position, old, 0.0)
        return torch.where(place == self.position, new, kept)

    def _nothing_like(self, new: torch.Tensor) -> torch.Tensor:
        return new.new_zeros((*new.shape[:-2], self.length, new.shape[-1]))


def flat(pairs: Mapping[int, Pair]) -> dict[str, torch.Tensor]:
    """Keys and values by the names of their state tensors."""
    return {
        f"{CACHE_PREFIX}{layer}.{part}": tensor
        for layer, pair in pairs.items()
        for part, tensor in zip((KEYS, VALUES), pair, strict=True)
    }


def by_layer(tensors: Mapping[str, torch.Tensor]) -> dict[int, Pair]:
    """The pairs again, of what `flat` gave."""
    layers = {int(name.split(".")[1]) for name in tensors}
    return {
        n: (tensors[f"{CACHE_PREFIX}{n}.{KEYS}"], tensors[f"{CACHE_PREFIX}{n}.{VALUES}"])
        for n in sorted(layers)
    }


def for_transformers(cache: KeyValueCache) -> Any:
    """The same as a ``Cache`` of transformers, whose models then make their masks from it.

    It tells them what a ``StaticCache`` does: a length that is always the same, a position that is
    a tensor, and that causal masks may not be left out.
    """
    from transformers import Cache

    class Static(Cache):
        is_compileable = True

        def __init__(self) -> None:
            super().__init__(layers=[])

        def update(
            self,
            key_states: torch.Tensor,
            value_states: torch.Tensor,
            layer_idx: int,
            *_: Any,
            **__: Any,
        ) -> Pair:
            return cache.update(key_states, value_states, layer_idx)

        def get_seq_length(self, *_: Any, **__: Any) -> Any:
            return cache.position

        def get_query_offset(self, *_: Any, **__: Any) -> Any:
            return cache.position

        def get_mask_sizes(self, *_: Any, **__: Any) -> tuple[int, int]:
            return cache.length, 0

        def get_max_length(self, *_: Any, **__: Any) -> int:
            return cache.length

        get_max_cache_shape = get_max_length  # its older name

    for name in ("update_conv_state", "update_recurrent_state", "update_indexer"):
        setattr(Static, name, _refuse(name))
    return Static()


def _refuse(name: str) -> Callable[..., Any]:
    def refused(*_: Any, **__: Any) -> Any:
        raise CaptureError(
            f"the model keeps more than keys and values in its cache ({name}), which is not "
            "decoded; take a model with full attention, or write forward(tokens, cache) with a "
            "KeyValueCache (docs/CAPTURE.md, Decoding)"
        )

    return refused
