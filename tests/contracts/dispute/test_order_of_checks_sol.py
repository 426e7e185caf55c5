"""Cheap checks first, expensive proofs last (P15); time is seconds, never block numbers (P21)."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from tests.contracts.dispute.arena import Arena, bent, refused

CONTRACTS = Path(__file__).parents[3] / "contracts"


def test_p15_move_that_is_wrong_in_every_way_is_refused_by_the_cheapest_check(arena: Arena):
    dispute = arena.open()
    position = arena.position(dispute)
    right = arena.prover.post_segment(position)
    wrong_proof = replace(right, before=bent(right.before))
    with refused("RootMismatch"):
        arena.play(dispute, wrong_proof, arena.solver)
    with refused("NotSignedBySolver", arena.solver):  # before the proof is looked at
        arena.play(dispute, wrong_proof, arena.other)
    stale = replace(wrong_proof, expected=bent(right.expected))
    with refused("StalePosition", right.expected, stale.expected):  # before the signature
        arena.play(dispute, stale, arena.other)
    side_deadline = arena.clock(dispute)[1]
    arena.wait_until(side_deadline)
    with refused("DeadlinePassed", side_deadline):  # before the position is hashed
        arena.play(dispute, stale, arena.other)
    arena.send("timeout", dispute)
    with refused("WrongState"):  # before anything about time
        arena.play(dispute, stale, arena.other)


def test_p21_block_numbers_serve_the_draw_only() -> None:
    users = {
        path.name
        for path in CONTRACTS.rglob("*.sol")
        if "harness" not in path.parts
        and re.search(r"block\.number|blockhash", path.read_text(encoding="utf-8"))
    }
    assert users == {"Draw.sol", "Solving.sol"}, "the target block of the draw, and its hash"
