"""Every level x {first, middle, last, only leaf} x {wrong word, random hash, withheld}.

The solver is convicted, whether it serves its leaves or not; and a challenger that believes the lie
loses the same dispute against an honest solver (I1, I2).
"""

from __future__ import annotations

from collections.abc import Collection
from random import Random

import pytest

from protocol.dispute.bounds import most_moves
from protocol.dispute.state import DisputeState, Level
from tests.dispute.games import BOND, CHALLENGER, CLAIM, EVERYTHING, NOTHING, SOLVER, Game
from tests.dispute.matrix import CASES, Case, honest

SERVING = {"served": EVERYTHING, "withheld": NOTHING}


@pytest.mark.parametrize("serving", SERVING.values(), ids=SERVING)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_liar_is_convicted(case: Case, serving: Collection[Level]) -> None:
    game = Game(case.liar(), honest(case.config), serving=serving)
    segment = game.choose()
    if case.visible:
        assert segment in (0, case.segment)
    assert game.open(case.segment).play() is DisputeState.CHALLENGER_WON
    facts = game.model.claims.facts_of(CLAIM)
    assert game.position.turn <= most_moves(facts, chunks=3, terms=5), "I5"
    assert game.model.claims.fallen == {CLAIM: CHALLENGER}
    assert game.model.vault.credits[CHALLENGER] == 10 * BOND
    assert game.model.vault.burned == 0
    if case.judged:
        assert not game.refusals
        assert game.moves[-1] != "timeout"


@pytest.mark.parametrize("seed", range(60))
def test_liar_that_serves_some_levels_is_convicted(seed: int) -> None:
    random = Random(seed)
    case = random.choice(CASES)
    serving = {level for level in Level if random.random() < 0.5}
    game = Game(case.liar(), honest(case.config), serving=serving)
    segment = random.choice((0, case.segment)) if case.visible else case.segment
    assert game.open(segment).play() is DisputeState.CHALLENGER_WON


@pytest.mark.parametrize("serving", SERVING.values(), ids=SERVING)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_same_challenge_of_an_honest_run_fails(case: Case, serving: Collection[Level]) -> None:
    game = Game(honest(case.config), case.liar(), serving=serving)
    assert game.open(case.segment).play() is DisputeState.SOLVER_WON
    assert game.model.claims.is_disputable(CLAIM)
    assert game.model.vault.credits[CHALLENGER] == 9 * BOND
    assert game.model.vault.credits[SOLVER] == 600
    assert game.model.vault.burned == 400
    assert not game.refusals
