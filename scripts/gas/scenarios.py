"""Disputes about a run that really trains, played by the agents as in the demo."""

from __future__ import annotations

from protocol.cli.demo.scenarios import SCENARIOS, play
from protocol.cli.demo.world import Stage
from protocol.training.task import Task
from scripts.gas.moves import Dispute, summary

# Scenario of the demo -> what its dispute is called here.
DISPUTES = {
    "one-ulp": "digits, leaves served, arithmetic",
    "wrong-data": "digits, leaves served, load",
    "bad-binding": "digits, leaves served, binding",
    "withholder": "digits, nothing served",
}


def training_disputes(task: Task) -> dict[str, Dispute]:
    """The convictions of the demo's liars. RuntimeError if a scenario does not end as it must."""
    stage, told = Stage(), {}
    for scenario in SCENARIOS:
        if scenario.name not in DISPUTES:
            continue
        report = play(scenario, task, stage).report
        if not report.ok or report.conviction is None:
            raise RuntimeError(f"the scenario {scenario.name} went wrong: {report.notes}")
        moves = [(move["function"], move["gas"]) for move in report.conviction.moves]
        told[DISPUTES[scenario.name]] = summary(moves)
    return told
