"""Buffers: the next state is that of plain execution, whatever the bindings alias."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import numpy as np
import pytest

from protocol.kernels import fusion, memory
from protocol.kernels.fusion import stages_of
from protocol.kernels.memory import ALIGNMENT, plan_buffers
from protocol.program.builder import FoldBuilder
from protocol.program.isa import DType
from protocol.program.node import Node, Program
from tests.kernels import programs
from tests.kernels.folds import copy, output, pointwise, product, reverse, state
from tests.kernels.folds import program as program_of

STEPS = 3


def check_equal(
    program: Program, seed: int, is_compiled: Callable[[Node], bool] = programs.is_compiled
) -> None:
    """Stages in planned memory and plain execution give the same states, step after step."""
    rng = random.Random(seed)
    stages = stages_of(program, is_compiled)
    plan = plan_buffers(program, stages)
    state = programs.random_state(program, seed)
    expected = [words.copy() for words in state]
    for _ in range(STEPS):
        expected = programs.run_plainly(program, expected)
        state = programs.run_stages(program, stages, plan, state, rng)
        for words, right in zip(state, expected, strict=True):
            np.testing.assert_array_equal(words, right)


@pytest.mark.parametrize("seed", range(60))
def test_stages_of_random_programs_give_the_states_of_plain_execution(seed, monkeypatch):
    rng = random.Random(seed)
    monkeypatch.setattr(fusion, "TINY_WORK", rng.choice((0, 1 << 15)))
    monkeypatch.setattr(fusion, "MIN_UNITS", rng.choice((1, 2, 4)))
    monkeypatch.setattr(fusion, "SHARED_BYTES", 0)
    monkeypatch.setattr(fusion, "WINDOW", rng.choice((5, 4096)))
    alone = set(rng.sample(range(14), rng.randint(0, 4)))
    program = programs.random_program(seed)
    numbers = {id(node): index for index, node in enumerate(program.nodes)}
    check_equal(program, seed, lambda node: numbers[id(node)] not in alone)


def in_place(program: Program) -> dict[int, int]:
    """The plan's overwritten states, after the program was run and compared."""
    check_equal(program, seed=1)
    return plan_buffers(program, stages_of(program, programs.is_compiled)).in_place


P, Q, R = (state(slot, 6) for slot in range(3))


def test_update_overwrites_its_own_state():
    nodes = [pointwise(P, Q)]
    assert in_place(program_of(nodes, output(0, 6), Q)) == {0: 0}


def test_swapped_states_are_kept_apart_whatever_the_order():
    assert in_place(program_of([copy(Q), copy(P)], output(0, 6), output(1, 6))) == {1: 1}
    assert in_place(program_of([pointwise(P)], Q, P)) == {}


def test_state_read_by_a_later_member_of_the_region_is_not_overwritten():
    nodes = [pointwise(P), pointwise(P, output(0, 6))]
    assert in_place(program_of(nodes, output(0, 6), output(1, 6))) == {1: 1}
    assert in_place(program_of(nodes, output(0, 6), Q)) == {}


def test_state_read_by_a_later_stage_is_not_overwritten():
    square = state(0, 2, 2)
    nodes = [pointwise(square), product(square, output(0, 2, 2))]
    assert in_place(program_of(nodes, output(0, 2, 2), output(1, 2, 2))) == {1: 1}


def test_state_read_at_another_element_is_not_overwritten():
    assert in_place(program_of([reverse(P)], output(0, 6))) == {}
    assert in_place(program_of([pointwise(P), reverse(output(0, 6))], output(1, 6))) == {}


def test_state_that_another_slot_keeps_is_not_overwritten():
    assert in_place(program_of([pointwise(P)], output(0, 6), P)) == {0: 1}
    assert in_place(program_of([pointwise(P, Q)], output(0, 6), P)) == {0: 1}


def test_slots_bound_to_one_node_are_one_memory_and_not_overwritten():
    nodes = [pointwise(P, Q), pointwise(output(0, 6), R)]
    assert in_place(program_of(nodes, output(0, 6), output(0, 6), output(1, 6))) == {1: 2}


def test_slots_that_inherit_one_memory_are_not_overwritten():
    # After two steps slots 2 and 3 are one memory: node 1 must not take that of slot 2.
    last = [state(slot, 6) for slot in (3, 4)]
    nodes = [pointwise(P), pointwise(last[1]), pointwise(last[0], output(1, 6))]
    bindings = [output(0, 6), output(0, 6), P, Q, output(1, 6), output(2, 6)]
    plan = in_place(program_of(nodes, *bindings))
    assert plan == {1: 4, 2: 5}


def test_inherited_memory_is_followed_whatever_the_order_of_the_slots():
    slots = [state(slot, 6) for slot in range(6)]
    bindings = [slots[2], slots[3], slots[4], slots[5], output(0, 6), output(0, 6)]
    assert memory._given_up(program_of([pointwise(slots[0])], *bindings)) == set()
    assert memory._given_up(program_of([pointwise(slots[0])], *bindings[:5], slots[5])) == {0}


def test_state_of_another_dtype_or_size_is_not_overwritten():
    b = FoldBuilder(DType.U8, (6,))
    flags = b.finish(b.i32(1))
    made = output(0, 6, dtype=DType.U8)
    taken = in_place(program_of([flags, pointwise(R)], state(1, 6, dtype=DType.U8), made, R))
    assert taken == {0: 0}


@pytest.mark.parametrize("seed", range(8))
def test_arena_gives_outputs_that_live_together_memory_apart(seed):
    rng = random.Random(seed)
    starts = [rng.randrange(40) for _ in range(80)]
    spans = [(start, start + rng.choice((0, 1, 2, 30))) for start in starts]
    sizes = [ALIGNMENT * rng.choice((1, 2, 3, 10, 50)) for _ in spans]
    order = list(range(len(spans)))
    rng.shuffle(order)
    total, places = memory._place(sizes, spans, order)
    assert total == max(place + size for place, size in zip(places, sizes, strict=True))
    for k, j in itertools.combinations(range(len(spans)), 2):
        if spans[k][0] <= spans[j][1] and spans[j][0] <= spans[k][1]:
            assert places[k] + sizes[k] <= places[j] or places[j] + sizes[j] <= places[k]


def test_chain_of_stages_uses_two_places_of_the_arena_in_turns():
    square = state(0, 8, 8)
    nodes = [product(square, square)]
    nodes += [product(output(k, 8, 8), square) for k in range(5)]
    program = program_of([*nodes, pointwise(output(5, 8, 8))], output(6, 8, 8))
    plan = plan_buffers(program, stages_of(program, programs.is_compiled))
    assert plan.arena_bytes == 2 * 256
    assert set(plan.offsets) == set(range(6))
    assert (plan.in_place, plan.fresh, plan.fresh_bytes) == ({6: 0}, (), 0)
