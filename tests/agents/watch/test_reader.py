"""The reader: each event once, and nothing of a branch that the chain has left."""

from __future__ import annotations

import logging

import pytest

from protocol.agents.conduct import Conduct
from protocol.agents.watch import reader as reader_module
from protocol.agents.watch.reader import Reader
from protocol.agents.watch.views import Views
from protocol.chain.market import TaskPhase
from protocol.cli.demo.world import OFFER, STAKE, World
from protocol.dispute.moves import CommitOpen, Open
from protocol.dispute.state import DisputeState, commitment_of
from protocol.training import Task
from tests.agents.scenes import HONEST, LIAR, OFFER_ALL, play_out

SALT = bytes(32)


class Counting(Reader):
    """Counts the events that it enters and the ranges of blocks that it asks for."""

    def __init__(self, deployment, first_block: int = 0) -> None:
        super().__init__(deployment, first_block)
        self.ranges: list[tuple[int, int]] = []
        self.events: list[str] = []

    def _events_between(self, first, last):
        self.ranges.append((first, last))
        for name, args in super()._events_between(first, last):
            self.events.append(name)
            yield name, args


def test_reader_enters_each_event_once_and_asks_for_each_block_once(
    world: World, task: Task
) -> None:
    reader = Counting(world.deployment)
    requester = world.requester()
    first = requester.post(task, OFFER)
    assert list(reader.book.tasks) == [first]
    assert reader.events == ["TaskPosted", "RoundOpened"]
    second = requester.post(task, OFFER)
    world.chain.mine(3)
    assert list(reader.book.tasks) == [first, second]
    assert reader.book is reader.book
    assert reader.events == ["TaskPosted", "RoundOpened"] * 2
    ends = [last for _, last in reader.ranges]
    assert [start for start, _ in reader.ranges] == [0] + [end + 1 for end in ends[:-1]]


def test_reader_asks_for_long_histories_in_pages(world: World, task: Task, monkeypatch) -> None:
    requester = world.requester()
    posted = [requester.post(task, OFFER), requester.post(task, OFFER)]
    whole = Reader(world.deployment).book
    monkeypatch.setattr(reader_module, "BLOCKS_PER_QUERY", 1)
    assert Reader(world.deployment).book == whole
    assert list(whole.tasks) == posted


def test_reader_after_a_reorganisation_forgets_what_the_chain_forgot(
    world: World, task: Task, caplog
) -> None:
    """A task, a claim and a dispute of an abandoned branch are gone; another task is there."""
    requester = world.requester()
    world.solver()
    world.solver("rival", price=OFFER.max_reward)
    account = world.chain.accounts[7]
    kept = requester.post(task, OFFER)
    reader = Reader(world.deployment)
    assert list(reader.book.tasks) == [kept]
    fork, fork_height = world.chain.snapshot(), reader.block_number()

    lost = requester.post(task, OFFER)
    world.play(lambda: bool(world.reader.book.claims))
    claim_id = next(iter(reader.book.claims))
    commitment = commitment_of(claim_id, account, 1, SALT)
    dispute = world.deployment.dispute.functions
    world.chain.send(dispute.commitOpen(*CommitOpen(claim_id, commitment).arguments()), account)
    world.chain.mine(1)
    world.chain.send(dispute.open(*Open(claim_id, 1, SALT).arguments()), account)
    height = reader.block_number()
    assert reader.position(commitment).state is DisputeState.NEED_SEGMENT
    assert (list(reader.book.tasks), list(reader.book.disputes)) == ([kept, lost], [commitment])
    assert reader.task(kept).phase is not TaskPhase.BIDDING

    world.chain.revert(fork)
    assert list(reader.book.tasks) == [kept]  # a shorter chain
    assert not reader.book.claims
    assert not reader.book.disputes
    assert not reader.book.commitments
    assert reader.task(kept).phase is TaskPhase.BIDDING
    assert f"was replaced: going back to block {fork_height}" in caplog.text
    assert "reading all events again" not in caplog.text

    world.chain.send(world.deployment.registry.functions.stake(STAKE), account)
    other = requester.post(task, OFFER)
    world.chain.mine(height - world.chain.w3.eth.block_number)
    assert reader.block_number() == height  # as high as before, with other blocks
    assert list(reader.book.tasks) == [kept, other]


def test_reader_of_a_replaced_chain_as_high_as_the_old_one_reads_views_again(
    world: World, task: Task
) -> None:
    requester = world.requester()
    task_id = requester.post(task, OFFER)
    reader = Reader(world.deployment)
    fork = world.chain.snapshot()
    world.chain.advance(OFFER.bid_seconds)
    assert reader.task(task_id).phase is TaskPhase.REVEALING
    world.chain.revert(fork)
    world.chain.mine(1)
    assert reader.task(task_id).phase is TaskPhase.BIDDING
    assert list(reader.book.tasks) == [task_id]


def test_reader_of_a_chain_that_moves_while_it_reads_tries_again(
    world: World, task: Task, caplog
) -> None:
    """Events of the branch that is left between two questions are never entered."""
    requester = world.requester()
    fork = world.chain.snapshot()

    class Unlucky(Counting):
        def _events_between(self, first, last):
            events = list(super()._events_between(first, last))
            if len(self.ranges) == 1:
                world.chain.revert(fork)
                world.chain.mine(5)
            yield from events

    requester.post(task, OFFER)
    reader = Unlucky(world.deployment)
    with caplog.at_level(logging.WARNING):
        assert not reader.book.tasks
    assert reader.events[:2] == ["TaskPosted", "RoundOpened"]
    assert len(reader.ranges) == 2


def test_reader_of_a_node_that_never_agrees_with_itself_says_so(world: World) -> None:
    class Hopeless(Counting):
        def _events_between(self, first, last):
            yield from super()._events_between(first, last)
            world.chain.revert(fork)
            world.chain.mine(len(self.ranges))
            world.chain.transfer(world.chain.accounts[5], len(self.ranges))

    fork = world.chain.snapshot()
    world.chain.mine(2)
    with pytest.raises(ConnectionError, match="not in sync"):
        _ = Hopeless(world.deployment).book


@pytest.mark.parametrize("conduct", [HONEST, LIAR], ids=["paid", "convicted"])
def test_agents_ask_nothing_about_tasks_that_have_ended(
    world: World, task: Task, conduct: Conduct, monkeypatch
) -> None:
    """Watching costs what is going on, not what ever was."""
    requester = world.requester()
    agents = [requester, world.solver(conduct=conduct), world.verifier("verifier")]
    agents.append(world.solver("newcomer", None))
    task_id = requester.post(task, OFFER_ALL)
    play_out(world, task_id)
    world.chain.mine(1)
    asked: list[str] = []
    ask = Views.ask
    monkeypatch.setattr(
        Views, "ask", lambda views, view: asked.append(view.function) or ask(views, view)
    )
    assert not any(agent.tick() for agent in agents)
    assert not asked
