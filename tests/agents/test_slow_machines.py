"""A machine that subnormal numbers slow down risks no stake, and has the bits of the others."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from protocol.agents.appraisal import Rate
from protocol.agents.conduct import HONEST, Conduct
from protocol.agents.journal import Journal
from protocol.agents.sender import Sender
from protocol.agents.solver import REFUSED, Solver
from protocol.chain.market import ClaimPhase
from protocol.cli.demo.lies import OneUlp, Target
from protocol.cli.demo.world import OFFER, World
from protocol.training import Task
from protocol.training.replay import Replay
from tests.agents.bad_tasks import rebuilt
from tests.agents.scenes import OFFER_ALL, PRICE, is_over, play_out

LEAST_NORMAL = np.float32(2.0**-126)
SLOW = Rate(subnormal_work=1e3)


def make_solver(world: World, journal: Journal, sender: Sender, **options) -> Solver:
    folder = world.folder / "solver"
    return Solver(world.reader, sender, journal, world.store, folder, lambda _: PRICE, **options)


def add_solver(world: World, conduct: Conduct = HONEST, **options) -> Solver:
    """A solver with these options."""
    agent = world.add(
        "solver",
        lambda _reader, sender, journal, _store: make_solver(
            world, journal, sender, conduct=conduct, **options
        ),
    )
    assert isinstance(agent, Solver)
    return agent


def start_again(world: World) -> Solver:
    """Another process takes the place of the solver's, with what is on disk."""
    account, chain_id = world.players["solver"].account, world.chain.w3.eth.chain_id
    journal = Journal(world.folder / "solver" / "journal.sqlite", chain_id, account)
    sender = Sender(world.deployment, account, "solver", world.ledger)
    solver = world.players["solver"].agent = make_solver(world, journal, sender)
    return solver


@pytest.fixture
def steps_take(monkeypatch) -> Callable[[float], None]:
    """Says how long each step takes from now on, trained or run again."""
    now, step_s = [0.0], [0.0]

    def read() -> float:
        now[0] += step_s[0]
        return now[0]

    monkeypatch.setattr(time, "perf_counter", read)

    def takes(seconds: float) -> None:
        step_s[0] = seconds

    return takes


# ---------------------------------------------------------------------------- before the bid


def test_solver_that_subnormals_would_make_miss_its_clocks_does_not_bid(
    world: World, task: Task, caplog
) -> None:
    requester = world.requester()
    solver = add_solver(world, rate=SLOW)
    task_id = requester.post(task, OFFER)
    while solver.tick():
        pass
    assert world.reader.task(task_id).commits == 0
    journal = Journal(
        world.folder / "solver" / "journal.sqlite", world.chain.w3.eth.chain_id, solver.account
    )
    reason = journal.recall(REFUSED, task_id)
    assert reason is not None
    assert "if numbers become subnormal: to run one segment again takes up to" in reason.decode()
    assert "--risk-subnormals" in caplog.text


def test_solver_that_accepts_the_risk_bids_and_is_paid(world: World, task: Task) -> None:
    requester = world.requester()
    add_solver(world, rate=SLOW, risks_subnormals=True)
    task_id = requester.post(task, OFFER)
    world.play(lambda: is_over(world, task_id))
    assert world.gains()["solver"] == OFFER.max_reward


def test_solver_on_a_machine_that_does_not_mind_subnormals_bids(world: World, task: Task) -> None:
    requester = world.requester()
    solver = add_solver(world, rate=replace(SLOW, subnormal_work=1e10))
    task_id = requester.post(task, OFFER)
    assert solver.tick()
    assert world.reader.task(task_id).commits == 1


# ---------------------------------------------------------------------------- before the claim


def test_solver_whose_run_was_too_slow_to_defend_pays_a_no_show_and_no_stake(
    world: World, task: Task, steps_take, caplog
) -> None:
    requester = world.requester()
    solver = add_solver(world)
    task_id = requester.post(task, OFFER)
    steps_take(100.0)
    world.play(lambda: is_over(world, task_id))
    assert not world.reader.book.claims
    assert caplog.text.count("trained, and not submitted") == 1, "told once"
    assert "a step took 100 s" in caplog.text
    no_show = world.reader.task(task_id).required_stake // 10
    assert world.gains()["solver"] == -no_show
    world.settle()
    assert not solver._indefensible


