"""One verifier against liars in a hundred disputes at once, among a thousand tasks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from protocol.agents.bundle import publish_task
from protocol.agents.conduct import Conduct
from protocol.agents.requester import Requester
from protocol.agents.solver import Solver
from protocol.agents.verifier import Verifier
from protocol.chain.market import Terms
from protocol.cli.demo.lies import OneUlp
from protocol.dispute.state import DisputeState, Position
from protocol.storage import ContentStore
from protocol.training import Task
from scripts.load.crowd import Crowd, Person
from tests.agents.scenes import LIE

FINISHED = 900
LIVE = 100
BLOCK_SECONDS = 12
TICKS_PER_BLOCK = 50
"""An agent that has something to do looks again at once; what it sends is mined with the block."""

MOST_BLOCKS = 400


@dataclass
class Town:
    """The agents with their outboxes, block by block."""

    crowd: Crowd
    people: list[tuple[Person, Requester | Solver | Verifier]]

    def pass_block(self) -> None:
        """Everybody acts as long as it can; then a block is mined."""
        for person, agent in self.people:
            person.outbox.pump()
            for _ in range(TICKS_PER_BLOCK):
                if not agent.tick():
                    break
        self.crowd.mine(BLOCK_SECONDS)

    def pass_until(self, over: Callable[[], bool]) -> int:
        """Blocks until ``over``; how many."""
        for blocks in range(MOST_BLOCKS):
            if over():
                return blocks
            self.pass_block()
        raise AssertionError(f"not over after {MOST_BLOCKS} blocks")


class Withholder:
    """Answers nothing until all disputes are open; then every second claim's, and no others'."""

    def __init__(self) -> None:
        self.waits = True

    def answers(self, position: Position) -> bool:
        """Whether the solver answers."""
        return not self.waits and position.claim_id[-1] % 2 == 0


def build(crowd: Crowd, task: Task, folder: Path, withholder: Withholder) -> Town:
    """A requester, a lying solver and the one verifier."""
    store = ContentStore(folder / "store")
    requester, solver, verifier = (crowd.people[n] for n in ("requester", "solver", "verifier"))

    def price(_terms: Terms) -> int:
        return 10**18

    conduct = Conduct(hooks=OneUlp(LIE), answers=withholder.answers)
    asker = Requester(requester.reader(), requester.sender(), store)
    liar = Solver(
        *(solver.reader(), solver.sender(), solver.journal, store, folder / "runs", price, conduct)
    )
    watcher = Verifier(
        *(verifier.reader(), verifier.sender(), verifier.journal, store),
        checks_all=True,
        folder=folder / "copies",
    )
    publish_task(store, task)  # the postings are made in bulk
    return Town(crowd, [(requester, asker), (solver, liar), (verifier, watcher)])


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("crowd", ["anvil", "hardhat"], indirect=True)
def test_verifier_of_1000_tasks_and_100_live_disputes_misses_no_clock(
    crowd: Crowd, task: Task, tmp_path: Path
) -> None:
    crowd.post_and_cancel(task, FINISHED)
    withholder = Withholder()
    town = build(crowd, task, tmp_path, withholder)
    verifier = crowd.people["verifier"].account
    reader = crowd.people["deployer"].reader(keeps_ended=True)
    crowd.post(task, LIVE)

    town.pass_until(lambda: len(reader.book.claims) == LIVE)
    town.pass_until(lambda: len(reader.book.disputes_of_opener.get(verifier, ())) == LIVE)
    assert len(reader.book.tasks) == FINISHED + LIVE
    withholder.waits = False
    town.pass_until(lambda: not reader.book.open_claims)

    records = list(reader.book.disputes.values())
    assert len(records) == LIVE
    assert {record.closed for record in records} == {DisputeState.CHALLENGER_WON}
    played = [record for record in records if "ArithmeticJudged" in record.seen]
    silent = [record for record in records if "SegmentPosted" not in record.seen]
    assert len(played) + len(silent) == LIVE
    assert min(len(played), len(silent)) > LIVE // 4
    # Nothing of the verifier's budget was used: each move came within its grace.
    dispute = crowd.deployment.dispute.functions
    budget = crowd.deployment.preset.dispute.opener_seconds
    for record in records:
        assert crowd.deployment.chain.call(dispute.remaining(record.dispute_id))[1] == budget
    for _ in range(3):
        town.pass_block()
    assert not crowd.people["verifier"].outbox.pending
