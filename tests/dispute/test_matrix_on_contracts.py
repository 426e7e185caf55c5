"""The matrix again, each move played on the contracts and on the model at once.

The model decides what must happen (``test_matrix.py``); here the contracts must agree with it about
every position, clock, refusal and payment on the way.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import pytest

from protocol.dispute.state import DisputeState, Level
from tests.dispute.evm import DisputeChain
from tests.dispute.games import (
    CHALLENGER,
    CLAIM,
    EVERYTHING,
    NOTHING,
    PARAMETERS,
    REQUESTER,
    SOLVER,
    START,
    Game,
    facts_of,
)
from tests.dispute.matrix import CASES, Case, honest
from tests.dispute.twin import Twin


@pytest.fixture(scope="module")
def deployed() -> DisputeChain:
    """The contracts, deployed once."""
    return DisputeChain(PARAMETERS, START)


@pytest.fixture
def chain(deployed: DisputeChain) -> Iterator[DisputeChain]:
    """The contracts as they were deployed."""
    fresh = deployed.evm.snapshot()
    yield deployed
    deployed.evm.revert(fresh)


PARTIES = [SOLVER, CHALLENGER, REQUESTER]
SERVING = {"served": EVERYTHING, "withheld": NOTHING}


@pytest.mark.parametrize("serving", SERVING.values(), ids=SERVING)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_liar_is_convicted_on_chain(
    chain: DisputeChain, case: Case, serving: Collection[Level]
) -> None:
    liar = case.liar()
    twin = Twin({CLAIM: facts_of(liar, len(liar.state_leaves(0)))}, chain=chain)
    game = Game(liar, honest(case.config), serving=serving, model=twin)
    assert game.open(case.segment).play() is DisputeState.CHALLENGER_WON
    twin.compare_money(PARTIES)


@pytest.mark.parametrize("serving", SERVING.values(), ids=SERVING)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_same_challenge_of_an_honest_run_fails_on_chain(
    chain: DisputeChain, case: Case, serving: Collection[Level]
) -> None:
    run = honest(case.config)
    twin = Twin({CLAIM: facts_of(run, len(run.state_leaves(0)))}, chain=chain)
    game = Game(run, case.liar(), serving=serving, model=twin)
    assert game.open(case.segment).play() is DisputeState.SOLVER_WON
    twin.compare_money(PARTIES)
