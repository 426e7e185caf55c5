"""A requester that misbehaves gets no bid, and nothing of its task stops the solver's others."""

from __future__ import annotations

from dataclasses import replace

import pytest
from web3.exceptions import MismatchedABI

from protocol.agents.journal import Journal
from protocol.agents.requester import terms_of
from protocol.agents.sender import Sender
from protocol.agents.solver import REFUSED
from protocol.chain.reverts import Reverted
from protocol.cli.demo.world import OFFER, World
from protocol.training import Task
from tests.agents.bad_tasks import BAD
from tests.agents.scenes import is_over


def post(world: World, name: str, terms) -> bytes:
    """Post terms as they are; the task's id."""
    known = set(world.reader.book.tasks)
    sender = world.deployment.market.functions.post(terms.to_tuple(), "")
    world.chain.send(sender, world.players[name].account)
    (task_id,) = set(world.reader.book.tasks) - known
    return task_id


def test_solver_bids_on_the_good_task_among_all_bad_ones(world: World, task: Task, caplog) -> None:
    """The bad ones were posted before it, so that any error of theirs would be met first."""
    requester = world.requester("requester")
    solver = world.solver()
    posted = {}
    for name, bad in BAD.items():
        posted[name] = post(world, "requester", bad.publish(world.store, task, OFFER))
    good = requester.post(task, OFFER)
    while solver.tick():
        pass
    assert [entry.function for entry in world.ledger.mined()] == ["post", "commitBid"]
    assert world.reader.task(good).commits == 1
    journal = Journal(
        world.folder / "solver" / "journal.sqlite", world.chain.w3.eth.chain_id, solver.account
    )
    for name, bad in BAD.items():
        assert world.reader.task(posted[name]).commits == 0, name
        reason = journal.recall(REFUSED, posted[name])
        if bad.returns:
            assert reason is None, name
            assert f"0x{posted[name].hex()}: the task's files are {bad.reason}" in caplog.text
        else:
            assert reason is not None, name
            assert bad.reason in reason.decode(), name
    assert not world.ledger.refused()
    assert not [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")]


def test_solver_bids_when_files_that_were_missing_come_back(world: World, task: Task) -> None:
    requester = world.requester()
    solver = world.solver()
    manifest = world.folder / "store" / "blob"
    task_id = requester.post(task, OFFER)
    manifest.rename(manifest.with_name("away"))
    assert not solver.tick()
    manifest.with_name("away").rename(manifest)
    assert not solver.tick()  # it does not look again at once
    world.chain.mine(1)
    assert solver.tick()
    assert world.reader.task(task_id).commits == 1


def test_solver_whose_files_are_taken_away_after_its_bid_trains_from_its_own_copy(
    world: World, task: Task
) -> None:
    """Else a requester could keep the stake of whoever restarts."""
    requester = world.requester()
    solver = world.solver()
    task_id = requester.post(task, OFFER)
    assert solver.tick()
    for kind in ("blob", "leaves", "tensor"):
        (world.folder / "store" / kind).rename(world.folder / kind)
    solver._runs.clear()
    world.play(lambda: is_over(world, task_id))
    assert world.gains()["solver"] == OFFER.max_reward


@pytest.mark.parametrize("price", [None, OFFER.max_reward + 1, -1])
def test_solver_whose_price_is_out_of_bounds_does_not_bid(world: World, task: Task, price) -> None:
    """The market would refuse to reveal such a bid, and burn its deposit."""
    requester = world.requester()
    solver = world.solver(price=price)
    requester.post(task, OFFER)
    assert not solver.tick()
    assert world.holdings(solver.account) == world.players["solver"].before


def test_solver_without_credit_for_the_stake_does_not_bid(world: World, task: Task) -> None:
    requester = world.requester()
    solver = world.solver()
    requester.post(task, OFFER)
    Sender(world.deployment, solver.account, "solver", world.ledger).withdraw_all()
    assert not solver.tick()
    assert not world.ledger.refused()


def test_solver_whose_price_function_fails_goes_on(world: World, task: Task, caplog) -> None:
    requester = world.requester()
    solver = world.solver()
    first, second = requester.post(task, OFFER), requester.post(task, replace(OFFER, max_reward=7))
    prices = {OFFER.max_reward: lambda: 1 // 0, 7: lambda: 7}
    solver._price = lambda terms: prices[terms.max_reward]()
    assert solver.tick()
    assert [world.reader.task(task_id).commits for task_id in (first, second)] == [0, 1]
    assert "ZeroDivisionError" in caplog.text


def test_solver_before_the_largest_values_that_terms_can_hold_stays_away(
    world: World, task: Task
) -> None:
    """Larger ones do not fit the call; these need a stake that nobody has."""
    requester = world.requester()
    solver = world.solver()
    most = (1 << 128) - 1
    with pytest.raises(MismatchedABI):
        requester.post(task, replace(OFFER, value_at_risk=most + 1))
    with pytest.raises(Reverted):
        requester.post(task, replace(OFFER, max_reward=most))
    task_id = requester.post(task, replace(OFFER, value_at_risk=most))
    assert world.reader.task(task_id).required_stake > most
    assert not solver.tick()
    assert not [entry for entry in world.ledger.refused() if entry.sender == "solver"]


def test_requester_whose_post_is_one_of_many_in_a_block_finds_its_own(
    world: World, task: Task
) -> None:
    requester = world.requester()
    other = world.requester("other")

    class Crowded(Sender):
        def market(self, function, *arguments) -> None:
            post(world, "other", terms_of(task, OFFER))
            super().market(function, *arguments)
            post(world, "other", terms_of(task, OFFER))

    account = requester._sender.account
    requester._sender = Crowded(world.deployment, account, "requester", world.ledger)
    task_id = requester.post(task, OFFER)
    assert world.reader.task(task_id).requester == account != other._sender.account
