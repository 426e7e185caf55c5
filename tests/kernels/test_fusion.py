"""Stages of a program: what is computed together, what is stored, in which order."""

from __future__ import annotations

from protocol.kernels import fusion
from protocol.kernels.fusion import describe, stages_of
from protocol.kernels.region import Source
from protocol.program.isa import DType
from protocol.program.node import Node, Program
from tests.kernels import programs
from tests.kernels.folds import (
    column_sum,
    gather,
    integers,
    middle_sum,
    minus_row,
    output,
    pointwise,
    product,
    reverse,
    row_sum,
    state,
    window,
)
from tests.kernels.folds import program as program_of

X = state(0, 256, 512)  # large enough to be shared out
WEIGHT = state(1, 512, 512)


def stages(program: Program) -> list[tuple[tuple[int, ...], int | None, tuple[int, ...]]]:
    """Nodes, units and stored nodes of each stage."""
    found = stages_of(program, programs.is_compiled)
    return [(s.nodes, None if s.region is None else s.region.units, s.writes) for s in found]


def alone(nodes: list[Node]) -> list[tuple[int, ...]]:
    """Which nodes make up the stages of a program that binds its last node."""
    last = output(len(nodes) - 1, *nodes[-1].shape, dtype=nodes[-1].dtype)
    return [found for found, _, _ in stages(program_of(nodes, last))]


def test_pointwise_chain_is_one_flat_region_that_stores_its_end():
    nodes = [pointwise(X), pointwise(output(0, 256, 512)), pointwise(output(1, 256, 512))]
    assert stages(program_of(nodes, output(2, 256, 512))) == [((0, 1, 2), 256 * 512, (2,))]
    (stage,) = stages_of(program_of(nodes, output(2, 256, 512)), programs.is_compiled)
    assert stage.is_flat
    assert stage.reads == (X,)
    assert stage.region is not None
    assert stage.region.sources == ((Source(buffer=0),), (Source(member=0),), (Source(member=1),))
    assert stage.region.outputs == (None, None, 1)
    assert stage.region.buffers == 2


def test_bound_output_is_stored_though_the_region_reads_it():
    nodes = [pointwise(state(1, 256, 512)), pointwise(output(0, 256, 512))]
    found = stages(program_of(nodes, output(0, 256, 512), output(1, 256, 512)))
    assert found == [((0, 1), 256 * 512, (0, 1))]


def test_row_reduction_makes_rows_the_units_of_its_chain():
    nodes = [pointwise(X), row_sum(output(0, 256, 512))]
    nodes.append(minus_row(output(0, 256, 512), output(1, 256)))
    assert stages(program_of(nodes, output(2, 256, 512))) == [((0, 1, 2), 256, (2,))]


def test_matrix_product_is_a_stage_alone():
    nodes = [pointwise(X), product(output(0, 256, 512), WEIGHT), pointwise(output(1, 256, 512))]
    found = stages(program_of(nodes, output(2, 256, 512), WEIGHT))
    assert found == [((0,), 131_072, (0,)), ((1,), None, (1,)), ((2,), 131_072, (2,))]


def test_column_sum_does_not_join_where_its_blocks_are_too_few():
    assert alone([pointwise(X), column_sum(output(0, 256, 512), 4)]) == [(0,), (1,)]
    for blocks, expected in ((63, [(0,), (1,)]), (64, [(0, 1)])):
        nodes = [pointwise(state(0, blocks, 4, 512)), middle_sum(output(0, blocks, 4, 512))]
        assert alone(nodes) == expected


def test_tiny_work_joins_whatever_the_units():
    small = state(0, 4, 8)
    nodes = [pointwise(small), column_sum(output(0, 4, 8), 1), pointwise(output(1, 1, 8))]
    assert stages(program_of(nodes, output(2, 1, 8))) == [((0, 1, 2), 1, (2,))]


def test_rows_that_leave_the_cache_are_not_passed_on(monkeypatch):
    nodes = [pointwise(X), row_sum(output(0, 256, 512))]
    monkeypatch.setattr(fusion, "UNIT_BYTES", 512 * 4)
    assert alone(nodes) == [(0, 1)]
    monkeypatch.setattr(fusion, "UNIT_BYTES", 512 * 4 - 1)
    assert alone(nodes) == [(0,), (1,)]


def test_load_that_may_be_out_of_bounds_does_not_read_a_member():
    assert alone([pointwise(state(0, 64)), window(output(0, 64))]) == [(0,), (1,)]


def test_member_gives_no_coordinates_and_other_tensors_may():
    table = state(0, 64)
    index = output(0, 64, dtype=DType.I32)
    assert alone([integers(64), gather(table, index)]) == [(0,), (1,)]
    words = state(1, 64, dtype=DType.I32)
    nodes = [gather(table, words), pointwise(output(0, 64))]
    assert stages(program_of(nodes, output(1, 64), words)) == [((0, 1), 64, (1,))]
    nodes = [pointwise(table), gather(output(0, 64), words)]  # anywhere in the member
    assert stages(program_of(nodes, output(1, 64), words)) == [((0,), 64, (0,)), ((1,), 64, (1,))]


def test_reader_of_other_units_does_not_join():
    assert alone([pointwise(state(0, 65_536)), reverse(output(0, 65_536))]) == [(0,), (1,)]


