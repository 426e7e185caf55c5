"""Shuffling in the program: a keyed permutation of the examples that needs no stored order.

The swap-or-not shuffle of Hoang, Morris and Rogaway (CRYPTO 2012), which permutes any number of
examples in straight-line code. A round with the word w reflects x to y = k - x mod n, k = w * n >>
32, if a bit hashed from w and max(x, y) says so: x and y see the same bit, so a round is its own
inverse. The words are Philox's, keyed by the seed of the task, for (round, epoch).

Two examples keep their distance through a round with probability 1/2, so 32 rounds leave one pair
in 2^32 as near as it was. It is made for training, not for secrecy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocol.capture.errors import CaptureError, Origin
from protocol.capture.writing.values import View
from protocol.capture.writing.writer import Writer
from protocol.program.body import Value
from protocol.program.builder import FoldBuilder
from protocol.program.isa import WORD_MASK, DType
from protocol.program.philox import philox, uniform_word

ROUNDS = 32
ROUNDS_PER_NODE = 8
MIX = (0x9E3779B1, 0x85EBCA6B)  # odd multipliers of the hash (xxHash's and MurmurHash3's)
MIX_SHIFT = 15

KEYED = "keyed"


def steps_per_epoch(examples: int, batch_size: int) -> int:
    """Whole batches among the examples; the ragged end of each epoch is left out."""
    if batch_size < 1 or examples < batch_size:
        raise CaptureError(
            f"a batch of {batch_size} does not fit {examples} examples; choose a smaller batch"
        )
    return examples // batch_size


def round_words(seed: int, draw: int, epoch: int) -> list[int]:
    """The word of each round."""
    key = (seed & WORD_MASK, draw & WORD_MASK)
    return [philox((r, epoch, seed >> 32 & WORD_MASK, 0), key)[0] for r in range(ROUNDS)]


def permuted(
    positions: NDArray[np.int64], examples: int | NDArray[np.int64], words: list[int]
) -> NDArray[np.int64]:
    """Where the permutation of ``examples`` by the rounds of ``words`` takes each position."""
    x = np.asarray(positions, np.int64)
    for word in words:
        y = (word * examples >> 32) - x
        y = np.where(y < 0, y + examples, y)
        mixed = (np.maximum(x, y) ^ word) * MIX[0] & WORD_MASK
        mixed = (mixed ^ mixed >> MIX_SHIFT) * MIX[1] & WORD_MASK
        x = np.where(mixed >> 31, y, x)
    return x


def keyed_order(
    examples: int, steps: int, batch_size: int, seed: int, draw: int = 0
) -> NDArray[np.int32]:
    """i32 [steps, batch_size]: the examples of each step that ``order="keyed"`` takes."""
    per_epoch = steps_per_epoch(examples, batch_size)
    positions = np.arange(per_epoch * batch_size)
    epochs = [
        permuted(positions, examples, round_words(seed, draw, epoch))
        for epoch in range(-(-steps // per_epoch))
    ]
    order = np.concatenate(epochs).reshape(-1, batch_size)[:steps]
    return order.astype(np.int32)


def write_keyed_order(writer: Writer, examples: int, batch_size: int) -> View:
    """i32 [batch_size]: the examples of this step, in nodes of eight rounds each."""
    per_epoch = steps_per_epoch(examples, batch_size)
    words = _write_words(writer, per_epoch)
    view: View | None = None
    for first in range(0, ROUNDS, ROUNDS_PER_NODE):
        b = FoldBuilder(DType.I32, (batch_size,))
        if view is None:
            step = b.irem(writer.step.load(b, []), b.i32(per_epoch))
            x = b.iadd(b.imul(step, b.i32(batch_size)), b.coordinate(0))
        else:
            x = view.load(b, [b.out(0)])
        for r in range(first, first + ROUNDS_PER_NODE):
            x = _round(b, x, words.select(0, r).load(b, []), examples)
        view = writer.add(b.finish(x), Origin("order"), "shuffle")
    assert view is not None
    return view


def _write_words(writer: Writer, per_epoch: int) -> View:
    b = FoldBuilder(DType.I32, (ROUNDS,))
    epoch = b.idiv(writer.step.load(b, []), b.i32(per_epoch))
    word = uniform_word(b, writer.seed, writer.next_draw(), epoch, b.coordinate(0))
    return writer.add(b.finish(word), Origin("order"), "shuffle.words")


def _round(b: FoldBuilder, x: Value, word: Value, examples: int) -> Value:
    n = b.i32(examples)
    y = b.isub(b.imulhi(word, n), x)
    y = b.iadd(y, b.iand(b.isar(y, b.i32(31)), n))
    mixed = b.imul(b.ixor(b.imax(x, y), word), b.i32(MIX[0]))
    mixed = b.imul(b.ixor(mixed, b.ishr(mixed, b.i32(MIX_SHIFT))), b.i32(MIX[1]))
    return b.select(b.ilt(mixed, b.i32(0)), y, x)
