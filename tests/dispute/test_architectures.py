"""Every kind of node that people's models are made of is judged on chain, when it is wrong.

Of each architecture, and of every optimiser, nodes of every kind are taken, and every way in which
a node of this kind can be judged. A solver is off by one unit in the last place of one element: it
is convicted. An accuser who is wrong about the same element loses. Then the same places are judged
in a whole market on the embedded chain, in the dearest way for a dispute to end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache

import pytest

from protocol.dispute.state import DisputeState
from tests.dispute.charges import Case, Charge, Way
from tests.dispute.games import CHALLENGER, CLAIM, Game, facts_of
from tests.dispute.market_gas import market_gas
from tests.dispute.models import MODELS, task_of
from tests.dispute.twin import Twin

GAS_CAP = 400_000
QUICK = (
    ("llama", "aten.rsqrt (fwd)"),
    ("diffusion", "aten.convolution_backward (bwd)"),
    ("adafactor, all", "adafactor.param (opt)"),
)


class Metered(Twin):
    """A twin that keeps the gas of the last move that the contracts accepted."""

    gas = 0

    def compare(self, dispute_id: bytes, now: int) -> None:
        """Read the meter before anything else is called."""
        self.gas = self.chain.evm.result.gas_used
        super().compare(dispute_id, now)


@cache
def case_of(name: str) -> Case:
    return Case(task_of(name))


def judged(case: Case, charge: Charge) -> Iterator[int]:
    """Gas of the judgements of a charge: its solver is convicted, its accuser is not believed."""
    liar = case.liar(charge)
    state_count = len(case.task.state)
    last = "judgeArithmetic" if charge.lie.load is None else "judgeLoad"
    twin = Metered({CLAIM: facts_of(liar, state_count)})
    game = Game(liar, case.honest, model=twin).open()
    assert game.play() is DisputeState.CHALLENGER_WON, charge
    assert not game.refusals
    assert game.moves[-1] == last
    assert twin.claims.fallen == {CLAIM: CHALLENGER}
    yield twin.gas
    twin = Metered({CLAIM: facts_of(case.honest, state_count)})
    game = Game(case.honest, liar, model=twin).open()
    assert game.play() is DisputeState.SOLVER_WON, charge
    assert not game.refusals
    assert game.moves[-1] == last
    assert not twin.claims.fallen
    yield twin.gas


def ways(case: Case, kind: str) -> set[Way]:
    """In which ways nodes of a kind can be judged, as far as their loads tell."""
    program = case.task.program
    nodes = [program.nodes[node] for node in case.kinds[kind]]
    operands = {node.operands[load.operand].kind for node in nodes for load in node.loads}
    return {Way.ARITHMETIC} | {Way[kind.name] for kind in operands}


@pytest.mark.parametrize(("name", "kind"), QUICK)
def test_wrong_bit_of_an_architectures_node_is_judged(name: str, kind: str) -> None:
    case = case_of(name)
    charges = list(case.charges(kind))
    assert {charge.way for charge in charges} >= ways(case, kind)
    for charge in charges:
        assert max(judged(case, charge)) <= charge.bound <= GAS_CAP


def test_dearest_node_of_an_architecture_is_judged_in_a_whole_market() -> None:
    case = case_of("unet")
    charge = max(case.charges("aten.mul (bwd)"), key=lambda each: each.bound)
    (gas,) = market_gas(case, [charge])
    assert 200_000 < gas <= charge.bound


@pytest.mark.slow
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("name", MODELS)
def test_wrong_bits_of_every_kind_of_node_are_judged(
    name: str, record_property: Callable[[str, object], None]
) -> None:
    case = case_of(name)
    charges: list[Charge] = []
    for kind in case.kinds:
        found = list(case.charges(kind))
        assert {charge.way for charge in found} >= ways(case, kind), kind
        charges += found
    worst = 0
    for charge in charges:
        gas = max(judged(case, charge))
        assert gas <= charge.bound <= GAS_CAP
        worst = max(worst, gas)
    in_market = market_gas(case, charges)
    for charge, gas in zip(charges, in_market, strict=True):
        assert gas <= charge.bound, charge
    record_property("kinds of nodes", len(case.kinds))
    record_property("charges", dict(Counter(charge.way.value for charge in charges)))
    record_property("carried", sum(charge.carried for charge in charges))
    record_property("worst gas of a dispute's judgement", worst)
    record_property("worst gas in a market", max(in_market))
