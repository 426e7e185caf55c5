"""The keyed permutation: a true one for every number of examples, and as even as chance."""

from __future__ import annotations

import numpy as np
import pytest

from protocol.capture.data.shuffling import (
    ROUNDS,
    keyed_order,
    permuted,
    round_words,
    write_keyed_order,
)
from protocol.capture.errors import CaptureError
from protocol.capture.writing.values import View
from protocol.capture.writing.writer import Writer, check_affordable
from protocol.kernels.executor import Executor
from protocol.program.isa import MAX_INSTRUCTIONS, DType
from protocol.program.node import Operand, OperandKind
from tests.capture.agreement import assert_engines_agree
from tests.capture.running import states
from tests.capture.test_task import X, Y, capture, mlp

SEED = 0x0123_4567_89AB_CDEF


def permutation(examples: int, epoch: int = 0, seed: int = SEED) -> np.ndarray:
    return permuted(np.arange(examples), examples, round_words(seed, 0, epoch))


def test_every_number_of_examples_up_to_2000_is_permuted() -> None:
    words = round_words(SEED, 0, 0)
    for first in range(1, 2001, 16):  # several at once, side by side
        counts = np.arange(first, min(first + 16, 2001))
        starts = np.cumsum(counts) - counts
        examples, start = np.repeat(counts, counts), np.repeat(starts, counts)
        taken = permuted(np.arange(counts.sum()) - start, examples, words)
        assert (taken >= 0).all()
        assert (taken < examples).all()
        assert (np.bincount(taken + start, minlength=len(examples)) == 1).all(), first


@pytest.mark.parametrize("examples", [4_099, 65_536, 100_003, 262_144])
def test_large_numbers_of_examples_are_permuted(examples: int) -> None:
    for seed in (0, SEED):
        taken = permutation(examples, epoch=3, seed=seed)
        assert (np.bincount(taken, minlength=examples) == 1).all()


@pytest.mark.parametrize("examples", [2**31 - 1, 2**31 - 2, 1_234_567_891, 2**30])
def test_rounds_in_reverse_undo_the_largest_permutations(examples: int) -> None:
    words = round_words(SEED, 0, 1)
    positions = np.random.default_rng(1).integers(0, examples, 2_000)
    positions[:2] = 0, examples - 1
    taken = permuted(positions, examples, words)
    assert (taken >= 0).all()
    assert (taken < examples).all()
    np.testing.assert_array_equal(permuted(taken, examples, words[::-1]), positions)
    assert (taken != positions).mean() > 0.99


def test_positions_spread_evenly_over_seeds() -> None:
    """Chi square of 16 x 16 counts over 1,000 seeds: mean 225 = 15 * 15, deviation about 21."""
    counts = np.zeros((16, 16))
    for seed in range(1_000):
        counts[np.arange(16), permutation(16, seed=seed)] += 1
    expected = 1_000 / 16
    assert 140 < ((counts - expected) ** 2 / expected).sum() < 330


def test_neighbours_do_not_stay_neighbours_nor_epochs_alike() -> None:
    """Of 20,000 neighbours about 2 fall side by side by chance, and 1 element stays in place."""
    first, second = permutation(20_000), permutation(20_000, epoch=1)
    for taken in (first, second):
        assert (np.abs(np.diff(taken)) == 1).sum() <= 12
        assert abs(np.corrcoef(np.arange(20_000), taken)[0, 1]) < 0.03
        assert abs(np.corrcoef(taken[:-1], taken[1:])[0, 1]) < 0.03
    assert (first == second).sum() <= 10
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.03


def rows(examples: int, batch_size: int, steps: list[int], seed: int) -> np.ndarray:
    """What the program's nodes compute at these steps."""
    step = View.whole(Operand(OperandKind.STATE, 0, DType.I32, ()))
    writer = Writer(seed, step)
    write_keyed_order(writer, examples, batch_size)
    executor = Executor(threads=1)
    taken = []
    for number in steps:
        outputs: list[np.ndarray] = []
        for node in writer.nodes:
            given = [
                np.array(number, np.int32) if o.kind is OperandKind.STATE else outputs[o.index]
                for o in node.operands
            ]
            outputs.append(executor.run(node, given))
        taken.append(outputs[-1])
    return np.stack(taken)


@pytest.mark.parametrize(
    ("examples", "batch_size"), [(1, 1), (2, 1), (3, 2), (7, 7), (100, 8), (1_797, 32)]
)
def test_program_takes_the_same_examples_as_the_function(examples: int, batch_size: int) -> None:
    steps = 2 * (examples // batch_size) + 1
    chosen = sorted({0, 1, steps // 2, steps - 2, steps - 1} & set(range(steps)))
    expected = keyed_order(examples, steps, batch_size, SEED)[chosen]
    np.testing.assert_array_equal(rows(examples, batch_size, chosen, SEED), expected)


def test_program_agrees_for_the_largest_number_of_examples() -> None:
    examples, batch_size = 2**31 - 1, 64
    at = examples // batch_size  # the first step of the second epoch, and the last of the first
    taken = rows(examples, batch_size, [at - 1, at], SEED)
    last = np.arange((at - 1) * batch_size, at * batch_size)
    np.testing.assert_array_equal(taken[0], permuted(last, examples, round_words(SEED, 0, 0)))
    first = np.arange(batch_size)
    np.testing.assert_array_equal(taken[1], permuted(first, examples, round_words(SEED, 0, 1)))


def test_nodes_keep_the_limits_of_a_body_and_the_gas_of_its_judgement() -> None:
    writer = Writer(SEED, View.whole(Operand(OperandKind.STATE, 0, DType.I32, ())))
    write_keyed_order(writer, 2**31 - 1, 4_096)
    assert len(writer.nodes) == 1 + ROUNDS // 8
    for node in writer.nodes:
        assert len(node.instructions) <= MAX_INSTRUCTIONS
        check_affordable(node)


def test_epoch_takes_every_example_once_but_for_its_ragged_end() -> None:
    order = keyed_order(examples=50, steps=12, batch_size=8, seed=3)
    assert order.shape == (12, 8)
    assert order.dtype == np.int32
    for epoch in (order[:6], order[6:]):
        assert len(np.unique(epoch)) == 48
    assert not np.array_equal(order[:6], order[6:])
    assert not np.array_equal(order, keyed_order(50, 12, 8, seed=4))


def test_keyed_task_stores_no_order_and_trains_as_with_the_same_order_stored() -> None:
    keyed = capture(mlp(), order="keyed", seed=SEED, steps=7)
    stored = capture(mlp(), order=keyed_order(40, 7, 8, SEED), seed=SEED, steps=7)
    assert "order" in dict(stored.data)
    assert "order" not in dict(keyed.data)
    for one, other in zip(states(keyed), states(stored), strict=True):
        for name in one:
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def test_engines_agree_on_a_keyed_task() -> None:
    assert_engines_agree(capture(mlp(0.2), order="keyed", steps=7, interval=3))


def test_other_words_and_too_large_batches_are_refused() -> None:
    with pytest.raises(CaptureError, match=r"order is 'random'; give 'keyed'.*docs/CAPTURE\.md"):
        capture(mlp(), order="random")
    with pytest.raises(CaptureError, match="batch of 41 does not fit 40 examples"):
        capture(mlp(), order="keyed", batch_size=41, data=(X, Y))
