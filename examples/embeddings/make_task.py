"""What the requester of this task wrote: embed 3,000 real mails with a pretrained encoder.

    pinpoint task build --entry examples/embeddings/make_task.py --out my-task

Nothing is trained. The model is all-MiniLM-L6-v2 as transformers has it, with its weights; what
is delivered are the embeddings, one row for each mail. That they are right shows in their use: the
nearest neighbours of a mail tell whether it is spam.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from protocol.capture import Captured, inference_from, outputs_of
from protocol.capture.examples.minilm import Embedder, make_encoder, tokenise
from protocol.capture.examples.spam import Mails, load_mails

MAILS = 3_000
BATCH = 32
STEPS = -(-MAILS // BATCH)
LENGTH = 64  # tokens of a mail: its subject and how it begins
NEIGHBOURS = 5
COMPARED = 200  # mails that stock PyTorch embeds as well


def make_model() -> torch.nn.Module:
    """The encoder with its real weights, and the mean over tokens behind it. PackageError."""
    return Embedder(make_encoder()).eval()


def corpus(count: int) -> tuple[Mails, Mails]:
    """(known, unseen), together ``count`` mails, a third of them unseen. PackageError."""
    known, unseen = load_mails()
    third = count // 3
    first, last = count - third, third
    return (
        Mails(known.texts[:first], known.labels[:first]),
        Mails(unseen.texts[:last], unseen.labels[:last]),
    )


def arguments(steps: int = STEPS) -> dict[str, Any]:
    """The arguments of ``inference_from``. PackageError if mails or weights are not to be had."""
    known, unseen = corpus(min(steps * BATCH, MAILS))
    return {
        "model": make_model(),
        "data": tokenise([*known.texts, *unseen.texts], LENGTH).by_name(),
        "output": lambda said, _: {"embedding": said},
        "batch_size": BATCH,
        "interval": max(1, steps // 8),
        "name": "embeddings",
    }


def make_task(steps: int = STEPS) -> Captured:
    """Which model, of which mails."""
    return inference_from(**arguments(steps))


def evaluate(state: Mapping[str, np.ndarray]) -> dict[str, str]:
    """What the embeddings are good for, and how far they are from stock PyTorch's."""
    vectors = outputs_of(state.items())["embedding"]
    known, unseen = corpus(len(vectors))
    texts = [*known.texts, *unseen.texts]
    own, rest = vectors[: len(known.texts)], vectors[len(known.texts) :]
    right = vote(own, known.labels, rest) == unseen.labels
    worst = np.abs(stock(texts[:COMPARED]) - vectors[:COMPARED]).max()
    first = int(np.argmax(own @ rest[0]))
    return {
        "spam": f"{right.mean():.1%} of {right.size:,} held-out mails told by their {NEIGHBOURS} "
        f"nearest of {len(own):,}; {(unseen.labels == 0).mean():.1%} are no spam",
        "nearest": f"to {unseen.texts[0][:40]!r} is {known.texts[first][:40]!r}",
        "embeddings": f"within {worst:.1e} of stock PyTorch's, {len(texts[:COMPARED])} compared",
    }


def vote(known: np.ndarray, labels: np.ndarray, unseen: np.ndarray) -> np.ndarray:
    """The label that most of the nearest have, by cosine: i64 [unseen]."""
    nearest = np.argsort(-(unseen @ known.T), axis=1, kind="stable")[:, :NEIGHBOURS]
    return (labels[nearest].mean(axis=1) > 0.5).astype(np.int64)


def stock(texts: list[str]) -> np.ndarray:
    """The embeddings by PyTorch, f32 [texts, width]."""
    model, said = make_model(), []
    with torch.inference_mode():
        for first in range(0, len(texts), BATCH):
            part = tokenise(texts[first : first + BATCH], LENGTH).by_name()
            said.append(model(**{name: torch.from_numpy(a) for name, a in part.items()}).numpy())
    return np.concatenate(said)
