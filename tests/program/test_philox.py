"""Philox4x32-10: the known answers of Random123, and the same words from instructions."""

from __future__ import annotations

import numpy as np
import pytest

from protocol.kernels.executor import Executor
from protocol.program import philox
from protocol.program.builder import FoldBuilder
from protocol.program.isa import DType
from protocol.program.node import Operand, OperandKind
from protocol.program.validate import validate_node

ONES = 0xFFFFFFFF
# kat_vectors of Random123 1.14: (counter, key, words).
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ONES,) * 4, (ONES,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN)
def test_known_answers_of_the_authors_hold(counter, key, words) -> None:
    assert philox.philox(counter, key) == words


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN)
def test_instructions_give_the_known_answers(counter, key, words) -> None:
    for place, word in enumerate(words):
        b = FoldBuilder(DType.I32, ())
        out = philox.philox_words(b, tuple(b.i32(c) for c in counter), key)
        node = b.finish(out[place])
        validate_node(node)
        assert int(Executor(threads=1).run(node, []).view(np.uint32)[()]) == word


def draw(seed: int, node_number: int, step: int, count: int) -> np.ndarray:
    b = FoldBuilder(DType.I32, (count // 10, 10))
    at = b.load(Operand(OperandKind.STATE, 0, DType.I32, ()))
    node = b.finish(philox.uniform_word(b, seed, node_number, at, b.flat_position()))
    validate_node(node)
    return Executor(threads=1).run(node, [np.array(step, np.int32)]).view(np.uint32).ravel()


def test_word_of_an_element_is_keyed_by_seed_and_node_and_counts_step_and_element() -> None:
    seed = 0x123456789ABCDEF0
    words = draw(seed, 7, 41, 50)
    for element in (0, 1, 13, 49):
        counter, key = (element, 41, seed >> 32, 0), (seed & ONES, 7)
        assert words[element] == philox.philox(counter, key)[0]


def test_words_change_with_each_part_of_the_key_and_counter() -> None:
    base = draw(1, 2, 3, 100)
    for other in (
        draw(2, 2, 3, 100),
        draw(1 + (1 << 32), 2, 3, 100),
        draw(1, 3, 3, 100),
        draw(1, 2, 4, 100),
    ):
        assert (base == other).sum() <= 1


@pytest.mark.parametrize("probability", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_keep_has_its_probability(probability: float) -> None:
    b = FoldBuilder(DType.U8, (100_000,))
    word = philox.uniform_word(b, 5, 0, b.i32(0), b.flat_position())
    node = b.finish(philox.keep(b, word, probability))
    kept = Executor(threads=1).run(node, []).mean()
    assert abs(kept - probability) < 0.005


def test_probability_outside_0_to_1_is_refused() -> None:
    with pytest.raises(ValueError, match=r"1\.5"):
        philox.keep_threshold(1.5)
