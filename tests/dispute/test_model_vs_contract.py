"""The model and the contracts under random play; ``random_play.py`` says what is checked.

An invariant that is only met because every move was refused proves nothing: the accepted moves of
each kind and the refusals of each kind are counted.
"""

from __future__ import annotations

from collections import Counter

from protocol.dispute.rules import RULES
from protocol.dispute.state import DisputeState
from tests.dispute.random_play import FALSE_CLAIMS, KEPT_CLAIMS, RandomPlay

SEEDS = range(5)
ACTIONS = 1800
REFUSALS = (
    "WrongState",
    "StalePosition",
    "NotOpener",
    "NotSignedBySolver",
    "DeadlinePassed",
    "DeadlineNotReached",
    "WrongProofLength",
    "RootMismatch",
    "WrongLength",
    "WrongSubroot",
    "WrongLevel",
    "RootAlreadyStored",
    "DisputeOver",
    "ClaimNotDisputable",
    "UnknownCommitment",
)


def test_random_play_agrees_with_the_contracts_and_keeps_the_invariants() -> None:
    """I1, I2, I3, I4, I5, I7, I8, I10, I11."""
    accepted: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    outcomes: Counter[DisputeState] = Counter()
    for seed in SEEDS:
        play = RandomPlay(seed)
        for action in range(ACTIONS):
            play.act()
            if action % 50 == 0:
                play.check_money()
        play.finish()
        for claim in FALSE_CLAIMS:
            assert play.twin.claims.is_fallen(claim), "I2: one honest challenger is enough"
        for claim in KEPT_CLAIMS:
            assert play.twin.claims.is_disputable(claim), "I1"
            play.twin.claims.finalise(claim, play.now)
        accepted += play.twin.accepted
        for name, count in play.twin.refused.items():
            refused[name.split()[1]] += count
        outcomes += play.outcomes
    few = {move.__name__: accepted[move.__name__] for move in RULES if accepted[move.__name__] < 8}
    assert not few, f"too few accepted moves: {few}"
    assert sum(accepted.values()) > 1000
    for reason in REFUSALS:
        assert refused[reason] >= 3, f"{reason} was provoked only {refused[reason]} times"
    for state in (
        DisputeState.SOLVER_WON,
        DisputeState.CHALLENGER_WON,
        DisputeState.REFUNDED,
    ):
        assert outcomes[state] >= 4
