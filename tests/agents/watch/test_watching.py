"""Agents that watch much: everything that is due in one tick, and no clock waits for long work."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest

from protocol.agents.attempts import Attempts
from protocol.agents.duties import Due
from protocol.agents.sender import AlreadyPending, Sender
from protocol.agents.verifier import VERDICT, Verifier
from protocol.agents.watch.reader import Reader
from protocol.chain.endpoints import RpcUnreachable
from protocol.chain.market import ClaimPhase, TaskPhase
from protocol.chain.reverts import Reverted
from protocol.cli.demo.world import OFFER, World
from protocol.dispute.moves import CommitOpen
from protocol.dispute.state import DisputeState, Side
from protocol.training import Task
from tests.agents.scenes import FALSE_SEGMENT, HONEST, LIAR, OFFER_ALL, is_over, play_out
from tests.agents.test_openings import commit_and_stop


class Pending(Sender):
    """A sender whose transactions are on their way until the block that they are let into."""

    def __init__(self, *args) -> None:
        super().__init__(*args)
        self.waiting: dict[tuple, tuple] = {}
        self.asked = 0

    def _send(self, where, contract, function, arguments, dispute_id=None) -> None:
        self.asked += 1
        key = (contract.address, function, repr(arguments))
        if key in self.waiting:
            raise AlreadyPending(function)
        self._chain.call(contract.functions[function](*arguments), self.account)
        self.waiting[key] = (where, contract, function, arguments, dispute_id)

    def is_underway(self, function: str, subject: bytes) -> bool:
        """Whether a call about a subject waits."""
        return any(c[2] == function and c[3][0] == subject for c in self.waiting.values())

    def let_in(self) -> None:
        """Mine what waits; another agent may have been first with the same."""
        waiting, self.waiting = self.waiting, {}
        for call in waiting.values():
            with suppress(Reverted):
                super()._send(*call)


def make_pending(world: World, name: str) -> Pending:
    """Let an agent's transactions wait."""
    player = world.players[name]
    sender = Pending(world.deployment, player.account, name, world.ledger)
    player.agent._sender = sender
    for part in ("_bids", "_openings"):
        if hasattr(player.agent, part):
            getattr(player.agent, part)._sender = sender
    return sender


@pytest.mark.parametrize("conduct", [HONEST, LIAR], ids=["honest", "one ulp"])
def test_agents_whose_transactions_wait_send_each_once_and_come_to_the_same_end(
    world: World, task: Task, conduct
) -> None:
    requester = world.requester()
    world.solver(conduct=conduct)
    world.verifier("verifier")
    task_id = requester.post(task, OFFER_ALL)
    senders = [make_pending(world, name) for name in ("requester", "solver", "verifier")]

    def let_in() -> bool:
        # Look again while transactions wait: nothing new must come of it.
        for player in world.players.values():
            while player.agent.tick():
                pass
        waiting = [list(sender.waiting) for sender in senders]
        for player in world.players.values():
            assert not player.agent.tick()
        assert [list(sender.waiting) for sender in senders] == waiting
        for sender in senders:
            sender.let_in()
        return is_over(world, task_id)

    world.play(let_in)
    view = world.reader.task(task_id)
    expected = TaskPhase.FINALISED if conduct is HONEST else TaskPhase.REFUNDED
    assert view.phase is expected
    late = {entry.function for entry in world.ledger.refused()}
    assert late <= {"assign", "draw", "settle", "finalise"}  # what anyone may do
    assert sum(sender.asked for sender in senders) > len(world.ledger.mined())


def test_tick_does_everything_that_is_due(world: World, task: Task) -> None:
    """Three tasks, one tick for each kind of duty."""
    requester, solver = world.requester(), world.solver()
    tasks = [requester.post(task, replace(OFFER, bid_seconds=60 + i)) for i in range(3)]
    while any(world.reader.task(t).commits == 0 for t in tasks):
        assert solver.tick()
    world.chain.advance(70)
    assert {world.reader.task(t).phase for t in tasks} == {TaskPhase.REVEALING}
    mined = len(world.ledger.mined())
    assert solver.tick()
    assert [e.function for e in world.ledger.mined()[mined:]] == ["revealBid"] * 3
    assert not solver.tick()


