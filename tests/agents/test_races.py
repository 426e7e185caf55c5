"""Somebody else is first with what anyone may do: the agent goes on from what the chain shows."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.agents.conduct import HONEST, Conduct
from protocol.agents.sender import Sender
from protocol.chain.market import ClaimPhase, TaskPhase
from protocol.chain.reverts import Reverted
from protocol.cli.demo.lies import OneUlp
from protocol.cli.demo.world import OFFER, World
from protocol.dispute.state import DisputeState, Position
from protocol.training import Task
from tests.agents.scenes import LIAR, LIE, OFFER_ALL, End, play_out


class Raced(Sender):
    """Before each of its transactions a stranger sends the same one, if that is allowed."""

    lost: set[str]

    def _send(self, where, contract, function, arguments, dispute_id=None) -> None:
        stranger = self._chain.accounts[15]
        assert stranger != self.account
        call = contract.functions[function](*arguments)
        try:
            self._chain.call(call, stranger)
        except Reverted:
            pass  # not anyone's
        else:
            if function not in ("commitBid", "commitOpen"):  # the stranger's own
                self._chain.send(call, stranger)
                self.lost.add(function)
        super()._send(where, contract, function, arguments, dispute_id)


def race(world: World) -> set[str]:
    """Let the stranger be first before all players; the functions that it was first with."""
    lost: set[str] = set()
    for player in world.players.values():
        sender = Raced(world.deployment, player.account, player.name, world.ledger)
        sender.lost = lost
        agent: Any = player.agent
        agent._sender = sender
        for part in ("_bids", "_openings"):
            if hasattr(agent, part):
                getattr(agent, part)._sender = sender
    return lost


def play(world: World, task: Task, conduct: Conduct = HONEST) -> tuple[End, set[str]]:
    """A task with all agents raced; the end, and what they came too late with."""
    requester = world.requester()
    world.solver(conduct=conduct)
    world.solver("rival", price=OFFER.max_reward)
    world.verifier("verifier")
    task_id = requester.post(task, OFFER_ALL)
    lost = race(world)
    return play_out(world, task_id), lost


def test_agents_outrun_at_every_step_of_an_honest_run_are_paid_all_the_same(
    world: World, task: Task
) -> None:
    end, lost = play(world, task)
    assert [phase for phase, _, _ in end.claims] == [ClaimPhase.FINALISED]
    assert lost == {"assign", "reclaim", "draw", "finalise", "collectFee"}
    fee = OFFER_ALL.verifier_fee
    reward = OFFER.max_reward
    assert end.gains == {
        "requester": -reward - fee,
        "solver": reward,
        "rival": 0,
        "verifier": fee,
    }


def test_agents_outrun_in_a_dispute_end_it_all_the_same(world: World, task: Task) -> None:
    end, lost = play(world, task, LIAR)
    assert [phase for phase, _, _ in end.claims] == [ClaimPhase.FALLEN]
    assert lost >= {"assign", "draw", "judgeArithmetic"}
    assert end.gains["verifier"] > 0 > end.gains["solver"]


def test_agents_outrun_with_openings_and_timeouts_end_the_dispute_all_the_same(
    world: World, task: Task
) -> None:
    """The liar serves nothing, so there are openings; and stops at the fold, so time runs out."""

    def answers(position: Position) -> bool:
        return position.state is not DisputeState.NEED_FOLD

    conduct = Conduct(hooks=OneUlp(LIE), serves=False, answers=answers)
    end, lost = play(world, task, conduct)
    assert [phase for phase, _, _ in end.claims] == [ClaimPhase.FALLEN]
    assert lost >= {"reveal", "openTensor", "timeout"}
    assert end.gains["verifier"] > 0 > end.gains["solver"]


def test_solver_outrun_by_its_accuser_s_deadline_still_wins(world: World, task: Task) -> None:
    requester = world.requester()
    world.solver()
    accuser = world.verifier("accuser", staked=False, checks_all=True, hooks=OneUlp(LIE))
    task_id = requester.post(task, OFFER_ALL)
    lost = race(world)
    accuser._advance = lambda *_: False  # it never moves again
    end = play_out(world, task_id)
    assert "timeout" in lost
    (record,) = world.reader.book.disputes.values()
    assert record.closed is DisputeState.SOLVER_WON
    assert end.gains["solver"] > OFFER.max_reward


def offline(*_: object) -> None:
    """In place of what an agent would do."""
    raise RuntimeError("offline")


@pytest.mark.parametrize("bids", [True, False], ids=["no show", "no bid"])
def test_requester_outrun_by_a_stranger_gets_its_escrow(
    world: World, task: Task, bids: bool
) -> None:
    requester = world.requester()
    task_id = requester.post(task, OFFER)
    if bids:
        solver = world.solver()
        solver._train = offline
    lost = race(world)
    play_out(world, task_id)
    assert world.reader.task(task_id).phase is TaskPhase.REFUNDED
    assert lost == ({"assign", "expire"} if bids else {"void"})
    assert world.gains()["requester"] >= 0
