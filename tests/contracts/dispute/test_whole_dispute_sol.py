"""From challenge to verdict: both verdicts, both forms of pointing, gas."""

from __future__ import annotations

import pytest

from protocol.dispute.state import DisputeState
from tests.contracts.dispute.arena import SEGMENT, Arena, cheat

S = DisputeState

NINE = [
    "commitOpen",
    "open",
    "postSegment",
    "pointStep",
    "postTrace",
    "pointElement",
    "postFold",
    "pointTerm",
    "judgeArithmetic",
]


def test_dispute_about_one_wrong_bit_convicts_in_nine_transactions(arena: Arena):
    arena.register(cheat())
    arena.gas.clear()
    dispute = arena.open(SEGMENT)
    arena.descend(dispute, S.JUDGE)
    arena.answer(dispute)
    assert arena.state(dispute) is S.CHALLENGER_WON
    assert list(arena.gas) == NINE
    for name, gas in arena.gas.items(): print(name, gas)
    print(sum(arena.gas.values()))
