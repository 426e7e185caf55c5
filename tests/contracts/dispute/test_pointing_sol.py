"""The opener's pointers: range checks at once, no proofs but the node's public bytes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.dispute.moves import (
    Bisect,
    PointBinding,
    PointBoundElement,
    PointElement,
    PointKind,
    PointNode,
    PointStep,
    PointTerm,
)
from protocol.dispute.state import ARITHMETIC, DisputeState, Level, Side
from protocol.program.canonical import encode_node
from protocol.program.isa import DType
from protocol.program.node import Node
from tests.contracts.dispute.arena import ELEMENT, NODE, Arena, bad_proofs, bent, refused

S = DisputeState
BINDING = 5  # index among the program's leaves of the first binding


def at(arena: Arena, state: DisputeState, **pointers: int) -> bytes:
    dispute = arena.open()
    arena.descend(dispute, state, **pointers)
    return dispute


# -------------------------------------------------------------------- caller and state


def test_pointers_come_from_the_opener_only(arena: Arena):
    dispute = at(arena, S.POINT_STEP)
    for sender in (arena.solver, arena.other):
        with refused("NotOpener", arena.opener, sender):
            arena.play(dispute, PointStep(arena.position(dispute).hash(), 0), sender)
    arena.descend(dispute, S.BRANCH)
    p = arena.position(dispute)
    for move in (
        PointBinding(p.hash(), 0),
        arena.prover.point_element(p, NODE, ELEMENT),
        arena.prover.point_node(p, NODE),
        Bisect(p.hash(), Level.TRACE),
    ):
        with refused("NotOpener", arena.opener, arena.solver):
            arena.play(dispute, move, arena.solver)
    arena.descend(dispute, S.POINT_TERM)
    with refused("NotOpener", arena.opener, arena.solver):
        arena.play(dispute, PointTerm(arena.position(dispute).hash(), 0, 0), arena.solver)


def test_move_in_a_dispute_that_does_not_exist_is_refused(arena: Arena):
    with refused("UnknownDispute", bytes(32)):
        arena.send("pointStep", bytes(32), bytes(32), 0)
    with refused("UnknownDispute", bytes(32)):
        arena.send("timeout", bytes(32))
    with refused("UnknownDispute", bytes(32)):
        arena.send("refund", bytes(32))


def test_every_move_is_refused_outside_its_state(arena: Arena):
    """The table of states, from one position in which none of these moves is due."""
    dispute = at(arena, S.POINT_TERM)
    p = arena.position(dispute)
    e, z, none = p.hash(), bytes(32), []
    empty = b""
    moves = {
        "postSegment": ([z, z, z, none, none, none, empty], S.NEED_SEGMENT),
        "pointStep": ([0], S.POINT_STEP),
        "postTrace": ([z, z, z, none, none, empty], S.NEED_TRACE),
        "pointElement": ([0, 0, empty, none], S.BRANCH),
        "pointNode": ([0, empty, none], S.BRANCH),
        "pointBinding": ([0], S.BRANCH),
        "answerBinding": ([empty, none, z, none, z, none], S.ANSWER_BINDING),
        "openTensor": ([z, none], S.NEED_TENSOR),
        "pointBoundElement": ([0], S.POINT_CHUNK),
        "openChunk": ([empty], S.NEED_CHUNK),
        "postFold": ([z, z, none, empty, none, empty, none, empty], S.NEED_FOLD),
        "openTerm": ([empty], S.NEED_TERM),
        "pointKind": ([0], S.POINT_KIND),
        "judgeArithmetic": ([empty, empty, none, empty, none], S.JUDGE),
        "judgeLoad": ([empty, empty, none, z, none, empty, none], S.JUDGE),
        "reveal": ([none], S.REVEAL),
        "pick": ([0, none], S.PICK),
        "useRoot": ([], S.NEED_SEGMENT),
    }
    for function, (arguments, needed) in moves.items():
        with refused("WrongState", needed, S.POINT_TERM):
            arena.send(function, dispute, e, *arguments)
    arena.play(dispute, PointTerm(e, 0, ARITHMETIC))
    with refused("WrongState", S.POINT_TERM, S.JUDGE):
        arena.send("pointTerm", dispute, arena.position(dispute).hash(), 0, 0)
    with refused("WrongState", S.POINT_STEP, S.JUDGE):
        arena.send("bisect", dispute, arena.position(dispute).hash(), 2)


# -------------------------------------------------------------------- step, binding


@pytest.mark.parametrize("t", [0, 2])
def test_step_is_counted_over_the_whole_run(arena: Arena, t: int):
    dispute = at(arena, S.POINT_STEP)
    receipt = arena.play(dispute, PointStep(arena.position(dispute).hash(), t))
    assert (arena.position(dispute).state, arena.position(dispute).step) == (S.NEED_TRACE, 3 + t)
    assert arena.events(receipt, "StepPointed")[0]["step"] == 3 + t


@pytest.mark.parametrize("t", [3, 2**64 - 1])
def test_step_outside_the_segment_is_refused(arena: Arena, t: int):
    dispute = at(arena, S.POINT_STEP)
    with refused("StepOutOfRange", t, 3):
        arena.play(dispute, PointStep(arena.position(dispute).hash(), t))


@pytest.mark.parametrize("q", [6, 2**32 - 1])
def test_binding_outside_the_state_is_refused(arena: Arena, q: int):
    dispute = at(arena, S.BRANCH)
    with refused("BindingOutOfRange", q, 6):
        arena.play(dispute, PointBinding(arena.position(dispute).hash(), q))


def test_branch_is_taken_once(arena: Arena):
    dispute = at(arena, S.BRANCH)
    arena.play(dispute, PointBinding(arena.position(dispute).hash(), 5))
    p = arena.position(dispute)
    assert (p.state, p.binding, p.side) == (S.ANSWER_BINDING, 5, Side.SOLVER)
    for move in (arena.prover.point_element(p, NODE, ELEMENT), PointBinding(p.hash(), 4)):
        with refused("WrongState", S.BRANCH, S.ANSWER_BINDING):
            arena.play(dispute, move, arena.opener)


# -------------------------------------------------------------------- node and element


def test_element_keeps_the_facts_of_the_node(arena: Arena):
    dispute = at(arena, S.BRANCH)
    move = arena.prover.point_element(arena.position(dispute), 3, 2069)
    arena.play(dispute, move)
    assert list(arena.view("shape", dispute)) == [DType.U8, 1, 2070, 2, 2, 0]
    p = arena.position(dispute)
    assert (p.node, p.element, p.state) == (3, 2069, S.NEED_FOLD)


@pytest.mark.parametrize(("node", "element"), [(0, 1), (1, 260), (3, 2070), (4, 2**64 - 1)])
def test_element_outside_the_tensor_is_refused(arena: Arena, node: int, element: int):
    dispute = at(arena, S.BRANCH)
    numel = arena.prover.node(node).numel
    with refused("ElementOutOfRange", element, numel):
        arena.play(dispute, arena.prover.point_element(arena.position(dispute), node, element))


@pytest.mark.parametrize("kind", [PointElement, PointNode])
def test_node_outside_the_program_is_refused(arena: Arena, kind: type):
    """Leaf N of the program is a binding: it must not pass for a node."""
    dispute = at(arena, S.BRANCH)
    p, tree = arena.position(dispute), arena.prover.program()
    for j, leaf in ((5, BINDING), (2**32 - 1, 0)):
        bound = (tree.leaf(leaf), tuple(tree.proof(leaf)))
        extra = (0,) if kind is PointElement else ()
        with refused("NodeOutOfRange", j, 5):
            arena.play(dispute, kind(p.hash(), j, *extra, *bound))


@pytest.mark.parametrize("kind", [PointElement, PointNode])
def test_node_bytes_that_are_not_the_programs_are_refused(arena: Arena, kind: type):
    dispute = at(arena, S.BRANCH)
    p, prover = arena.position(dispute), arena.prover
    if kind is PointElement:
        move = prover.point_element(p, NODE, ELEMENT)
    else:
        move = prover.point_node(p, NODE)
    other = encode_node(Node(DType.I32, (), constants=(), instructions=(), result=0))
    for node in (bent(move.node), other, prover.program().leaf(0), move.node + b"\0", b""):
        with refused("RootMismatch"):
            arena.play(dispute, replace(move, node=node))
    for proof, error in bad_proofs(move.program_proof):
        with refused(error):
            arena.play(dispute, replace(move, program_proof=proof))
    with refused("RootMismatch"):
        arena.play(dispute, replace(move, j=NODE + 1))


def test_program_of_bytes_that_are_no_node_binds_nothing(arena: Arena):
    """A task that validation refuses; the judge's decoder is as strict on chain."""
    from protocol.dispute.trees import Tree

    leaves = arena.prover.execution.program_leaves()
    for bad in (leaves[BINDING], leaves[0] + b"\0", b""):
        tree = Tree([bad, *leaves[1:]])
        arena.register(claim=bytes([len(bad)]) * 32, program_root=tree.root)
        dispute = at(arena, S.BRANCH)
        move = PointNode(arena.position(dispute).hash(), 0, bad, tuple(tree.proof(0)))
        with refused("MalformedNode"):
            arena.play(dispute, move)


