"""All charges of a task played: solvers that are wrong are convicted, wrong accusers lose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from protocol.dispute.state import DisputeState
from tests.dispute.charges import Case, Charge, Way
from tests.dispute.evm import DisputeChain
from tests.dispute.games import CHALLENGER, CLAIM, PARAMETERS, START, Game, facts_of
from tests.dispute.market_gas import market_gas
from tests.dispute.twin import Twin

DEAREST = 4
"""Of each way so many charges, by their bounds, are judged in a whole market too."""


class Metered(Twin):
    """A twin that keeps the gas of the last move that the contracts accepted."""

    gas = 0

    def compare(self, dispute_id: bytes, now: int) -> None:
        """Read the meter before anything else is called."""
        self.gas = self.chain.evm.result.gas_used
        super().compare(dispute_id, now)


@dataclass(frozen=True)
class Judged:
    """What judging a task's nodes took.

    Attributes:
        kinds: of its nodes.
        charges: as many were judged, each of a solver and of an accuser.
        ways: in which they were.
        in_dispute: the most gas of these judgements, without the payments of a market.
        in_market: the most gas in a whole market.
        bound: what a judgement of any node may cost.
    """

    kinds: int
    charges: int
    ways: frozenset[Way]
    in_dispute: int
    in_market: int
    bound: int


def judge_all(case: Case) -> Judged:
    """Play every charge of every kind. AssertionError if one does not end as it must."""
    charges: list[Charge] = []
    for kind in case.kinds:
        found = list(case.charges(kind))
        assert {charge.way for charge in found} >= ways_of(case, kind), kind
        charges += found
    in_dispute = [judge(case, charge) for charge in charges]
    dearest = dearest_of(charges)
    in_market = market_gas(case, dearest)
    for charge, gas in zip([*charges, *dearest], [*in_dispute, *in_market], strict=True):
        assert gas <= charge.bound, charge
    return Judged(
        len(case.kinds),
        len(charges),
        frozenset(charge.way for charge in charges),
        max(in_dispute),
        max(in_market),
        case.worst_bound(),
    )


def judge(case: Case, charge: Charge) -> int:
    """Gas of the dearer judgement: the solver is convicted, its accuser is not believed."""
    return max(_play(case, charge, is_true=True), _play(case, charge, is_true=False))


def ways_of(case: Case, kind: str) -> set[Way]:
    """In which ways nodes of a kind can be judged at least."""
    nodes = [case.task.program.nodes[node] for node in case.kinds[kind]]
    operands = {node.operands[load.operand].kind for node in nodes for load in node.loads}
    return {Way.ARITHMETIC} | {Way[operand.name] for operand in operands}


def dearest_of(charges: Sequence[Charge]) -> list[Charge]:
    """Those with the highest bounds of each way."""
    found = []
    for way in Way:
        own = [charge for charge in charges if charge.way is way]
        found += sorted(own, key=lambda charge: -charge.bound)[:DEAREST]
    return found


def _play(case: Case, charge: Charge, *, is_true: bool) -> int:
    """A dispute about the charge on the contracts; gas of its judgement."""
    liar = case.liar(charge)
    solver, challenger = (liar, case.honest) if is_true else (case.honest, liar)
    chain = _deployed()
    fresh = chain.evm.snapshot()
    twin = Metered({CLAIM: facts_of(solver, len(case.task.state))}, chain=chain)
    game = Game(solver, challenger, model=twin).open()
    end = DisputeState.CHALLENGER_WON if is_true else DisputeState.SOLVER_WON
    assert game.play() is end, charge
    assert not game.refusals
    assert game.moves[-1] == ("judgeArithmetic" if charge.lie.load is None else "judgeLoad")
    assert twin.claims.fallen == ({CLAIM: CHALLENGER} if is_true else {})
    chain.evm.revert(fresh)
    return twin.gas


@cache
def _deployed() -> DisputeChain:
    """The contracts; each dispute starts from them fresh."""
    return DisputeChain(PARAMETERS, START)
