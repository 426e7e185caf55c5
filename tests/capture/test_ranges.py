"""Tokens beyond a vocabulary and labels beyond the classes are found while the task is built."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from protocol.capture.data.columns import next_tokens
from protocol.capture.errors import UnsupportedOperator
from protocol.capture.task import task_from

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 4)).astype(np.float32)
LABELS = RNG.integers(0, 3, 12)


def capture(model: nn.Module, loss: object, data: object) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    task_from(model, loss, optimizer, data, steps=2, batch_size=4)


@pytest.mark.parametrize("wrong", [3, -1, 7])
@pytest.mark.parametrize(
    "loss",
    [
        nn.CrossEntropyLoss(),
        nn.CrossEntropyLoss(label_smoothing=0.1, weight=torch.ones(3)),
        lambda out, y: F.nll_loss(F.log_softmax(out, 1), y, ignore_index=9),
    ],
)
def test_label_beyond_the_classes_is_refused_with_both_values(loss: object, wrong: int) -> None:
    labels = np.where(np.arange(12) == 5, wrong, LABELS)
    with pytest.raises(UnsupportedOperator, match=r"places: 0 to 2") as refused:
        capture(nn.Linear(4, 3), loss, (X, labels))
    assert str(wrong) in refused.value.advice
    assert refused.value.origin.module == "loss"


@pytest.mark.parametrize("ignored", [-100, 5, 1])
def test_labels_that_are_ignored_may_be_anything(ignored: int) -> None:
    labels = np.where(np.arange(12) % 3 == 0, ignored, LABELS)
    capture(nn.Linear(4, 3), nn.CrossEntropyLoss(ignore_index=ignored), (X, labels))
    capture(nn.Linear(4, 3), nn.CrossEntropyLoss(ignore_index=ignored), (X, labels * 0 + ignored))


class Model(nn.Module):
    """Tokens to scores of the next."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary, 4)
        self.head = nn.Linear(4, vocabulary)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(self.words(tokens)).flatten(0, 1)


def test_token_beyond_the_vocabulary_is_refused_with_the_module() -> None:
    data = next_tokens(RNG.permutation(30).astype(np.uint8), 5)
    with pytest.raises(UnsupportedOperator, match="from 0 to 29, and there are 29") as refused:
        capture(Model(29), lambda out, y: F.cross_entropy(out, y.flatten()), data)
    assert refused.value.origin.module == "words"
    capture(Model(30), lambda out, y: F.cross_entropy(out, y.flatten()), data)


def test_columns_with_vocabularies_of_their_own_are_not_mixed_up() -> None:
    class Table(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.few, self.many = nn.Embedding(2, 3), nn.Embedding(9, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.few(x[:, 0]) + self.many(x[:, 1])

    capture(Table(), nn.CrossEntropyLoss(), (np.stack([LABELS % 2, LABELS + 6], 1), LABELS))
