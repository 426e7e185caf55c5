"""What the requester of this task wrote: fine-tune a real pretrained encoder to tell spam.

    pinpoint task build --entry examples/minilm/make_task.py --out my-task

It takes `BertForSequenceClassification` of transformers as it is, with the weights of
all-MiniLM-L6-v2 and a new head, trains all of its 22.7 million parameters on real mails, and is
graded on 1,000 that it has not seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from protocol.capture import Captured, load_into, task_from
from protocol.capture.examples.minilm import load_encoder, make_config, tokenise
from protocol.capture.examples.spam import KINDS, Mails, load_mails
from protocol.capture.schedules import linear, warmup

STEPS = 64
BATCH = 16
LENGTH = 64  # tokens of a mail: its subject and how it begins
RATE = 5e-5


def make_model() -> nn.Module:
    """The classifier: pretrained up to the pooler, always the same weights in the new head."""
    from transformers import BertForSequenceClassification

    # Dropout is captured as well, but draws other bits than PyTorch's, and the curves are compared.
    undisturbed = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = make_config(num_labels=len(KINDS), **undisturbed)
        model: nn.Module = BertForSequenceClassification(config)
    load_encoder(model.bert)
    return model.train()


def loss(output: Any, labels: torch.Tensor) -> torch.Tensor:
    """Cross entropy of the two kinds of mail."""
    return F.cross_entropy(output.logits, labels)


def arguments(steps: int = STEPS, train: Mails | None = None) -> dict[str, Any]:
    """The arguments of ``task_from``. PackageError if mails or weights are not to be had."""
    mails = load_mails()[0] if train is None else train
    model = make_model()
    rise = max(1, steps // 10)
    return {
        "model": model,
        "loss": loss,
        "optimizer": make_optimizer(model),
        "data": (tokenise(mails.texts, LENGTH).by_name(), mails.labels),
        "steps": steps,
        "interval": max(1, steps // 8),
        "batch_size": BATCH,
        "schedule": warmup(rise, linear(max(1, steps - rise))),
        "clip_norm": 1.0,
        "name": "minilm",
    }


def make_optimizer(model: nn.Module) -> torch.optim.Optimizer:
    """AdamW; matrices decay, biases and norms do not."""
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": 0.01},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=RATE)


def make_task(steps: int = STEPS) -> Captured:
    """What to train, from which weights, on which data, and for how long."""
    return task_from(**arguments(steps))


def evaluate(state: Mapping[str, np.ndarray], held_out: Mails | None = None) -> dict[str, str]:
    """How well a trained state tells mails that it has not seen, in plain PyTorch."""
    mails = load_mails()[1] if held_out is None else held_out
    model = make_model()
    load_into(model, state.items())
    said = classify(model.eval(), mails.texts)
    right = said == mails.labels
    found, named = right[mails.labels == 1], right[said == 1]
    return {
        "accuracy": f"{right.mean():.1%} of {len(right):,} held-out mails; "
        f"{(mails.labels == 0).mean():.1%} are no spam",
        "spam": f"{found.sum()} of {found.size} found; {(~named).sum()} others taken for it",
    }


def classify(model: nn.Module, texts: list[str]) -> np.ndarray:
    """The likelier kind of each text, i64 [texts]."""
    tokens = tokenise(texts, LENGTH)
    said = []
    with torch.inference_mode():
        for first in range(0, len(texts), 100):
            part = tokens[first : first + 100].by_name()
            named = {name: torch.from_numpy(array) for name, array in part.items()}
            said.append(model(**named).logits.argmax(1).numpy())
    return np.concatenate(said)
