"""Prompts as users and tokenizers give them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from protocol.capture.errors import CaptureError
from protocol.capture.inference.prompts import Prompts

ROWS = [[5, 3, 0], [7], [1, 2]]
LEFT = {
    "input_ids": [[5, 3, 0], [0, 0, 7], [0, 1, 2]],
    "attention_mask": [[1, 1, 1], [0, 0, 1], [0, 1, 1]],
}
RIGHT = {
    "input_ids": torch.tensor([[5, 3, 0], [7, 0, 0], [1, 2, 0]]),
    "attention_mask": torch.tensor([[1, 1, 1], [1, 0, 0], [1, 1, 0]]),
}


@pytest.mark.parametrize(
    "given",
    [
        ROWS,
        [np.array(row, np.uint8) for row in ROWS],
        [torch.tensor(row) for row in ROWS],
        {"input_ids": ROWS},
        LEFT,
        RIGHT,
    ],
    ids=["lists", "arrays", "tensors", "a tokenizer's", "padded left", "padded right"],
)
def test_prompts_of_every_form_are_the_same_rows(given: Any) -> None:
    prompts = Prompts.of(given)
    assert [row.tolist() for row in prompts.rows] == ROWS
    assert prompts.longest == 3
    assert prompts.lengths().tolist() == [3, 1, 2]
    table = prompts.table(4, 9)
    assert table.dtype == np.int32
    assert table.tolist() == [[5, 3, 0, 9], [7, 9, 9, 9], [1, 2, 9, 9]]


def test_prompts_may_be_a_table() -> None:
    table = np.arange(6).reshape(2, 3)
    np.testing.assert_array_equal(Prompts.of(table).table(3, 0), table)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([], "there are no prompts"),
        ([[1], []], "prompt 1 has no tokens"),
        ([[1], [0.5]], "prompt 1 is float64"),
        ([[1], [[2]]], "prompt 1 is int64 of shape"),
        ([[1], 2], "prompt 1 is int64 of shape"),
        ([[1, [2, 3]]], "prompt 0 is no list of token numbers"),
        ([[-1]], "prompt 0 holds -1"),
        ([[1 << 31]], "prompt 0 holds 2147483648"),
        ("text", "the prompts are str"),
        (["a text"], "prompt 0 is"),
        (7, "the prompts are int"),
        ({"ids": [[1]]}, "a mapping of ids, expected input_ids"),
        ({"input_ids": [[1]], "attention_mask": []}, "1 prompts but 0 masks"),
        ({"input_ids": [[1]], "attention_mask": [[1, 1]]}, "its mask"),
        ({"input_ids": [[1]], "attention_mask": [[0]]}, "prompt 0 has no tokens"),
    ],
)
def test_prompts_without_tokens_are_refused(given: Any, says: str) -> None:
    with pytest.raises(CaptureError, match=says):
        Prompts.of(given)
