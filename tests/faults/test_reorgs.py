"""Reorganisations of several blocks under the agents' feet, every move of a dispute included.

Each function that an agent sends is mined, taken back with the blocks before it, and mined again or
superseded. The agents come to the same end, and nobody stands for two roots.
"""

from __future__ import annotations

import pytest

from protocol.agents.conduct import HONEST, Conduct
from protocol.chain.market import ClaimPhase
from protocol.chain.txlog import Status
from protocol.training import Task
from tests.agents.scenes import LIAR
from tests.faults.colony import TERMS, Colony, End, honest_end
from tests.faults.lodgers import Lodger, folder_of, move_in
from tests.faults.nodes import KINDS, NodeControl, running_node
from tests.training.regression import regression_task

DEPTH = 4
"""Blocks that are taken back at least, the transaction's own among them."""

HONEST_CALLS = {"commitBid", "revealBid", "report", "submit", "attest", "collectFee"}
DISPUTE_CALLS = {
    *("commitOpen", "open", "postSegment", "pointStep", "postTrace"),
    *("pointElement", "postFold", "pointTerm"),
}


@pytest.fixture(scope="module")
def task() -> Task:
    """Eleven steps in three segments, eight nodes."""
    return regression_task(steps=11, interval=4, width=40)


class Rewinder:
    """Takes each function back once, a few blocks after it was mined."""

    def __init__(self, colony: Colony, lodgers: list[Lodger]) -> None:
        self._colony, self._node, self._lodgers = colony, colony.node, lodgers
        self._marks: dict[int, str] = {self._node.head(): self._node.snapshot()}
        self.undone: dict[str, int] = {}  # function -> blocks taken back with it

    def __call__(self) -> None:
        head = self._node.head()
        for lodger in self._lodgers:
            for label, block in lodger.mined():
                if label not in self.undone and block <= head:
                    self._rewind(label, block, head)
                    return
        self._marks.setdefault(head, self._node.snapshot())

    def _rewind(self, label: str, block: int, head: int) -> None:
        to = max((b for b in self._marks if b <= min(block - 1, head - DEPTH)), default=None)
        if to is None or to >= block:
            to = min(self._marks)
        self.undone[label] = head - to
        self._node.revert(self._marks[to])
        time = int(self._node.ask("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
        self._node.ask("evm_setNextBlockTimestamp", time + 3)
        self._node.mine()  # another block at this height
        self._marks = {b: mark for b, mark in self._marks.items() if b < to}
        self._marks[self._node.head()] = self._node.snapshot()


def play(
    node: NodeControl, tmp_path, task: Task, conduct: Conduct, *, rough: bool
) -> tuple[End, set[str], dict[str, int]]:
    """The end, the functions that were sent, and how many blocks were taken back with each."""
    with Colony(folder_of(tmp_path), node, "reorgs") as colony:
        task_id = colony.requester.post(task, TERMS)
        lodgers = [move_in(colony, "solver", conduct=conduct), move_in(colony, "verifier")]
        rewinder = Rewinder(colony, lodgers)
        node.mine(DEPTH)  # the first call can be taken back as deep as any
        if rough:
            colony.after_block = rewinder
        end = colony.play_out(task_id)
        for lodger in lodgers:
            assert not lodger.txlog.with_status(Status.REPLACED)
            assert not lodger.outbox.pending
        sent = set().union(*(lodger.labels() for lodger in lodgers))
        return end, sent, rewinder.undone


def has_come_to_the_same(
    kind: str, tmp_path, task: Task, conduct: Conduct, calls: set[str], calm: End, caplog
) -> None:
    """The end under reorganisations, in which each of these calls was taken back."""
    with running_node(kind, tmp_path) as node:
        end, sent, undone = play(node, tmp_path, task, conduct, rough=True)
    assert end == calm
    assert sent >= calls
    assert set(undone) >= calls
    assert all(undone[call] >= DEPTH for call in calls)
    assert "was taken back by a reorg" in caplog.text
    assert not [record for record in caplog.records if record.levelname == "CRITICAL"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_call_of_an_honest_task_taken_back_is_made_again_to_the_same_end(
    kind: str, tmp_path, task: Task, caplog
) -> None:
    calm = honest_end(task, tmp_path / "run")
    has_come_to_the_same(kind, tmp_path, task, HONEST, HONEST_CALLS, calm, caplog)


@pytest.mark.parametrize("kind", ["anvil", pytest.param("hardhat", marks=pytest.mark.slow)])
def test_every_move_of_a_dispute_taken_back_is_made_again_to_the_same_end(
    kind: str, tmp_path, task: Task, caplog
) -> None:
    (tmp_path / "calm").mkdir()
    with running_node("anvil", tmp_path / "calm") as node:
        calm, sent, _ = play(node, tmp_path / "calm", task, LIAR, rough=False)
    assert [phase for phase, _, _ in calm.claims] == [ClaimPhase.FALLEN]
    assert sent >= DISPUTE_CALLS
    has_come_to_the_same(kind, tmp_path, task, LIAR, DISPUTE_CALLS, calm, caplog)
