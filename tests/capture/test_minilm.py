"""The pretrained encoder: its weights, its tokens, and what they say of sentences."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from protocol.capture.errors import CaptureError
from protocol.capture.examples import minilm
from protocol.capture.examples.minilm import (
    WIDTH,
    Embedder,
    load_encoder,
    make_encoder,
    mean_of_tokens,
    tokenise,
)
from tests.capture import minilm_package


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of the package."""
    monkeypatch.setattr(minilm, "PACKAGE", minilm_package.Package())


@pytest.mark.usefixtures("standin")
def test_make_encoder_has_the_weights_of_the_package() -> None:
    own = minilm_package.make_encoder().state_dict()
    loaded = make_encoder().state_dict()
    assert own.keys() == loaded.keys()
    for name, tensor in own.items():
        assert torch.equal(tensor, loaded[name]), name


@pytest.mark.usefixtures("standin")
def test_load_encoder_into_one_of_other_sizes_tells_both() -> None:
    from transformers import BertModel

    other = BertModel(minilm.make_config(intermediate_size=48))
    with pytest.raises(CaptureError, match=r"dense.bias has shape \(48,\) .* \(32,\)"):
        load_encoder(other)


@pytest.mark.usefixtures("standin")
def test_tokenise_cuts_what_is_long_and_pads_what_is_short() -> None:
    tokens = tokenise(["Money now", "the meeting at the meetings"], 5)
    np.testing.assert_array_equal(tokens.ids, [[2, 4, 7, 3, 0], [2, 8, 5, 9, 3]])
    np.testing.assert_array_equal(tokens.mask, [[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]])
    assert tokens.ids.dtype == tokens.mask.dtype == np.int64
    np.testing.assert_array_equal(tokens[1:].ids, tokens.ids[1:])


@pytest.mark.usefixtures("standin")
def test_tokenise_of_no_texts_has_no_rows() -> None:
    assert tokenise([], 7).by_name()["input_ids"].shape == (0, 7)


def test_mean_of_tokens_leaves_padding_out() -> None:
    hidden = torch.tensor([[[1.0, 2.0], [3.0, 6.0], [100.0, -7.0]]])
    mean = mean_of_tokens(hidden, torch.tensor([[1, 1, 0]]))
    assert mean.tolist() == [[2.0, 4.0]]


@pytest.mark.usefixtures("standin")
def test_embedder_gives_vectors_of_length_one_whatever_the_padding() -> None:
    embedder = Embedder(make_encoder())
    short, long = (_embed(embedder, ["free money", "the meeting"], length) for length in (6, 20))
    torch.testing.assert_close(short.norm(dim=1), torch.ones(2))
    torch.testing.assert_close(short, long)


@pytest.mark.slow  # fetches 83 MB
def test_embedder_of_the_real_package_gives_the_published_similarities() -> None:
    texts = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
    embedded = _embed(Embedder(make_encoder()), texts, 16)
    assert embedded.shape == (3, WIDTH)
    # As the documentation of sentence-transformers prints them, for this model.
    published = [[1.0, 0.6660, 0.1046], [0.6660, 1.0, 0.1411], [0.1046, 0.1411, 1.0]]
    np.testing.assert_allclose(embedded @ embedded.T, published, atol=1e-4)


def _embed(embedder: Embedder, texts: list[str], length: int) -> torch.Tensor:
    tokens = tokenise(texts, length).by_name()
    with torch.inference_mode():
        embedded: torch.Tensor = embedder(**{n: torch.from_numpy(a) for n, a in tokens.items()})
    return embedded
