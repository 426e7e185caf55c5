"""Prompts of different lengths, as a table of tokens and the number of them in each row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from protocol.capture.errors import CaptureError

_READ = "(docs/CAPTURE.md, Decoding)"


@dataclass(frozen=True)
class Prompts:
    """Token numbers of prompts, one prompt after the other.

    Attributes:
        rows: Each i32 [its length], at least one token.
    """

    rows: list[np.ndarray]

    @staticmethod
    def of(given: Any) -> Prompts:
        """From what a user or a tokenizer gives. CaptureError for what holds no tokens.

        That is a sequence of sequences of whole numbers, an array [prompts, length], or a mapping
        with ``input_ids`` and perhaps ``attention_mask``, whose zeros tell padding.
        """
        if isinstance(given, Mapping):
            if "input_ids" not in given:
                raise CaptureError(
                    f"the prompts are a mapping of {', '.join(map(str, given)) or 'nothing'}, "
                    f"expected input_ids; pass lists of token numbers, or what a tokenizer "
                    f"returns {_READ}"
                )
            mask = given.get("attention_mask")
            parts = [_row(part, f"prompt {n}") for n, part in enumerate(given["input_ids"])]
            if mask is not None:
                parts = _unpadded(parts, mask)
        elif isinstance(given, str) or not hasattr(given, "__len__"):
            raise CaptureError(
                f"the prompts are {type(given).__name__}, expected token numbers; pass lists of "
                f"them, or what a tokenizer returns {_READ}"
            )
        else:
            parts = [_row(part, f"prompt {n}") for n, part in enumerate(given)]
        if not parts:
            raise CaptureError(f"there are no prompts; pass at least one {_READ}")
        for n, part in enumerate(parts):
            if not part.size:
                raise CaptureError(
                    f"prompt {n} has no tokens, and decoding begins with one; give it at least "
                    f"one, such as the token that begins a text {_READ}"
                )
        return Prompts(parts)

    @property
    def longest(self) -> int:
        """Tokens of the longest prompt."""
        return max(row.size for row in self.rows)

    def lengths(self) -> np.ndarray:
        """i32 [prompts]."""
        return np.array([row.size for row in self.rows], np.int32)

    def table(self, width: int, pad: int) -> np.ndarray:
        """i32 [prompts, width]: the prompts from the left, then ``pad``."""
        table = np.full((len(self.rows), width), pad, np.int32)
        for row, prompt in zip(table, self.rows, strict=True):
            row[: prompt.size] = prompt
        return table


def _unpadded(parts: list[np.ndarray], masks: Any) -> list[np.ndarray]:
    if len(parts) != len(masks):
        raise CaptureError(
            f"there are {len(parts)} prompts but {len(masks)} masks; pass both of one call of the "
            f"tokenizer {_READ}"
        )
    kept = []
    for n, (part, mask) in enumerate(zip(parts, masks, strict=True)):
        is_token = np.asarray(mask).astype(bool)
        if is_token.shape != part.shape:
            raise CaptureError(
                f"prompt {n} has shape {part.shape}, its mask {is_token.shape}; pass both of one "
                f"call of the tokenizer {_READ}"
            )
        kept.append(part[is_token])
    return kept


def _row(part: Any, name: str) -> np.ndarray:
    if isinstance(part, torch.Tensor):
        part = part.detach().cpu().numpy()
    try:
        row = np.asarray(part)
    except ValueError as error:
        raise CaptureError(f"{name} is no list of token numbers: {error} {_READ}") from error
    if row.size == 0:
        return np.zeros(0, np.int32)
    if row.ndim != 1 or row.dtype.kind not in "iu":
        raise CaptureError(
            f"{name} is {row.dtype} of shape {row.shape}, expected whole numbers in one "
            f"dimension; pass a list of token numbers for each prompt {_READ}"
        )
    if row.min() < 0 or row.max() >= 1 << 31:
        raise CaptureError(
            f"{name} holds {row.min()}..{row.max()}, expected token numbers from 0 to 2^31 - 1; "
            f"leave padding out, or pass its attention_mask too {_READ}"
        )
    return row.astype(np.int32)