# -------------------------------------------------------------------- withheld tensor


def test_tensor_withheld_is_opened_and_pointed_into(arena: Arena):
    dispute = at(arena, S.BRANCH)
    arena.play(dispute, arena.prover.point_node(arena.position(dispute), NODE))
    assert arena.state(dispute) is S.NEED_TENSOR
    receipt = arena.answer(dispute, sender=arena.other)
    [event] = arena.events(receipt, "TensorOpened")
    assert event["tensorRoot"] == arena.prover.output(4, NODE).root
    p = arena.position(dispute)
    assert (p.state, p.level, p.size, p.subroot) == (
        S.POINT_CHUNK,
        Level.TENSOR,
        2,
        event["tensorRoot"],
    )
    with refused("ElementOutOfRange", 260, 260):
        arena.play(dispute, PointBoundElement(p.hash(), 260))
    with refused("ChunkOutsideRange", 2, 0, 2):
        arena.play(dispute, PointBoundElement(p.hash(), 512))
    arena.play(dispute, PointBoundElement(p.hash(), ELEMENT))
    assert arena.state(dispute) is S.NEED_FOLD
    arena.descend(dispute, S.JUDGE)


# -------------------------------------------------------------------- term and kind


@pytest.mark.parametrize("kind", [0, 1, ARITHMETIC])
def test_term_names_what_is_judged(arena: Arena, kind: int):
    dispute = at(arena, S.POINT_TERM)
    receipt = arena.play(dispute, PointTerm(arena.position(dispute).hash(), 2, kind))
    p = arena.position(dispute)
    assert (p.state, p.term, p.kind) == (S.JUDGE, 2, kind)
    [event] = arena.events(receipt, "TermPointed")
    assert (event["term"], event["kind"]) == (2, kind)