def test_attempts_come_in_the_order_of_their_deadlines_and_fail_alone() -> None:
    done: list[int] = []

    def act(deadline: int) -> bool:
        if deadline == 20:
            raise AlreadyPending("on its way")
        done.append(deadline)
        return deadline != 30

    refreshed: list[int] = []
    attempts = Attempts(lambda: 0)
    dues = [Due(d, bytes([d]), lambda d=d: act(d)) for d in (40, 20, 10, 30)]
    assert attempts.make_all(dues, lambda: refreshed.append(done[-1]))
    assert done == [10, 30, 40]
    assert refreshed == [10, 40]


def test_attempt_whose_transaction_is_pending_is_not_held_up_nor_logged(caplog) -> None:
    attempts = Attempts(lambda: 0)

    def pending() -> bool:
        raise AlreadyPending("on its way")

    assert not attempts.make(b"key", pending)
    assert not caplog.records
    assert attempts.make(b"key", lambda: True)


def test_attempt_that_nobody_answers_ends_the_pass_and_holds_nothing_up() -> None:
    attempts = Attempts(lambda: 0)

    def unreachable() -> bool:
        raise RpcUnreachable([("http://127.0.0.1:1", ConnectionError("refused"))])

    dues = [Due(1, b"first", unreachable), Due(2, b"second", lambda: pytest.fail("asked"))]
    with pytest.raises(RpcUnreachable):
        attempts.make_all(dues)
    assert attempts.make(b"first", lambda: True)


def test_verifier_plays_a_dispute_while_a_check_goes_on_step_by_step(
    world: World, task: Task
) -> None:
    """Eleven steps are a check; every move comes between two of them."""
    verifier, claim_id = commit_and_stop(world, task, false=True)
    world.play(lambda: world.reader.book.disputes_of_opener.get(verifier.account) is not None)
    (dispute_id,) = world.reader.book.disputes
    world.play(lambda: world.reader.clock(dispute_id)[0] is Side.OPENER)
    # Another claim comes in, and the machine is slow: a tick is one training step.
    world.solver("honest")
    second = world.players["requester"].agent.post(task, OFFER_ALL)
    verifier._slice_seconds = 0
    solver = world.players["solver"].agent
    other = world.players["honest"].agent
    while len(world.reader.book.claims) < 2:
        acted = world.players["requester"].agent.tick() | other.tick()
        if not acted:
            world.chain.mine(3)
    assert world.reader.task(second).phase is TaskPhase.SUBMITTED
    while not verifier._searches:
        world.chain.mine(1)
        verifier.tick()
    steps = moves = 0
    while verifier._searches and world.reader.book.disputes[dispute_id].closed is None:
        moves += solver.tick()
        before = len([e for e in world.ledger.mined(dispute_id) if e.sender == "verifier"])
        assert verifier.tick()
        steps += 1
        after = len([e for e in world.ledger.mined(dispute_id) if e.sender == "verifier"])
        moves += after - before
        assert world.reader.clock(dispute_id)[0] is not Side.OPENER
    assert moves >= 4
    assert world.reader.book.disputes[dispute_id].closed is DisputeState.CHALLENGER_WON
    assert verifier._journal.recall(VERDICT, claim_id) == FALSE_SEGMENT.to_bytes(8, "big")
    assert steps <= 11


def test_solver_leaves_its_training_when_a_dispute_calls_and_goes_on_afterwards(
    world: World, task: Task, monkeypatch
) -> None:
    monkeypatch.setattr("protocol.agents.solver.LOOK_SECONDS", 0)
    solver_called: list[int] = []
    requester = world.requester()
    solver = world.solver(progress=lambda progress: solver_called.append(progress.step))
    requester.post(task, OFFER_ALL)
    world.play(lambda: bool(world.reader.book.claims))
    second = requester.post(task, OFFER_ALL)
    world.play(lambda: world.reader.task(second).phase is TaskPhase.RUNNING)
    solver_called.clear()
    (claim_id,) = world.reader.book.claims
    accuser = world.verifier("accuser", staked=False, checks_all=True)
    accuser._journal.remember(VERDICT, claim_id, (1).to_bytes(8, "big"))
    while not world.reader.book.disputes:
        accuser.tick()
        world.chain.mine(1)
    (dispute_id,) = world.reader.book.disputes
    looked = solver._looked_at
    assert not looked
    assert solver._is_called()
    assert solver.tick()  # answers first, and only then trains
    assert looked
    assert not solver._is_called()
    assert world.ledger.mined(dispute_id)[-1].function == "postSegment"
    # Called before the second step of a segment, it stops after the first.
    solver_called.clear()
    monkeypatch.setattr(solver, "_is_called", lambda: True)
    while not solver_called:
        assert solver.tick()
    assert len(solver_called) == 1
    monkeypatch.undo()
    play_out(world, second)
    assert world.reader.task(second).phase is TaskPhase.FINALISED


