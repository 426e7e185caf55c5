"""What a checker re-executes: from what is served where it can, from the beginning where not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.agents.checking import Checker
from protocol.agents.conduct import Conduct
from protocol.cli.demo.lies import OneUlp
from protocol.cli.demo.world import World
from protocol.kernels import Executor
from protocol.merkle import tensor_root
from protocol.training import Task
from tests.agents.flaky import FlakyExecutor
from tests.agents.scenes import FALSE_SEGMENT, HONEST, LIAR, LIE, OFFER_ALL


class Counting(FlakyExecutor):
    """Counts how often it runs the node that makes the loss, and is never wrong."""

    def __init__(self) -> None:
        super().__init__(shape=(), runs=[])

    @property
    def steps(self) -> int:
        """Steps run; loss and step counter are the two scalar nodes."""
        return self.runs // 2


def submit(world: World, task: Task, conduct: Conduct) -> bytes:
    """The claim of a solver."""
    requester = world.requester()
    world.solver(conduct=conduct)
    requester.post(task, OFFER_ALL)
    world.play(lambda: bool(world.reader.book.claims))
    (claim_id,) = world.reader.book.claims
    return claim_id


def test_checker_runs_only_the_segments_that_it_was_drawn_for(world: World, task: Task) -> None:
    claim_id = submit(world, task, HONEST)
    facts = world.reader.facts(claim_id)
    for drawn, steps in (((3,), 3), ((1, 3), 7), ((), 11)):
        executor = Counting()
        checker = Checker(world.reader, world.store, executors=(executor, Executor(1)))
        assert checker.find_false_segments(claim_id, facts, drawn) == []
        assert executor.steps == steps


def test_checker_drawn_for_true_segments_of_a_false_claim_finds_nothing(
    world: World, task: Task
) -> None:
    """A segment is checked from the checkpoint before it, whether that one is true or not."""
    claim_id = submit(world, task, LIAR)
    facts = world.reader.facts(claim_id)
    checker = Checker(world.reader, world.store)
    assert checker.find_false_segments(claim_id, facts, (1,)) == []
    assert checker.find_false_segments(claim_id, facts, (3,)) == []
    assert checker.find_false_segments(claim_id, facts, (3, 2, 1)) == [FALSE_SEGMENT]
    assert checker.find_false_segments(claim_id, facts, ()) == [FALSE_SEGMENT]


def test_second_execution_runs_only_the_segment_that_the_first_one_accuses(
    world: World, task: Task
) -> None:
    claim_id = submit(world, task, LIAR)
    facts = world.reader.facts(claim_id)
    first, second = Counting(), Counting()
    checker = Checker(world.reader, world.store, executors=(first, second))
    assert checker.find_false_segments(claim_id, facts, (1, 2, 3)) == [FALSE_SEGMENT]
    lengths = [facts.segment_length(segment) for segment in range(1, FALSE_SEGMENT + 1)]
    assert (first.steps, second.steps) == (sum(lengths), lengths[-1])


@pytest.mark.parametrize("withheld", ["a tensor", "the state's leaves"])
def test_checker_that_is_not_served_the_segment_s_start_runs_from_the_beginning(
    world: World, task: Task, withheld: str
) -> None:
    claim_id = submit(world, task, LIAR)
    facts = world.reader.facts(claim_id)
    start = world.players["solver"].agent.run_of(facts.task_id).checkpoints.roots()[1]
    weight = world.store.get_leaves(start)[0]
    kind, name = ("tensor", weight) if withheld == "a tensor" else ("leaves", start)
    (world.folder / "store" / kind / name.hex()[:2] / name.hex()).unlink()
    executor = Counting()
    checker = Checker(world.reader, world.store, executors=(executor, Executor(1)))
    assert checker.find_false_segments(claim_id, facts, (2,)) == [FALSE_SEGMENT]
    assert executor.steps == task.manifest.steps


def test_checker_that_is_served_a_forged_start_does_not_use_it(world: World, task: Task) -> None:
    """The store is not trusted: a start that is not in the log convicts nobody."""
    claim_id = submit(world, task, HONEST)
    facts = world.reader.facts(claim_id)
    start = world.players["solver"].agent.run_of(facts.task_id).checkpoints.roots()[1]
    weight = world.store.get_leaves(start)[0]
    path = world.folder / "store" / "tensor" / weight.hex()[:2] / weight.hex()
    forged = path.read_bytes()[:-1] + b"\x7f"
    assert tensor_root(forged) != weight
    path.write_bytes(forged)
    checker = Checker(world.reader, world.store)
    assert checker.find_false_segments(claim_id, facts, (2,)) == []


def test_checker_of_a_withheld_log_opens_the_log_if_it_is_false_and_nothing_if_it_is_true(
    world: World, task: Task
) -> None:
    claim_id = submit(world, task, replace(LIAR, serves=False))
    facts = world.reader.facts(claim_id)
    checker = Checker(world.reader, world.store)
    assert checker.find_false_segments(claim_id, facts, (1,)) == [0]
    liar_s_view = Checker(world.reader, world.store, hooks=OneUlp(LIE))
    assert liar_s_view.find_false_segments(claim_id, facts, (1,)) == []