@pytest.mark.parametrize("r", [3, 2**64 - 1])
def test_term_outside_the_fold_is_refused(arena: Arena, r: int):
    dispute = at(arena, S.POINT_TERM)
    with refused("TermOutOfRange", r, 3):
        arena.play(dispute, PointTerm(arena.position(dispute).hash(), r, ARITHMETIC))


@pytest.mark.parametrize("kind", [2, 0xFE])
def test_load_outside_the_node_is_refused(arena: Arena, kind: int):
    dispute = at(arena, S.POINT_TERM)
    with refused("KindOutOfRange", kind, 2):
        arena.play(dispute, PointTerm(arena.position(dispute).hash(), 0, kind))
    arena.bisect(dispute, Level.FOLD, 1)
    arena.answer(dispute)
    with refused("KindOutOfRange", kind, 2):
        arena.play(dispute, PointKind(arena.position(dispute).hash(), kind))


def test_x07_index_other_than_zero_is_refused_in_trees_of_one_leaf(arena: Arena):
    from tests.contracts.dispute.arena import one_leaf

    arena.register(one_leaf(), claim=b"\xab" * 32)
    dispute = arena.open(1)
    arena.descend(dispute, S.BRANCH)
    p = arena.position(dispute)
    with refused("BindingOutOfRange", 1, 1):
        arena.play(dispute, PointBinding(p.hash(), 1))
    with refused("ElementOutOfRange", 1, 1):
        arena.play(dispute, arena.prover.point_element(p, 0, 1))
    arena.descend(dispute, S.POINT_TERM, node=0, element=0)
    with refused("TermOutOfRange", 1, 1):
        arena.play(dispute, PointTerm(arena.position(dispute).hash(), 1, ARITHMETIC))
