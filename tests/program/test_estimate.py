"""Estimates of a step: exact on a program small enough to count by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.program.cost import FLOAT_OPS, FULL_OUTPUTS, float_work, float_work_of, node_work
from protocol.program.estimate import LEAST_INTERVAL, default_interval, estimate_step
from protocol.program.isa import Op
from protocol.program.node import (
    LOADED_WORD,
    Axis,
    Binding,
    Guard,
    Load,
    Node,
    Operand,
    OperandKind,
    Term,
)
from tests.program import examples


def test_estimate_of_the_example_counts_live_outputs_and_residents() -> None:
    estimate = estimate_step(examples.program(), examples.DATA)
    weights, product, counter, scatter, rows = 7 * 5 * 4, 4 * 5 * 4, 4, 3 * 4, 4 * 7 * 4
    assert estimate.trace_bytes == weights + product + counter + scatter + rows
    # weights die with the product; at the end product, counter, scatter and rows are live.
    outputs = max(weights + product, product + counter + scatter + rows)
    state, data = 4 * 7 * 4 + 4, 8
    assert estimate.peak_bytes == outputs + state + data


def test_estimate_counts_a_guarded_node_as_one_pass_over_its_terms() -> None:
    program = examples.program()
    free = replace(examples.scatter(), guards=())
    unguarded = replace(program, nodes=(*program.nodes[:3], free, program.nodes[4]))
    work = estimate_step(program, examples.DATA).work
    assert estimate_step(unguarded, examples.DATA).work - work == (3 - 1) * 8 * 3


def test_estimate_counts_every_output_where_a_guard_depends_on_the_output() -> None:
    """No kernel can go through the terms once then, whatever the estimate says."""
    table = Operand(OperandKind.DATA, 0, examples.I32, (1000, 8))
    by_term = Load(0, (Axis(8, 1, (Term(1),)),))
    by_output = Load(0, (Axis(1000, 8, (Term(0),)),))
    second_hand = Load(0, (Axis(1000, 8, (Term(LOADED_WORD | 1),)),))
    loads = (by_term, by_output, second_hand)
    work = [
        node_work(Node(examples.I32, (1000,), (8,), 0, (table,), loads, (Guard(load, 0),)))
        for load in range(3)
    ]
    assert work == [8, 8000, 8000]


def test_output_bound_as_state_stays_live_to_the_end() -> None:
    program = examples.program()
    bound = replace(
        program,
        bindings=(*program.bindings, Binding(OperandKind.NODE, 0, examples.F32, (7, 5))),
    )
    grown = estimate_step(bound, examples.DATA)
    state, data = 4 * 7 * 4 + 4 + 7 * 5 * 4, 8
    assert grown.peak_bytes == grown.trace_bytes + state + data, "nothing is freed before the end"


def test_float_work_counts_the_float_arithmetic_of_every_term() -> None:
    wide = examples.matrix_product(64, 7, 50)
    assert float_work_of(wide) == 64 * 50 * 7
    assert float_work_of(examples.counter()) == 0, "an integer is never subnormal"


def test_float_work_of_few_outputs_counts_lanes_that_stay_empty() -> None:
    """An instruction in microcode takes as long for one lane as for all."""
    for rows in (1, 2, 4):
        assert float_work_of(examples.matrix_product(rows, 7, 1)) == FULL_OUTPUTS * 7
    assert float_work_of(examples.matrix_product(FULL_OUTPUTS + 1, 7, 1)) == 257 * 7


@pytest.mark.parametrize("op", list(Op))
def test_float_work_knows_which_instructions_meet_subnormals(op: Op) -> None:
    slow = {Op.ADD, Op.SUB, Op.MUL, Op.DIV, Op.SQRT, Op.FMA}
    assert (op in FLOAT_OPS) == (op in slow)


def test_float_work_of_the_estimate_is_that_of_the_program() -> None:
    program = examples.program()
    assert estimate_step(program, examples.DATA).float_work == float_work(program) > 0
    assert float_work(program) == sum(map(float_work_of, program.nodes))


def test_default_interval_grows_with_the_state_and_not_beyond_the_run() -> None:
    program = examples.program()
    bindings = tuple(replace(b, shape=(1 << 20,)) for b in program.bindings)
    few = default_interval(program, 1 << 30)
    assert few < default_interval(replace(program, bindings=bindings), 1 << 30)
    assert default_interval(program, 5) == 5
    assert default_interval(program, 1_600) == min(few, 100)


def test_default_interval_of_a_long_step_is_the_least() -> None:
    program = examples.program()
    long = replace(program.nodes[0], shape=(1 << 14, 1 << 14), domain=(1 << 10,))
    heavy = replace(program, nodes=(long, *program.nodes[1:]))
    assert default_interval(heavy, 1 << 30) == LEAST_INTERVAL
