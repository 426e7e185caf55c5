"""Every row of the demo's table, on a real training run, with real agents and contracts."""

from __future__ import annotations

import pytest

from protocol.capture.examples.digits import accuracy
from protocol.cli.demo.scenarios import CONVICTED, PAID, SCENARIOS, play
from protocol.cli.demo.world import OFFER, TOKEN
from protocol.training.replay import Replay

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
NINE_MOVES = [
    "commitOpen",
    "open",
    "postSegment",
    "pointStep",
    "postTrace",
    "pointElement",
    "postFold",
    "pointTerm",
]  # and the ninth, the judgement of the kind that was pointed at


@pytest.mark.parametrize("name", [n for n, s in BY_NAME.items() if s.expected == CONVICTED])
def test_demo_with_a_lying_solver_ends_with_its_conviction(name, digits, stage) -> None:
    finished = play(BY_NAME[name], digits, stage)
    report = finished.report
    assert report.ok, report.notes
    assert report.end == CONVICTED
    assert finished.result is None
    stake = report.task["stake"]
    assert report.gains["solver"] == -stake
    assert report.burned >= stake // 2, "at least half of a slashed stake is burned"
    assert report.gains["requester"] == min(stake // 4, report.task["price"])
    conviction = report.conviction
    assert conviction is not None
    assert conviction.beneficiary is not None
    assert report.gains[conviction.beneficiary] == stake // 4
    assert sum(report.gains.values()) + report.burned == 0, "what came in went out or was burned"
    if conviction.judgement_gas is not None:
        assert conviction.judgement_gas <= 400_000
    if name in ("one-ulp", "wrong-data"):  # served leaves, down to the judgement of one term
        assert [move["function"] for move in conviction.moves][:8] == NINE_MOVES
        assert conviction.transactions == 9
        assert conviction.gas <= 2_500_000
    others = [n for n in report.gains if n not in ("solver", "requester", conviction.beneficiary)]
    assert all(report.gains[n] == 0 for n in others), "every other bond came back whole"


def test_demo_with_an_honest_solver_delivers_the_model_that_anyone_recomputes(
    digits, stage
) -> None:
    finished = play(BY_NAME["honest"], digits, stage)
    report, result = finished.report, finished.result
    assert report.ok, report.notes
    assert report.end == PAID
    assert result is not None
    assert report.gains["solver"] == report.task["price"] == 800 * TOKEN, "the second price"
    attested = 2 * OFFER.verifier_fee
    assert report.gains["requester"] == -report.task["price"] - attested
    recomputed = Replay(digits).state(digits.manifest.steps)
    for bought, own in zip(result, recomputed, strict=True):
        assert bought.tobytes() == own.tobytes()
    names = [spec.name for spec in digits.manifest.state]
    assert accuracy(zip(names, result, strict=True)) > 0.85


@pytest.mark.parametrize("name", ["false-accuser", "saboteur"])
def test_demo_with_a_false_accuser_costs_it_every_bond_and_pays_the_solver(
    name, digits, stage
) -> None:
    finished = play(BY_NAME[name], digits, stage)
    report = finished.report
    assert report.ok, report.notes
    assert report.end == PAID
    bonds = len(report.disputes) * report.task["bond"]
    assert report.gains[name.replace("-", " ")] == -bonds
    assert report.burned == bonds - bonds // 2
    assert report.gains["solver"] == report.task["price"] + bonds // 2
    honest = Replay(digits).log_leaves()[-1]
    assert report.task["result_root"] == f"0x{honest.hex()}"