def test_independent_readers_of_a_large_tensor_are_siblings():
    nodes = [row_sum(X), row_sum(X)]
    found = stages(program_of(nodes, X, output(0, 256), output(1, 256)))
    assert found == [((0, 1), 256, (0, 1))]
    nodes = [row_sum(X), column_sum(X, 4)]  # they walk it differently
    found = stages(program_of(nodes, X, output(0, 256), output(1, 4, 512)))
    assert found == [((0,), 256, (0,)), ((1,), 2_048, (1,))]
    square = state(0, 512, 512)
    nodes = [row_sum(square), column_sum(square, 1)]  # as many units, but others
    found = stages(program_of(nodes, square, output(0, 512), output(1, 1, 512)))
    assert found == [((0,), 512, (0,)), ((1,), 512, (1,))]


def test_producers_with_groups_of_their_own_are_merged_by_their_reader():
    left, right = state(0, 256, 512), state(1, 256, 512)
    nodes = [row_sum(left), row_sum(right), pointwise(output(0, 256), output(1, 256))]
    found = stages(program_of(nodes, left, right, output(2, 256)))
    assert found == [((0, 1, 2), 256, (2,))]


def test_region_does_not_close_around_a_stage_outside():
    nodes = [
        pointwise(X),
        product(output(0, 256, 512), WEIGHT),
        pointwise(output(0, 256, 512), output(1, 256, 512)),
    ]
    found = stages(program_of(nodes, output(2, 256, 512), WEIGHT))
    assert [nodes for nodes, _, _ in found] == [(0,), (1,), (2,)]


def test_path_through_a_region_that_grew_later_is_seen():
    shape = (256, 512)
    other = state(2, *shape)
    nodes = [
        pointwise(X),  # 0
        pointwise(other),  # 1, on its own so far
        product(output(0, *shape), WEIGHT),  # 2 reads 0
        product(output(1, *shape), WEIGHT),  # 3 reads 1
        pointwise(output(0, *shape), output(3, *shape)),  # 4 joins 0: now 2 waits for 1
        pointwise(output(1, *shape), output(2, *shape)),  # 5 must not join 1
    ]
    found = stages(program_of(nodes, output(4, *shape), WEIGHT, output(5, *shape)))
    assert [nodes for nodes, _, _ in found] == [(1,), (3,), (0, 4), (2,), (5,)]


def test_state_update_stays_flat_and_apart_from_its_gradient():
    grad = state(1, 512, 512)
    weight = state(0, 512)
    nodes = [column_sum(grad, 1)]
    nodes.append(pointwise(weight, output(0, 512)))
    found = stages(program_of(nodes, output(1, 512), grad))
    assert found == [((0,), 512, (0,)), ((1,), 512, (1,))]


def test_far_nodes_do_not_join(monkeypatch):
    square = state(0, 8, 8)
    nodes = [pointwise(square), *[product(square, square)] * 3, pointwise(output(0, 8, 8))]
    assert (0, 4) in alone(nodes)
    monkeypatch.setattr(fusion, "REACH", 3)
    assert (0, 4) not in alone(nodes)


def sums_of_products(count: int) -> Program:
    """The sum of ``count`` row sums of large products, of which one need live at a time."""
    nodes: list[Node] = []
    for k in range(count):
        nodes += [product(X, WEIGHT), row_sum(output(2 * k, 256, 512))]
    nodes.append(pointwise(*(output(2 * k + 1, 256) for k in range(count))))
    return program_of(nodes, X, WEIGHT, output(2 * count, 256))


def test_sums_of_large_tensors_do_not_wait_for_one_another():
    found = [nodes for nodes, _, _ in stages(sums_of_products(3))]
    assert found == [(0,), (1,), (2,), (3,), (4,), (5, 6)]


def test_groups_that_take_too_much_memory_reach_less_far(monkeypatch):
    monkeypatch.setattr(fusion._Fusion, "_is_hoard", lambda *_: False)
    found = [nodes for nodes, _, _ in stages(sums_of_products(3))]
    assert found == [(0,), (1,), (2,), (3,), (4,), (5, 6)]
    monkeypatch.setattr(fusion, "MEMORY", 10.0)
    found = [nodes for nodes, _, _ in stages(sums_of_products(3))]
    assert found == [(0,), (2,), (4,), (1, 3, 5, 6)]


def test_groups_do_not_cross_windows(monkeypatch):
    monkeypatch.setattr(fusion, "WINDOW", 2)
    nodes = [pointwise(X), *(pointwise(output(k, 256, 512)) for k in range(4))]
    assert alone(nodes) == [(0, 1), (2, 3), (4,)]


def test_members_are_bounded(monkeypatch):
    monkeypatch.setattr(fusion, "MAX_MEMBERS", 3)
    nodes = [pointwise(X), *(pointwise(output(k, 256, 512)) for k in range(4))]
    assert alone(nodes) == [(0, 1, 2), (3, 4)]


def test_description_counts_what_is_not_stored():
    nodes = [pointwise(X), pointwise(output(0, 256, 512))]
    program = program_of(nodes, output(1, 256, 512))
    table = describe(program, stages_of(program, programs.is_compiled))
    assert "| 0, 1 | 131,072 | 1 | 524,288 | 524,288 |" in table
    assert table.endswith(
        "2 nodes in 1 stages; 524,288 of 1,048,576 bytes of outputs are not stored."
    )


def test_stages_without_regions_are_the_nodes_in_order():
    program = programs.random_program(3)
    found = stages_of(program, lambda _: False)
    assert [stage.nodes for stage in found] == [(k,) for k in range(len(program.nodes))]
    assert all(stage.region is None for stage in found)
