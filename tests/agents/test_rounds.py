"""A task whose solver failed goes into another round; old bids, claims and disputes stay behind."""

from __future__ import annotations

from protocol.agents.bundle import TaskUnreachable
from protocol.agents.requester import Requester
from protocol.agents.solver import Solver
from protocol.chain.market import ClaimPhase, TaskPhase
from protocol.cli.demo.world import OFFER, World
from protocol.training import Task
from tests.agents.scenes import LIAR, OFFER_ALL, PRICE, play_out


def patient_requester(world: World, rounds: int) -> Requester:
    """A requester that reopens."""
    agent = world.add(
        "requester",
        lambda reader, sender, _journal, store: Requester(reader, sender, store, rounds),
    )
    assert isinstance(agent, Requester)
    return agent


def offline(*_: object) -> None:
    """In place of what an agent would do."""
    raise TaskUnreachable("offline")


def test_task_whose_claim_fell_is_trained_by_another_in_the_next_round(
    world: World, task: Task
) -> None:
    requester = patient_requester(world, rounds=2)
    liar = world.solver("liar", conduct=LIAR)
    honest = world.solver("honest", price=PRICE + 1)
    world.verifier("verifier")
    task_id = requester.post(task, OFFER_ALL)
    end = play_out(world, task_id)
    view = world.reader.task(task_id)
    assert (view.round, view.phase) == (1, TaskPhase.FINALISED)
    assert [phase for phase, _, _ in end.claims] == [ClaimPhase.FALLEN, ClaimPhase.FINALISED]
    assert [world.reader.book.solvers[c] for c in world.reader.book.claims] == [
        liar.account,
        honest.account,
    ]
    # The honest solver has both its stakes back: of the round that it lost, and of the other.
    assert end.gains["honest"] == OFFER.max_reward
    assert end.gains["liar"] < 0 < end.gains["verifier"]
    assert len(requester.result(task, task_id)) == 5


def test_solver_whose_claim_fell_does_not_bid_on_the_task_again(
    world: World, task: Task, caplog
) -> None:
    """Whatever made the first claim false is still in its files."""
    requester = patient_requester(world, rounds=2)
    world.solver("solver", conduct=LIAR)
    world.verifier("verifier")
    task_id = requester.post(task, OFFER_ALL)
    play_out(world, task_id)
    view = world.reader.task(task_id)
    assert (view.round, view.phase, view.commits) == (1, TaskPhase.REFUNDED, 0)
    assert len(world.reader.book.claims) == 1
    assert "would cost another stake" in caplog.text


def test_solver_that_missed_its_time_trains_in_the_next_round_from_where_it_was(
    world: World, task: Task
) -> None:
    requester = patient_requester(world, rounds=2)
    solver: Solver = world.solver()
    task_id = requester.post(task, OFFER)
    submit, solver._submit = solver._submit, offline  # at the end
    world.play(lambda: world.reader.task(task_id).phase is TaskPhase.VACANT)
    assert solver.run_of(task_id).checkpoints.log.size == 4
    solver._submit = submit
    end = play_out(world, task_id)
    view = world.reader.task(task_id)
    assert (view.round, view.phase) == (1, TaskPhase.FINALISED)
    no_show = view.required_stake // 10
    assert end.gains["solver"] == OFFER.max_reward - no_show


def test_bid_left_over_from_an_earlier_round_is_taken_back(world: World, task: Task) -> None:
    """The rival was offline while the first round ran; its stake waits for it."""
    requester = patient_requester(world, rounds=2)
    world.solver("liar", conduct=LIAR)
    rival = world.solver("rival", price=OFFER.max_reward)
    world.verifier("verifier")
    task_id = requester.post(task, OFFER_ALL)
    world.play(lambda: world.reader.task(task_id).phase is TaskPhase.RUNNING)
    tick, rival.tick = rival.tick, lambda: False
    world.play(lambda: world.reader.task(task_id).round == 1)
    before = world.reader.credit(rival.account)
    rival._price = lambda _: None  # and it does not want the task any more
    rival.tick = tick
    assert rival.tick()
    assert world.reader.credit(rival.account) == before + world.reader.task(task_id).required_stake
    assert not rival.tick()
    assert world.holdings(rival.account) == world.players["rival"].before
