"""What a process does besides its task."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from protocol.agents.process.housekeeping import DAY_S, Every, Pruner, Teller
from protocol.agents.process.telemetry import Telemetry
from protocol.chain.market import TaskPhase
from protocol.cli.demo.world import World
from protocol.storage import ContentMissing
from protocol.training import Task
from tests.agents.scenes import OFFER_ALL, play_out


class Clock:
    """Time in the test's hands."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def age(folder: Path, seconds: float) -> None:
    """Make everything below a folder as old."""
    then = time.time() - seconds
    for path in [folder, *folder.rglob("*")]:
        os.utime(path, (then, then))


def test_every_is_due_at_first_and_after_its_seconds() -> None:
    clock = Clock()
    every = Every(10, clock)
    due = []
    for clock.now in (0, 1, 9.9, 10, 11, 20):
        due.append(every.is_due())
    assert due == [True, False, False, True, False, True]


def test_pruner_keeps_what_can_be_challenged_and_removes_the_rest_later(
    world: World, task: Task
) -> None:
    requester = world.requester()
    world.solver()
    world.verifier("verifier")
    runs = world.folder / "solver"
    pruner = Pruner(world.reader, world.store, [runs], lambda _claim: [], every=Every(0))
    task_id = requester.post(task, OFFER_ALL)
    world.play(lambda: world.reader.task(task_id).phase is TaskPhase.SUBMITTED)
    claim_id = world.reader.task(task_id).claim_id
    facts = world.reader.facts(claim_id)
    garbage = world.store.put(b"nobody asks for this")
    age(world.folder / "store", 8 * DAY_S)
    age(runs, 8 * DAY_S)

    pruner()
    with pytest.raises(ContentMissing):
        world.store.get(garbage)
    for root in world.store.get_leaves(facts.log_root):
        assert world.store.get_leaves(root)
    assert world.store.get(task.manifest.root)
    assert (runs / task_id.hex()).is_dir()

    play_out(world, task_id)
    pruner()  # ended, and its log is old: but its folder was written to at the end
    age(world.folder / "store", 8 * DAY_S)
    age(runs, 8 * DAY_S)
    pruner()
    assert not (runs / task_id.hex()).exists()
    with pytest.raises(ContentMissing):
        world.store.get_leaves(facts.log_root)


def test_results_stay_to_be_fetched_for_the_days_that_were_asked_for(
    world: World, task: Task
) -> None:
    requester = world.requester()
    world.solver()
    world.verifier("verifier")
    task_id = requester.post(task, OFFER_ALL)
    play_out(world, task_id)
    age(world.folder / "store", 2 * DAY_S)
    Pruner(world.reader, world.store, [], lambda _: [], keep_days=3, every=Every(0))()
    assert len(requester.result(task, task_id)) == len(task.state)


def metric(telemetry: Telemetry, name: str) -> float | None:
    return telemetry.registry.get_sample_value(f"pinpoint_{name}")


def test_teller_tells_until_when_a_run_is_owed(world: World, task: Task) -> None:
    requester = world.requester()
    solver = world.solver()
    world.verifier("verifier")
    clock = Clock()
    telemetry = Telemetry("solver", solver.account, clock=clock)
    tell = Teller(world.reader, solver.account, telemetry, lambda: 7, Every(0))
    task_id = requester.post(task, OFFER_ALL)
    tell()
    assert metric(telemetry, "clock_left_seconds") == float("inf")
    assert metric(telemetry, "delivery_left_seconds") == float("inf")
    assert metric(telemetry, "tasks_live") == 1

    world.play(lambda: world.reader.task(task_id).phase is TaskPhase.RUNNING)
    clock.now = world.reader.now()
    tell()
    assert metric(telemetry, "balance_native_wei") == 7
    left = world.reader.task(task_id).run_end - world.reader.now()
    assert metric(telemetry, "delivery_left_seconds") == left
