"""The toy run is what its node descriptors say: held against the judge, which reads only those."""

from __future__ import annotations

import struct

import pytest

from protocol.dispute.judge import ReferenceJudge
from protocol.dispute.toy import ONE_LEAF, SMALL, ToyConfig, ToyExecution, unpack
from protocol.dispute.trees import ChunkTree, Tree, root_of
from protocol.program.canonical import encode_node
from protocol.program.node import OperandKind
from protocol.program.validate import validate_program

JUDGE = ReferenceJudge()


def operand_words(run: ToyExecution, step: int, node: int) -> list[list[int]]:
    """Words of each operand of a node."""
    words = []
    for operand in run.node(node).operands:
        stored = {
            OperandKind.NODE: lambda index: run.node_output(step, index),
            OperandKind.STATE: lambda index: run.state_tensor(step, index),
            OperandKind.DATA: run.data_tensor,
        }[operand.kind](operand.index)
        words.append(unpack(stored, operand.dtype))
    return words


@pytest.mark.parametrize("config", [SMALL, ONE_LEAF], ids=["small", "one leaf"])
def test_toy_every_term_judged_by_its_descriptor_agrees(config: ToyConfig) -> None:
    run = ToyExecution(config)
    out_of_bounds = skipped = 0
    for j, node in enumerate(run.program.nodes):
        data, operands = encode_node(node), operand_words(run, 0, j)
        for e in {0, 1, 2, 3, node.numel // 2, node.numel - 1} & set(range(node.numel)):
            previous = node.init
            for r, leaf in enumerate(run.fold_leaves(0, j, e)):
                accumulator, *words = struct.unpack(f">{len(leaf) // 4}I", leaf)
                assert JUDGE.arithmetic(data, e, r, previous, words) == accumulator
                skipped += accumulator == previous
                for k, word in enumerate(words):
                    at = JUDGE.locate(data, e, r, k, words)
                    slot = node.loads[k].operand
                    assert word == (operands[slot][at.address] if at.in_bounds else at.fill)
                    out_of_bounds += not at.in_bounds
                previous = accumulator
    assert config.single or (out_of_bounds > 3 and skipped > 3)


@pytest.mark.parametrize("config", [SMALL, ONE_LEAF], ids=["small", "one leaf"])
def test_toy_program_passes_validation(config: ToyConfig) -> None:
    toy = ToyExecution(config).toy
    validate_program(toy.program, toy.data)


def test_toy_has_trees_of_one_and_of_several_leaves() -> None:
    run = ToyExecution()
    chunks = {ChunkTree(run.node_output(0, j)).size for j in range(5)}
    assert chunks == {1, 2, 3}
    assert {run.node(j).terms for j in range(5)} == {1, 2, 3, 5}
    assert [len(run.segment_leaves(m)) for m in (1, 2, 3)] == [3, 3, 1]
    single = ToyExecution(ONE_LEAF)
    assert len(single.trace_leaves(0)) == len(single.state_leaves(1)) == 1
    assert len(single.segment_leaves(1)) == 1


def test_toy_log_ends_are_the_initial_state_and_the_last_segment_leaf() -> None:
    run = ToyExecution()
    log = run.log_leaves()
    assert log[0] == root_of(run.state_leaves(0))
    assert log[1] == run.segment_leaves(1)[-1]
    assert log[-1] == run.segment_leaves(3)[-1]
    assert len(set(log)) == len(log) == 4


def test_toy_trees_open_every_leaf_of_a_tensor() -> None:
    run = ToyExecution()
    stored = run.node_output(0, 3)
    tree = ChunkTree(stored)
    assert b"".join(tree.leaf(i) for i in range(tree.size)) == stored
    assert tree.root == Tree([tree.leaf(i) for i in range(tree.size)]).root
