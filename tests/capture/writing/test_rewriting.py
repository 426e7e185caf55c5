"""A program under rewriting knows its readers and shows every reader the shape it reads."""

from __future__ import annotations

from dataclasses import replace

from protocol.capture.writing.rewriting import Rewriting, with_operands
from protocol.program.builder import FoldBuilder
from protocol.program.isa import DType
from protocol.program.node import Node, Operand, OperandKind

STATE = Operand(OperandKind.STATE, 0, DType.F32, (12,))


def chained(sources: list[Operand]) -> Node:
    """The sum of tensors of 12 elements."""
    b = FoldBuilder(DType.F32, (12,))
    total = b.f32(1.0)
    for source in sources:
        total = b.add(total, b.load(source, [b.out(0).axis(12, 1)]))
    return b.finish(total)


def of(index: int) -> Operand:
    return Operand(OperandKind.NODE, index, DType.F32, (12,))


def test_readers_are_only_those_that_a_state_tensor_needs() -> None:
    nodes = [chained([STATE]), chained([of(0)]), chained([of(0)])]
    program = Rewriting(nodes, {2})
    assert program.readers == [{2}, set(), set()]
    assert [program.is_needed(i) for i in range(3)] == [True, False, True]


def test_node_under_another_shape_is_read_under_it() -> None:
    program = Rewriting([chained([STATE]), chained([of(0), STATE])], {1})
    program.replace(0, replace(chained([]), shape=(3, 4)))
    assert [operand.shape for operand in program.nodes[1].operands] == [(3, 4), (12,)]


def test_source_that_nothing_reads_any_more_frees_its_own_sources() -> None:
    program = Rewriting([chained([STATE]), chained([of(0)]), chained([of(1)])], {2})
    program.replace(2, chained([STATE]))
    assert program.readers == [set(), set(), set()]


def test_source_that_is_read_again_needs_its_own_sources_again() -> None:
    nodes = [chained([STATE]), chained([of(0)]), chained([STATE])]
    program = Rewriting(nodes, {2})
    program.replace(2, chained([of(1)]))
    assert program.readers == [{1}, {2}, set()]


def test_operands_that_become_one_share_a_slot() -> None:
    node = chained([of(0), of(1)])
    merged = with_operands(node, [STATE, STATE])
    assert merged.operands == (STATE,)
    assert [load.operand for load in merged.loads] == [0, 0]


def test_shared_nodes_are_read_at_the_first_of_them() -> None:
    nodes = [chained([STATE]), chained([STATE]), chained([of(0), of(1)])]
    program = Rewriting(nodes, {2})
    program.share()
    assert program.nodes[2].operands == (of(0),)
