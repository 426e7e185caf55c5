"""A solver takes no more than its machine can train, and takes back what it has no secret of."""

from __future__ import annotations

from protocol.agents.duties import Bid
from protocol.agents.journal import Journal
from protocol.agents.sender import Sender
from protocol.agents.solver import Solver
from protocol.chain.market import TaskPhase
from protocol.cli.demo.world import OFFER, World
from protocol.training import Task
from tests.agents.scenes import PRICE


def busy_solver(world: World, at_once: int | None, name: str = "solver") -> Solver:
    """A solver with a limit."""
    agent = world.add(
        name,
        lambda reader, sender, journal, store: Solver(
            *(reader, sender, journal, store, world.folder / name, lambda _: PRICE),
            at_once=at_once,
        ),
    )
    assert isinstance(agent, Solver)
    return agent


def bids_on(world: World, solver: Solver, tasks: list[bytes]) -> int:
    for _ in range(10):
        solver.tick()
    return sum(world.reader.bid(t, 0, solver.account) is not Bid.NONE for t in tasks)


def test_solver_bids_on_no_more_tasks_than_it_may_have_at_once(world: World, task: Task) -> None:
    requester = world.requester()
    one, any_ = busy_solver(world, 1, "one"), busy_solver(world, None, "any")
    tasks = [requester.post(task, OFFER) for _ in range(3)]
    assert bids_on(world, one, tasks) == 1
    assert bids_on(world, any_, tasks) == 3


def test_solver_goes_on_to_the_next_task_when_it_has_submitted(world: World, task: Task) -> None:
    requester = world.requester()
    solver = busy_solver(world, 1)
    first = requester.post(task, OFFER)
    world.play(lambda: world.reader.task(first).phase is TaskPhase.SUBMITTED)
    second = requester.post(task, OFFER)
    assert bids_on(world, solver, [second]) == 1


def test_stake_of_a_bid_whose_secret_is_lost_comes_back(world: World, task: Task) -> None:
    requester = world.requester()
    forgetful = busy_solver(world, 1, "forgetful")
    world.solver("rival", price=PRICE + 1)
    before = world.holdings(forgetful.account)
    task_id = requester.post(task, OFFER)
    assert bids_on(world, forgetful, [task_id]) == 1
    assert world.holdings(forgetful.account) < before
    # A new home: all secrets are gone.
    account, chain_id = forgetful.account, world.chain.w3.eth.chain_id
    world.players["forgetful"].agent = Solver(
        world.reader,
        Sender(world.deployment, account, "forgetful", world.ledger),
        Journal(world.folder / "new" / "journal.sqlite", chain_id, account),
        world.store,
        world.folder / "new",
        lambda _: None,
    )
    world.play(lambda: world.reader.task(task_id).phase >= TaskPhase.RUNNING)
    world.players["forgetful"].agent.tick()
    assert before - world.holdings(account) == OFFER.max_reward // 20, "the deposit alone is lost"