def test_slow_pace_outlives_the_process_and_an_idle_machine_may_measure_again(
    world: World, task: Task, steps_take, caplog
) -> None:
    """The new process sees that training was slow, runs the segments again, and submits."""
    requester = world.requester()
    add_solver(world, slice_seconds=0)
    task_id = requester.post(task, OFFER)
    steps_take(100.0)
    runs = world.folder / "solver" / task_id.hex()
    world.play(lambda: len(list(runs.glob("step-*.safetensors"))) == 2)
    solver = start_again(world)
    pace = solver.run_of(task_id).pace
    assert [pace.step_seconds(segment) for segment in (1, 2)] == [100.0, 100.0]
    steps_take(0.0)
    again = []
    state = Replay.state

    def counted(self, step: int):
        again.append(step)
        return state(self, step)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("protocol.agents.pace.Replay.state", counted)
        world.play(lambda: bool(world.reader.book.claims))
    assert set(range(1, 9)) <= set(again), "the two segments that were slow"
    assert not {9, 10} & set(again), "not the one that was quick"
    assert "not submitted" not in caplog.text
    assert play_out(world, task_id).gains["solver"] == OFFER.max_reward


# ---------------------------------------------------------------------------- hostile data


@pytest.fixture(scope="module")
def hostile(task: Task) -> Task:
    """Weights, products, errors and gradients are subnormal in every step."""
    random = np.random.default_rng(5)
    inputs, targets, order = task.data
    inputs = (inputs * np.float32(0.25)).astype("<f4")
    targets = (random.standard_normal(targets.shape) * 1e-39).astype("<f4")
    weight = (random.standard_normal(task.state[0].shape) * 1e-39).astype("<f4")
    return rebuilt(task, state=(weight, *task.state[1:]), data=(inputs, targets, order))


def are_subnormal(stored: bytes) -> bool:
    values = np.abs(np.frombuffer(stored, "<f4"))
    return bool(((values > 0) & (values < LEAST_NORMAL)).all())


def test_hostile_data_keep_every_step_subnormal(hostile: Task) -> None:
    replay = Replay(hostile)
    for step in range(hostile.manifest.steps):
        for node in (2, 3, 5, 6):  # predictions, errors, gradient, weight
            assert are_subnormal(replay.node_output(step, node)), (step, node)


def test_honest_run_of_subnormal_numbers_is_attested_and_paid(world: World, hostile: Task) -> None:
    """The verifier computes with another instruction set, too."""
    requester = world.requester()
    add_solver(world)
    world.verifier("verifier")
    end = play_out(world, requester.post(hostile, OFFER_ALL))
    ((phase, _, result_root),) = end.claims
    assert phase is ClaimPhase.FINALISED
    assert result_root == Replay(hostile).log_leaves()[-1]
    assert end.gains["verifier"] == OFFER_ALL.verifier_fee


def test_lie_of_one_ulp_among_subnormal_numbers_is_convicted_by_their_bits(
    world: World, hostile: Task
) -> None:
    lie = Target(step=7, node=6, element=3)
    requester = world.requester()
    add_solver(world, Conduct(hooks=OneUlp(lie)))
    world.verifier("verifier")
    end = play_out(world, requester.post(hostile, OFFER_ALL))
    ((phase, _, _),) = end.claims
    assert phase is ClaimPhase.FALLEN
    (judged,) = [r.judged for r in world.reader.book.disputes.values() if r.judged]
    truth = np.frombuffer(Replay(hostile).node_output(7, 6), "<u4")[3]
    assert judged["judged"] == "ArithmeticJudged"
    assert judged["computed"] == truth
    assert abs(judged["claimed"] - judged["computed"]) == 1
    assert truth & 0x7F800000 == 0, "a subnormal word"
