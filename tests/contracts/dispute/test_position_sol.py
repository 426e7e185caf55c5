"""The expected position: what it covers, what it leaves out, and what a reorg cannot do."""

from __future__ import annotations

from dataclasses import replace

import pytest
from eth_utils.crypto import keccak

from protocol.dispute.moves import PointStep, PointTerm
from protocol.dispute.state import ARITHMETIC, DisputeState, Level, Position
from protocol.dispute.trees import Tree
from tests.contracts.dispute.arena import SEGMENT, Arena, refused

S = DisputeState

PATH = [
    S.NEED_SEGMENT,
    S.POINT_STEP,
    S.NEED_TRACE,
    S.BRANCH,
    S.NEED_FOLD,
    S.POINT_TERM,
    S.JUDGE,
]


def test_hash_is_keccak_of_the_encoded_position_in_every_state(arena: Arena):
    dispute = arena.open()
    seen = set()
    for turn, state in enumerate(PATH):
        arena.descend(dispute, state)
        p = arena.position(dispute)
        assert arena.view("positionHash", dispute) == p.hash() == keccak(p.encode())
        assert p.turn == turn
        seen.add(p.hash())
    arena.answer(dispute)
    assert arena.view("positionHash", dispute) == arena.position(dispute).hash()
    seen.add(arena.position(dispute).hash())
    assert len(seen) == len(PATH) + 1


@pytest.mark.parametrize("state", PATH[1:])
def test_p01_move_for_another_position_is_refused(arena: Arena, state: DisputeState):
    dispute = arena.open()
    old = arena.position(dispute).hash()
    arena.descend(dispute, state)
    p = arena.position(dispute)
    moves = {
        S.POINT_STEP: PointStep(old, 1),
        S.BRANCH: replace(arena.prover.point_element(p, 1, 3), expected=old),
        S.POINT_TERM: PointTerm(old, 1, ARITHMETIC),
    }
    move = moves.get(state) or replace(arena.right_answer(dispute), expected=old)
    with refused("StalePosition", p.hash(), old):
        arena.play(dispute, move)


def test_p01_reorg_that_brings_another_root_stops_the_pointer(arena: Arena):
    """The opener pointed at a step of one segment root; after the reorg another one is stored."""
    dispute = arena.open()
    before = arena.chain.snapshot()
    arena.answer(dispute)
    pointer = PointStep(arena.position(dispute).hash(), 1)
    arena.chain.revert(before)
    leaves = arena.prover.execution.segment_leaves(SEGMENT)
    other = Tree([leaves[1], leaves[0], leaves[2]])
    arena.answer(dispute, segment_root=other.root, proof_end=tuple(other.proof(2)))
    with refused("StalePosition"):
        arena.play(dispute, pointer)


def test_x15_reorg_that_moves_only_time_leaves_moves_valid(arena: Arena):
    dispute = arena.open()
    before = arena.chain.snapshot()
    arena.answer(dispute)
    pointer = PointStep(arena.position(dispute).hash(), 1)
    arena.chain.revert(before)
    arena.chain.advance(77)
    arena.answer(dispute, sender=arena.solver)
    arena.play(dispute, pointer)
    assert arena.state(dispute) is S.NEED_TRACE


def test_x15_same_position_in_two_disputes_has_two_hashes(arena: Arena):
    first, second = arena.open(), arena.open(opener=arena.other)
    third_claim = arena.register(claim=b"\x0c" * 32)
    third = arena.open()
    hashes = {arena.position(d).hash() for d in (first, second, third)}
    assert len(hashes) == 3
    assert arena.position(third).claim_id == third_claim


def test_position_of_no_dispute_is_empty(arena: Arena):
    p = arena.position(bytes(32))
    assert p == Position(bytes(32), "0x" + "0" * 40, S.NONE)


def test_position_covers_the_bisected_range(arena: Arena):
    dispute = arena.open(0)
    p = arena.position(dispute)
    changed = [replace(p, lo=1), replace(p, size=3), replace(p, subroot=bytes(32))]
    changed += [replace(p, level=Level.SEGMENT), replace(p, turn=1), replace(p, segment=1)]
    assert len({c.hash() for c in [p, *changed]}) == 7


def test_i11_moves_leave_other_disputes_alone(arena: Arena):
    first, second = arena.open(), arena.open(opener=arena.other)
    before = arena.position(second), arena.clock(second), arena.view("remaining", second)
    arena.descend(first, S.JUDGE)
    after = arena.position(second), arena.clock(second), arena.view("remaining", second)
    assert before == after
