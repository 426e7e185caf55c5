"""Runs the demo: builds the task once, plays the scenarios, and prints its progress."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from rich.console import Console

from protocol.cli.demo.report import ScenarioReport

# The tables are the command's; this is progress.
err = Console(stderr=True, highlight=False)

LEAST_ACCURACY = 0.8
"""Of held-out digits, below which the demo has not delivered a model (a guess is right in 0.1)."""


class UnknownPlayer(ValueError):
    """``--only`` names a player that the demo does not have."""


def run_demo(only: Sequence[str] | None = None) -> list[ScenarioReport]:
    """Play all scenarios, or those named; their reports. UnknownPlayer."""
    started = time.perf_counter()
    # What liars complain of is in the report; it is no news here.
    logging.getLogger("protocol").addHandler(logging.NullHandler())
    with err.status("loading"):
        from protocol.capture.examples.digits import HELD_OUT, accuracy, make_task
        from protocol.cli.demo.scenarios import SCENARIOS, play
        from protocol.cli.demo.world import Stage
        from protocol.training.task import Task

    names = [scenario.name for scenario in SCENARIOS]
    unknown = sorted(set(only or ()) - set(names))
    if unknown:
        raise UnknownPlayer(f"no player {', '.join(unknown)}: there are {', '.join(names)}")
    err.print("capturing a PyTorch classifier of scikit-learn's digits …")
    task = Task.create(**make_task().parts())
    err.print(
        f"  {len(task.program.nodes)} nodes, {len(task.program.bindings)} state tensors, "
        f"{task.manifest.steps} steps in {task.manifest.segments} segments"
    )
    err.print("deploying token, vault, registry, market, claims, judge, dispute …")
    stage = Stage()
    reports = []
    for scenario in SCENARIOS:
        if only and scenario.name not in only:
            continue
        with err.status(f"{scenario.name}: {scenario.lie}"):
            finished = play(scenario, task, stage)
        report = finished.report
        if finished.result is not None and scenario.name == "honest":
            names_of_state = [spec.name for spec in task.manifest.state]
            share = accuracy(zip(names_of_state, finished.result, strict=True))
            report.task["held_out_accuracy"] = share
            report.task["held_out_examples"] = HELD_OUT
            if share < LEAST_ACCURACY:
                report.notes.append(f"the model classifies only {share:.1%}")
                report.ok = False
        verdict = "as it must" if report.ok else f"NOT as it must: {'; '.join(report.notes)}"
        err.print(f"  {scenario.name:14} {report.end:10} {report.seconds:5.1f} s  {verdict}")
        reports.append(report)
    err.print(f"{time.perf_counter() - started:.0f} s in all")
    return reports
