"""The cache of keys and values by itself, on ordinary tensors."""

from __future__ import annotations

import pytest
import torch

from protocol.capture.errors import CaptureError
from protocol.capture.inference.caches import KeyValueCache, Pair, by_layer, flat, for_transformers

LENGTH = 5


def at(position: int, stored: dict[int, Pair] | None = None) -> KeyValueCache:
    return KeyValueCache(torch.tensor(position), LENGTH, stored)


def pair(value: float) -> Pair:
    return torch.full((2, 3, 1, 4), value), torch.full((2, 1, 1, 6), -value)


def test_update_returns_what_was_put_in_so_far() -> None:
    stored: dict[int, Pair] = {}
    for position in range(LENGTH):
        cache = at(position, stored)
        keys, values = cache.update(*pair(position + 1.0), 0)
        assert keys.shape == (2, 3, LENGTH, 4)
        assert values.shape == (2, 1, LENGTH, 6)
        expected = [float(n + 1) if n <= position else 0.0 for n in range(LENGTH)]
        assert keys[1, 2, :, 3].tolist() == expected
        assert values[1, 0, :, 5].tolist() == [-v for v in expected]
        assert cache.mask.flatten().tolist() == [n <= position for n in range(LENGTH)]
        stored = cache.written


@pytest.mark.parametrize("poison", [float("nan"), float("inf"), float("-inf")])
def test_update_clears_what_stands_beyond_its_position(poison: float) -> None:
    shape = (2, 3, LENGTH, 4), (2, 1, LENGTH, 6)
    stored = {0: (torch.full(shape[0], poison), torch.full(shape[1], poison))}
    for tensor in at(0, stored).update(*pair(1.0), 0):
        assert tensor[..., 0, :].abs().eq(1).all()
        assert tensor[..., 1:, :].eq(0).all()


def test_layers_are_apart_and_named() -> None:
    cache = at(0)
    cache.update(*pair(1.0), 10)
    cache.update(*pair(2.0), 2)
    named = flat(cache.written)
    assert list(named) == [
        "cache.10.keys",
        "cache.10.values",
        "cache.2.keys",
        "cache.2.values",
    ]
    assert list(by_layer(named)) == [2, 10]
    assert all(
        torch.equal(a, b) for a, b in zip(by_layer(named)[10], cache.written[10], strict=True)
    )


def test_layer_that_is_updated_twice_is_refused() -> None:
    cache = at(0)
    cache.update(*pair(1.0), 3)
    with pytest.raises(CaptureError, match="layer 3 updates its cache twice"):
        cache.update(*pair(1.0), 3)


def test_keys_of_several_positions_are_refused() -> None:
    keys, values = pair(1.0)
    with pytest.raises(CaptureError, match=r"values of layer 0 have shape \(2, 1, 2, 6\)"):
        at(0).update(keys, values.expand(2, 1, 2, 6), 0)


def test_cache_for_transformers_tells_what_a_static_one_does() -> None:
    from transformers import Cache

    cache = at(2)
    theirs = for_transformers(cache)
    assert isinstance(theirs, Cache)
    assert theirs.is_compileable
    assert theirs.get_seq_length() is cache.position
    assert theirs.get_mask_sizes(1, 0) == (LENGTH, 0)
    assert theirs.get_max_length() == LENGTH
    keys, _ = theirs.update(*pair(1.0), 4)
    assert keys is cache.written[4][0]


@pytest.mark.parametrize("name", ["update_conv_state", "update_recurrent_state", "update_indexer"])
def test_cache_for_transformers_refuses_other_state(name: str) -> None:
    with pytest.raises(CaptureError, match=f"more than keys and values in its cache .{name}."):
        getattr(for_transformers(at(0)), name)(torch.zeros(1), 0)