def test_solver_that_cannot_look_at_the_chain_goes_on_training(
    world: World, caplog, monkeypatch
) -> None:
    solver = world.solver()

    def down() -> None:
        raise RpcUnreachable([("http://127.0.0.1:1", ConnectionError("refused"))])

    monkeypatch.setattr(world.reader, "refresh", down)
    assert not solver._is_called()
    assert "training goes on" in caplog.text


def test_verifier_whose_commitment_a_stranger_made_too_commits_all_the_same(
    world: World, task: Task
) -> None:
    """A commitment counts for whoever made it: a copy must not keep its owner from accusing."""

    class Copied(Sender):
        def play(self, move, dispute_id) -> None:
            if isinstance(move, CommitOpen) and not copies:
                copies.append(move.commitment)
                call = self._deployment.dispute.functions.commitOpen(*move.arguments())
                self._chain.send(call, world.players["stranger"].account)
            super().play(move, dispute_id)

    copies: list[bytes] = []
    requester = world.requester()
    world.solver(conduct=LIAR)
    verifier = world.verifier("verifier")
    world.verifier("stranger", staked=False).tick = lambda: False
    copied = Copied(world.deployment, verifier.account, "verifier", world.ledger)
    verifier._sender = verifier._openings._sender = copied
    task_id = requester.post(task, OFFER_ALL)
    play_out(world, task_id)
    (record,) = world.reader.book.disputes.values()
    assert copies == [record.dispute_id]
    assert record.opener == verifier.account
    assert record.closed is DisputeState.CHALLENGER_WON


@pytest.mark.parametrize("conduct", [HONEST, LIAR], ids=["paid", "convicted"])
def test_what_the_reader_concludes_from_events_and_time_is_what_the_contracts_say(
    world: World, task: Task, conduct
) -> None:
    """Phases, clocks and bids, after every round of play; a fresh reader asks for everything."""
    requester = world.requester()
    solver = world.solver(conduct=conduct)
    rival = world.solver("rival", price=OFFER.max_reward)
    world.verifier("verifier")
    task_id = requester.post(task, OFFER_ALL)
    market, dispute = world.deployment.market.functions, world.deployment.dispute.functions
    watching = world.reader
    compared = 0

    def compare() -> bool:
        nonlocal compared
        asking = Reader(world.deployment)
        assert watching.task(task_id) == asking.task(task_id)
        for claim_id in watching.book.claims:
            assert watching.claim(claim_id) == asking.claim(claim_id)
            assert watching.facts(claim_id) == asking.facts(claim_id)
        for agent in (solver, rival):
            commitment, revealed = world.chain.call(market.bidOf(task_id, 0, agent.account))
            held = 2 if revealed else int(commitment != bytes(32))
            assert watching.bid(task_id, 0, agent.account).value == held
        for dispute_id in watching.book.disputes:
            side, deadline = world.chain.call(dispute.clock(dispute_id))
            assert watching.clock(dispute_id) == (Side(side), deadline)
            assert watching.situation(dispute_id) == asking.situation(dispute_id)
            compared += 1
        return is_over(world, task_id)

    world.play(compare)
    world.settle()
    compare()
    assert bool(compared) is (conduct is LIAR)
    assert watching.book == Reader(world.deployment).book


def test_verifier_forgets_what_it_kept_of_claims_that_ended(world: World, task: Task) -> None:
    requester = world.requester()
    world.solver(conduct=LIAR)
    verifier = world.verifier("verifier")
    task_id = requester.post(task, OFFER_ALL)
    world.play(lambda: bool(world.reader.book.disputes))
    assert verifier._verdicts
    assert verifier._checker._provers
    play_out(world, task_id)
    (claim_id,) = world.reader.book.claims
    assert world.reader.claim(claim_id).phase is ClaimPhase.FALLEN
    verifier.tick()
    kept = (verifier._verdicts, verifier._searches, verifier._checker._provers)
    assert not any(kept)
    assert not verifier._openings._sealed
    assert isinstance(verifier, Verifier)
