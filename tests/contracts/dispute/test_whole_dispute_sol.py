"""From challenge to verdict: nine transactions, their gas, code sizes, and the two halves."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from protocol.chain.artifact import Artifact
from protocol.chain.pyevm import GENESIS_TIME_S
from protocol.dispute.state import DisputeState
from tests.contracts.dispute.arena import SEGMENT, Arena, cheat, refused

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
GAS_OF_A_DISPUTE = 2_500_000
GAS_OF_A_JUDGEMENT = 400_000
CODE_LIMIT = 24_576
INITCODE_LIMIT = 49_152


@pytest.mark.parametrize("guilty", [True, False], ids=["cheat", "honest"])
def test_challenge_to_verdict_takes_nine_transactions(arena: Arena, guilty: bool):
    if guilty:
        arena.register(cheat(), claim=b"\x01" * 32)
    arena.gas.clear()
    dispute = arena.open(SEGMENT)
    arena.descend(dispute, S.JUDGE)
    arena.answer(dispute)
    assert arena.state(dispute) is (S.CHALLENGER_WON if guilty else S.SOLVER_WON)
    assert list(arena.gas) == NINE
    assert arena.chain.now() > GENESIS_TIME_S


def test_gas_of_a_dispute_and_of_its_judgement_stays_below_the_bars(arena: Arena):
    arena.register(cheat(), claim=b"\x01" * 32)
    arena.gas.clear()
    dispute = arena.open(SEGMENT)
    arena.descend(dispute, S.JUDGE)
    arena.answer(dispute)
    assert arena.total_gas() <= GAS_OF_A_DISPUTE
    assert arena.gas["judgeArithmetic"] <= GAS_OF_A_JUDGEMENT


@pytest.mark.parametrize("name", ["Dispute", "Endgame", "Judge"])
def test_code_fits_the_limits_of_chains(compiled: Mapping[str, Artifact], name: str):
    artifact = compiled[name]
    code, init = (len(x) // 2 - 1 for x in (artifact.deployed_bytecode, artifact.bytecode))
    assert code <= CODE_LIMIT
    assert init <= INITCODE_LIMIT


def test_second_half_called_directly_knows_no_dispute(arena: Arena):
    dispute = arena.open(0)
    endgame = arena.chain.contract("Endgame", arena.view("endgame"))
    reveal = arena.right_answer(dispute)
    with refused("UnknownDispute", dispute):
        arena.chain.send(endgame.functions.reveal(dispute, *reveal.arguments()), arena.solver)


def test_second_half_has_the_constants_of_the_first(arena: Arena):
    endgame = arena.chain.contract("Endgame", arena.view("endgame"))
    for name in ("claims", "vault", "judge"):
        theirs = arena.chain.call(getattr(endgame.functions, name)())
        assert theirs == arena.view(name)


def test_shares_above_one_are_refused(arena: Arena):
    one = 10**18
    for shares in ((one + 1, 0), (0, one + 1)):
        with refused("ShareAboveOne", one, one + 1):
            arena.chain.deploy(
                "Dispute",
                arena.claims.address,
                arena.vault.address,
                arena.view("judge"),
                (1, 1, 1, *shares),
            )
