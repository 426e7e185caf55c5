"""Withheld leaves: the solver reveals sub-roots, the opener picks, the leaf is opened."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.dispute.moves import (
    Bisect,
    Pick,
    PointBoundElement,
    PointKind,
    PointNode,
    PointTerm,
)
from protocol.dispute.proofs import Prover
from protocol.dispute.state import ARITHMETIC, DisputeState, Level, Side
from protocol.dispute.toy import ToyConfig, ToyExecution
from protocol.merkle import frontier
from tests.contracts.dispute.arena import (
    ELEMENT,
    NODE,
    SEGMENT,
    STEP,
    TERM,
    Arena,
    bent,
    cheat,
    one_leaf,
    refused,
)

S, L = DisputeState, Level


def at(arena: Arena, state: DisputeState, **pointers: int) -> bytes:
    dispute = arena.open()
    arena.descend(dispute, state, **pointers)
    return dispute


def children(arena: Arena, dispute: bytes) -> tuple[bytes, ...]:
    p = arena.position(dispute)
    return tuple(arena.prover.bisected(p).reveal(p.lo, p.size))


def test_dispute_with_everything_withheld_convicts_the_cheat(arena: Arena):
    """Every level by bisection, from the log to the term."""
    arena.register(cheat(), claim=b"\xb1" * 32)
    dispute = arena.open(0)
    arena.answer(dispute)
    arena.pick(dispute, SEGMENT)
    assert arena.position(dispute).segment == SEGMENT
    arena.answer(dispute)
    arena.bisect(dispute, L.SEGMENT, STEP - 3)
    assert (arena.state(dispute), arena.position(dispute).step) == (S.NEED_TRACE, STEP)
    arena.answer(dispute)
    arena.bisect(dispute, L.TRACE, NODE)
    p = arena.position(dispute)
    assert (p.state, p.node) == (S.POINT_NODE, NODE)
    arena.play(dispute, arena.prover.point_node(p, NODE))
    arena.answer(dispute)
    arena.bisect(dispute, L.TENSOR, 0)
    receipt = arena.answer(dispute, sender=arena.other)
    [event] = arena.events(receipt, "ChunkOpened")
    chunk = arena.prover.output(STEP, NODE).leaf(0)
    assert (event["index"], event["chunk"]) == (0, chunk)
    arena.play(dispute, PointBoundElement(arena.position(dispute).hash(), ELEMENT))
    arena.answer(dispute)
    arena.bisect(dispute, L.FOLD, TERM)
    assert (arena.state(dispute), arena.position(dispute).term) == (S.NEED_TERM, TERM)
    receipt = arena.answer(dispute, sender=arena.other)
    [event] = arena.events(receipt, "TermOpened")
    leaf = arena.prover.fold(STEP, NODE, ELEMENT).leaf(TERM)
    assert (event["term"], event["leaf"]) == (TERM, leaf)
    arena.play(dispute, PointKind(arena.position(dispute).hash(), ARITHMETIC))
    arena.answer(dispute, sender=arena.other)
    assert arena.state(dispute) is S.CHALLENGER_WON


def test_dispute_with_everything_withheld_acquits_the_honest(arena: Arena):
    dispute = at(arena, S.BRANCH)
    arena.bisect(dispute, L.POST_STATE, 2)
    p = arena.position(dispute)
    assert (p.state, p.binding) == (S.ANSWER_BINDING, 2)
    arena.answer(dispute)
    assert arena.state(dispute) is S.SOLVER_WON


def test_p03_first_and_last_leaf_of_a_ragged_log_are_reached(arena: Arena):
    """45 leaves: two rounds, the last child of the first one is shorter."""
    long = Prover(ToyExecution(ToyConfig(steps=44, interval=1, rows=1, taps=1, single=True)))
    arena.register(long, claim=b"\xb2" * 32)
    for salt, segment in enumerate([1, 2, 31, 32, 43, 44]):
        dispute = arena.open(0, bytes([salt]) * 32)
        assert arena.position(dispute).size == 45
        while arena.state(dispute) is S.REVEAL:
            arena.answer(dispute)
            arena.pick(dispute, segment)
        p = arena.position(dispute)
        assert (p.state, p.segment, p.size) == (S.NEED_SEGMENT, segment, 1)
    with refused("StalePosition"):
        arena.answer(dispute, expected=bytes(32))


def test_log_leaf_zero_is_no_segment(arena: Arena):
    dispute = arena.open(0)
    arena.answer(dispute)
    p = arena.position(dispute)
    with refused("SegmentOutOfRange", 0, 3):
        arena.play(dispute, Pick(p.hash(), 0, children(arena, dispute)))


def test_reveal_of_other_sub_roots_is_refused(arena: Arena):
    dispute = arena.open(0)
    right = children(arena, dispute)
    expected = arena.facts.log_root
    with refused("WrongSubroot", expected):
        arena.answer(dispute, children=(bent(right[0]), *right[1:]))
    with refused("WrongSubroot", expected):
        arena.answer(dispute, children=(right[1], right[0], *right[2:]))
    for wrong in (right[:-1], (*right, bytes(32)), ()):
        with refused("WrongChildCount", 4, len(wrong)):
            arena.answer(dispute, children=wrong)
    receipt = arena.answer(dispute, sender=arena.other)
    [event] = arena.events(receipt, "Revealed")
    assert (tuple(event["children"]), event["lo"], event["size"]) == (right, 0, 4)
    assert arena.state(dispute) is S.PICK


def test_pick_of_other_sub_roots_is_refused(arena: Arena):
    """They are not stored: the opener must not slip in a sub-root of its own."""
    dispute = arena.open(0)
    arena.answer(dispute)
    right, expected = children(arena, dispute), arena.position(dispute).hash()
    with refused("WrongSubroot", arena.facts.log_root):
        arena.play(dispute, Pick(expected, 1, (right[0], bent(right[1]), *right[2:])))
    with refused("WrongChildCount", 4, 3):
        arena.play(dispute, Pick(expected, 1, right[:-1]))
    with refused("ChildOutOfRange", 4, 4):
        arena.play(dispute, Pick(expected, 4, right))
    with refused("NotOpener", arena.opener, arena.solver):
        arena.play(dispute, Pick(expected, 1, right), arena.solver)


def test_i5_pick_shrinks_the_range(arena: Arena):
    arena.register(
        Prover(ToyExecution(ToyConfig(steps=44, interval=1, rows=1, taps=1, single=True))),
        claim=b"\xb3" * 32,
    )
    dispute = arena.open(0)
    ranges = [(0, 45)]
    while arena.state(dispute) is S.REVEAL:
        arena.answer(dispute)
        receipt = arena.pick(dispute, 40)
        [event] = arena.events(receipt, "Picked")
        lo, size = event["lo"], event["size"]
        assert (lo, size) in frontier(*ranges[-1])
        assert ranges[-1][1] > size >= 1
        ranges.append((lo, size))
    assert ranges[-1] == (40, 1)


@pytest.mark.parametrize(
    ("state", "levels"),
    [
        (S.POINT_STEP, {L.SEGMENT}),
        (S.BRANCH, {L.TRACE, L.POST_STATE}),
        (S.POINT_TERM, {L.FOLD}),
    ],
    ids=lambda x: getattr(x, "name", ""),
)
def test_bisection_of_a_tree_that_is_not_at_hand_is_refused(
    arena: Arena, state: DisputeState, levels: set[Level]
):
    dispute = at(arena, state)
    for level in set(L) - levels:
        with refused("WrongLevel", level, state):
            arena.play(dispute, Bisect(arena.position(dispute).hash(), level))


def test_bisection_starts_with_the_whole_tree(arena: Arena):
    dispute = at(arena, S.BRANCH)
    receipt = arena.play(dispute, Bisect(arena.position(dispute).hash(), L.POST_STATE))
    p = arena.position(dispute)
    post = arena.prover.execution.state_root(STEP + 1)
    assert (p.state, p.level, p.lo, p.size, p.subroot) == (S.REVEAL, L.POST_STATE, 0, 6, post)
    [event] = arena.events(receipt, "BisectionStarted")
    assert (event["size"], event["root"]) == (6, post)
    assert arena.clock(dispute)[0] is Side.SOLVER


def test_x07_bisection_of_one_leaf_arrives_at_once(arena: Arena):
    arena.register(one_leaf(), claim=b"\xb4" * 32)
    first = arena.open(1)
    arena.descend(first, S.BRANCH)
    arena.play(first, Bisect(arena.position(first).hash(), L.TRACE))
    assert (arena.state(first), arena.position(first).node) == (S.POINT_NODE, 0)
    arena.play(first, arena.prover.point_node(arena.position(first), 0))
    arena.answer(first)
    arena.play(first, Bisect(arena.position(first).hash(), L.TENSOR))
    assert arena.state(first) is S.NEED_CHUNK
    arena.answer(first)
    arena.play(first, PointBoundElement(arena.position(first).hash(), 0))
    arena.answer(first)
    arena.play(first, Bisect(arena.position(first).hash(), L.FOLD))
    assert arena.state(first) is S.NEED_TERM
    arena.answer(first)
    arena.play(first, PointKind(arena.position(first).hash(), 1))
    arena.answer(first)
    assert arena.state(first) is S.SOLVER_WON


def test_node_other_than_the_bisected_one_is_refused(arena: Arena):
    dispute = at(arena, S.BRANCH)
    arena.bisect(dispute, L.TRACE, NODE)
    p = arena.position(dispute)
    with refused("WrongNode", NODE, NODE + 1):
        arena.play(dispute, arena.prover.point_node(p, NODE + 1))
    move = arena.prover.point_node(p, NODE)
    with refused("RootMismatch"):
        arena.play(dispute, PointNode(p.hash(), NODE, bent(move.node), move.program_proof))


def test_tensor_root_other_than_the_traces_is_refused(arena: Arena):
    dispute = at(arena, S.BRANCH)
    arena.play(dispute, arena.prover.point_node(arena.position(dispute), NODE))
    with refused("RootMismatch"):
        arena.answer(dispute, tensor_root=arena.prover.output(STEP, 2).root)
    move = arena.right_answer(dispute)
    with refused("WrongProofLength"):
        arena.play(dispute, replace(move, trace_proof=move.trace_proof[:-1]))


def at_chunk(arena: Arena, chunk: int) -> bytes:
    dispute = at(arena, S.BRANCH)
    arena.play(dispute, arena.prover.point_node(arena.position(dispute), NODE))
    arena.answer(dispute)
    arena.bisect(dispute, L.TENSOR, chunk)
    assert arena.state(dispute) is S.NEED_CHUNK
    return dispute


@pytest.mark.parametrize(("chunk", "length"), [(0, 1024), (1, 16)])
def test_chunk_other_than_the_bisected_one_is_refused(arena: Arena, chunk: int, length: int):
    dispute = at_chunk(arena, chunk)
    right = arena.prover.output(STEP, NODE).leaf(chunk)
    with refused("WrongSubroot", arena.position(dispute).subroot):
        arena.answer(dispute, chunk=bent(right))
    for wrong in (right[:-1], right + b"\0", b""):
        with refused("WrongLength", length, len(wrong)):
            arena.answer(dispute, chunk=wrong)


def test_element_outside_the_opened_chunk_is_refused(arena: Arena):
    dispute = at_chunk(arena, 1)
    arena.answer(dispute)
    expected = arena.position(dispute).hash()
    for element, chunk in ((0, 0), (255, 0), (512, 2)):
        with refused("ChunkOutsideRange", chunk, 1, 1):
            arena.play(dispute, PointBoundElement(expected, element))
    with refused("ElementOutOfRange", 260, 260):
        arena.play(dispute, PointBoundElement(expected, 260))
    arena.play(dispute, PointBoundElement(expected, 256))
    assert arena.position(dispute).element == 256


def test_i5_opened_chunk_cannot_be_bisected_again(arena: Arena):
    dispute = at_chunk(arena, 0)
    arena.answer(dispute)
    with refused("WrongState", S.POINT_STEP, S.POINT_ELEMENT):
        arena.play(dispute, Bisect(arena.position(dispute).hash(), L.TENSOR))


def test_term_other_than_the_bisected_one_is_refused(arena: Arena):
    dispute = at(arena, S.POINT_TERM)
    arena.bisect(dispute, L.FOLD, TERM)
    fold = arena.prover.fold(STEP, NODE, ELEMENT)
    with refused("WrongSubroot", arena.position(dispute).subroot):
        arena.answer(dispute, leaf=fold.leaf(TERM + 1))
    for wrong in (fold.leaf(TERM)[:-1], fold.leaf(TERM) + bytes(4), b""):
        with refused("WrongLength", 12, len(wrong)):
            arena.answer(dispute, leaf=wrong)
    arena.answer(dispute)
    with refused("WrongState", S.POINT_TERM, S.POINT_KIND):
        arena.play(dispute, PointTerm(arena.position(dispute).hash(), 0, ARITHMETIC))
