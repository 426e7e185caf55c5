"""Order of stages, and groups that have none."""

from __future__ import annotations

import pytest

from protocol.kernels.stages import execution_order, make_stage, stored_outputs
from tests.kernels.folds import output, pointwise, program, state

P, Q = state(0, 4), state(1, 4)
CHAIN = program([pointwise(P), pointwise(output(0, 4)), pointwise(output(1, 4))], output(2, 4))


def test_order_takes_a_group_at_its_last_node_or_before_its_first_reader():
    nodes = [pointwise(P), pointwise(Q), pointwise(P), pointwise(output(0, 4), Q)]
    late = program(nodes, output(2, 4), output(3, 4))
    assert execution_order(late, [[0, 2], [1], [3]], [0, 1, 0, 2]) == [1, 0, 2]
    nodes[2] = pointwise(output(1, 4))
    nodes[1] = pointwise(output(0, 4))
    early = program(nodes, output(2, 4), output(3, 4))
    assert execution_order(early, [[0, 3], [1], [2]], [0, 1, 2, 0]) == [0, 1, 2]


def test_order_of_groups_that_need_one_another_is_refused():
    with pytest.raises(ValueError, match=r"\[0, 2\] and \[1\] need one another"):
        execution_order(CHAIN, [[0, 2], [1]], [0, 1, 0])


def test_long_chain_has_an_order_without_recursion():
    count = 5_000
    chain = program(
        [pointwise(P), *(pointwise(output(k, 4)) for k in range(count - 1))], output(count - 1, 4)
    )
    groups = [[k] for k in range(count)]
    assert execution_order(chain, groups, range(count)) == list(range(count))
    backwards = [*range(1, count), 0]  # numbers of groups say nothing
    groups = sorted(([k] for k in range(count)), key=lambda group: backwards[group[0]])
    assert execution_order(chain, groups, backwards) == backwards


def test_outputs_read_outside_or_bound_are_stored():
    assert stored_outputs(CHAIN, [0, 0, 0]) == {2}
    assert stored_outputs(CHAIN, [0, 1, 1]) == {0, 2}


def test_stage_names_each_tensor_once_and_numbers_its_outputs_after_them():
    nodes = [pointwise(P, Q), pointwise(Q, output(0, 4)), pointwise(output(1, 4), P)]
    stage = make_stage(program(nodes, output(0, 4), output(2, 4)), [0, 1, 2], 4, {0, 2})
    assert (stage.reads, stage.writes) == ((P, Q), (0, 2))
    assert stage.region is not None
    assert stage.region.outputs == (2, None, 3)
    assert stage.region.buffers == 4
    kinds = [[(s.buffer, s.member) for s in slots] for slots in stage.region.sources]
    assert kinds == [[(0, None), (1, None)], [(1, None), (None, 0)], [(None, 1), (0, None)]]
