"""An honest agent on a machine that computes wrongly harms itself as little as can be (X16)."""

from __future__ import annotations

from functools import partial

import pytest

from protocol.agents.checking import Checker, UnsureError
from protocol.agents.journal import Journal
from protocol.agents.moves import Moves
from protocol.agents.solver import Solver
from protocol.agents.verifier import UNDECIDED, VERDICT, Verifier
from protocol.chain.market import ClaimPhase
from protocol.cli.demo.lies import OneUlp
from protocol.cli.demo.world import STAKE, World
from protocol.dispute.state import DisputeState
from protocol.kernels import Executor
from protocol.training import Task
from tests.agents.flaky import FlakyExecutor
from tests.agents.scenes import FALSE_SEGMENT, LIAR, LIE, OFFER_ALL, PRICE, is_over, play_out

WEIGHT = (40,)
"""Shape of the two nodes that the weight depends on."""


def add_solver(world: World, executor: Executor) -> Solver:
    """A solver with this executor."""

    def build(reader, sender, journal, store) -> Solver:
        folder = world.folder / "solver"
        return Solver(reader, sender, journal, store, folder, lambda _: PRICE, executor=executor)

    agent = world.add("solver", build)
    assert isinstance(agent, Solver)
    return agent


def add_verifier(world: World, *executors: Executor, checks_all: bool = False) -> Verifier:
    """A staked verifier with these two executors."""
    build = partial(Verifier, executors=executors, checks_all=checks_all)
    agent = world.add("verifier", build)
    assert isinstance(agent, Verifier)
    agent.stake(STAKE)
    return agent


def journal_of(world: World, name: str) -> Journal:
    path = world.folder / name / "journal.sqlite"
    return Journal(path, world.chain.w3.eth.chain_id, world.players[name].account)


def test_solver_whose_execution_changed_refuses_to_post_the_second_root(
    world: World, task: Task, caplog
) -> None:
    """It answers again as soon as its execution gives the journal's root again."""
    requester = world.requester()
    solver = add_solver(world, Executor(1))
    world.verifier("accuser", staked=False, checks_all=True, hooks=OneUlp(LIE))
    task_id = requester.post(task, OFFER_ALL)
    disputes = world.reader.book.disputes

    def is_asked_for_the_segment() -> bool:
        return any(
            world.reader.position(d).state is DisputeState.NEED_SEGMENT
            for d in world.reader.book.disputes
        )

    # The journal knows the root; the process dies before the transaction is sent.
    send = solver._sender.play
    solver._sender.play = lambda *_: pytest.fail("sent")
    with pytest.raises(pytest.fail.Exception, match="sent"):
        world.play(lambda: False)
    assert is_asked_for_the_segment()
    solver._sender.play = send

    solver._runs.clear()  # and what it remembers in memory is gone
    solver._moves = Moves()
    good, solver._executor = solver._executor, FlakyExecutor(WEIGHT)
    mined = len(world.ledger.mined())
    assert not solver.tick()
    assert "refusing a second root" in caplog.text
    assert [record.levelname for record in caplog.records].count("CRITICAL") == 1
    assert len(world.ledger.mined()) == mined

    solver._executor = good
    world.chain.mine(1)
    assert solver.tick()
    assert world.ledger.mined()[-1].function == "postSegment"
    end = play_out(world, task_id)
    assert end.gains["solver"] > OFFER_ALL.max_reward  # and the accuser's bond
    assert disputes


def test_solver_whose_log_changed_does_not_submit(world: World, task: Task, caplog) -> None:
    requester = world.requester()
    solver = add_solver(world, Executor(1))
    task_id = requester.post(task, OFFER_ALL)
    key = task_id + (0).to_bytes(4, "big")
    journal_of(world, "solver").bind_root(key, b"log", bytes(32))
    world.play(lambda: is_over(world, task_id))
    assert not world.reader.book.claims
    assert "refusing a second root" in caplog.text
    no_show = world.reader.task(task_id).required_stake // 10
    assert world.gains()["solver"] == -no_show
    assert solver.account == world.players["solver"].account


def test_checker_whose_two_executions_disagree_is_unsure(world: World, task: Task) -> None:
    claim_id = submit_honestly(world, task)
    facts = world.reader.facts(claim_id)
    good = Executor(1)
    for wrong_in_first in (True, False):
        # Wrong in step 5 of the first execution only; or found true at first and never again.
        flaky = FlakyExecutor(WEIGHT, runs=[5])
        executors = (flaky, good) if wrong_in_first else (good, flaky)
        checker = Checker(world.reader, world.store, executors=executors)
        if wrong_in_first:
            with pytest.raises(UnsureError, match=r"by the first segment \d should .* all is well"):
                checker.find_false_segments(claim_id, facts, ())
        else:
            assert checker.find_false_segments(claim_id, facts, ()) == []
            assert flaky.runs == 0  # no accusation, no second execution


def test_checker_that_is_wrong_twice_in_different_ways_is_unsure(world: World, task: Task) -> None:
    """Both executions call the same segment false, and disagree about what is right."""
    claim_id = submit_honestly(world, task)
    facts = world.reader.facts(claim_id)
    executors = FlakyExecutor(WEIGHT, runs=[1]), FlakyExecutor(WEIGHT, runs=[3])
    checker = Checker(world.reader, world.store, executors=executors)
    with pytest.raises(UnsureError, match=r"by the first segment 1 .* by the second segment 1 "):
        checker.find_false_segments(claim_id, facts, (1, 2, 3))


@pytest.mark.parametrize("conduct", ["honest", "lying"])
@pytest.mark.parametrize("checks_all", [False, True], ids=["drawn", "whole run"])
def test_verifier_that_is_unsure_neither_attests_nor_accuses(
    world: World, task: Task, conduct: str, checks_all: bool, caplog
) -> None:
    requester = world.requester()
    world.solver(conduct=LIAR) if conduct == "lying" else world.solver()
    good, flaky = Executor(1), FlakyExecutor(WEIGHT)
    add_verifier(world, flaky, good, checks_all=checks_all)
    task_id = requester.post(task, OFFER_ALL)
    play_out(world, task_id)
    (claim_id,) = world.reader.book.claims
    assert world.reader.claim(claim_id).phase is ClaimPhase.FINALISED
    assert world.reader.claim(claim_id).attested == 0
    assert not world.reader.book.disputes
    assert not world.reader.book.commitments
    assert journal_of(world, "verifier").recall(VERDICT, claim_id) == UNDECIDED
    assert "two executions of this machine disagree" in caplog.text
    assert world.gains()["verifier"] == 0


def test_verifier_sure_of_a_lie_accuses_the_segment_that_it_is_in(world: World, task: Task) -> None:
    requester = world.requester()
    world.solver(conduct=LIAR)
    add_verifier(world, Executor(2), Executor(1))
    task_id = requester.post(task, OFFER_ALL)
    play_out(world, task_id)
    (record,) = world.reader.book.disputes.values()
    assert record.opened_segment == FALSE_SEGMENT
    assert record.closed is DisputeState.CHALLENGER_WON


def submit_honestly(world: World, task: Task) -> bytes:
    """A claim of an honest solver, with its leaves served."""
    requester = world.requester()
    world.solver()
    requester.post(task, OFFER_ALL)
    world.play(lambda: bool(world.reader.book.claims))
    (claim_id,) = world.reader.book.claims
    return claim_id
