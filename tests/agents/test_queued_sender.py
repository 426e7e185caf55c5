"""A sender that does not wait: simulated, written down, sent once, with the cap of its urgency."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from protocol.agents.sender import AlreadyPending, QueuedSender
from protocol.chain.deployment import Deployment, deploy_all
from protocol.chain.devnet import connect, dev_account
from protocol.chain.fees import GWEI
from protocol.chain.presets import MINIMAL
from protocol.chain.reverts import Reverted
from protocol.chain.txlog import Status
from protocol.cli.demo.world import FUNDS, STAKE
from protocol.dispute.moves import Timeout
from tests.faults.nodes import Desk, NodeControl, open_desk, running_node


@pytest.fixture(scope="module")
def market(tmp_path_factory) -> Iterator[tuple[NodeControl, Deployment]]:
    with running_node("anvil", tmp_path_factory.mktemp("node")) as node:
        chain = connect(node.url, [dev_account(0), dev_account(1)])
        deployment = deploy_all(chain, MINIMAL)
        deployment.fund(str(dev_account(1).address), FUNDS)
        yield node, deployment


@pytest.fixture
def node(market) -> Iterator[NodeControl]:
    control, _ = market
    mark = control.snapshot()
    yield control
    control.automine(True)
    control.revert(mark)


@pytest.fixture
def desk(node: NodeControl) -> Desk:
    return open_desk(node, 1, ":memory:")


@pytest.fixture
def sender(market, desk: Desk) -> QueuedSender:
    deployment = Deployment.connect(desk.chain, MINIMAL, market[1].addresses)
    return QueuedSender(deployment, desk.outbox, "somebody")


def test_call_is_queued_and_returns_before_it_is_mined(
    sender: QueuedSender, desk: Desk, node: NodeControl
) -> None:
    before = desk.nonce()
    node.automine(False)
    sender.registry("stake", STAKE)
    (intent,) = desk.outbox.pending
    assert intent.label == "stake"
    assert desk.nonce() == before
    with pytest.raises(AlreadyPending):
        sender.registry("stake", STAKE)
    node.mine()
    assert [outcome.intent.label for outcome in desk.outbox.pump()] == ["stake"]
    assert sender.account == desk.account


def test_refused_call_is_simulated_only(sender: QueuedSender, desk: Desk) -> None:
    with pytest.raises(Reverted, match="UnknownTask"):
        sender.market("assign", bytes(32))
    with pytest.raises(Reverted, match="UnknownDispute"):
        sender.play(Timeout(), bytes(32))
    assert not desk.txlog.with_status(*Status)


def test_deposit_that_needs_the_approval_before_it_waits_for_it(
    sender: QueuedSender, desk: Desk, node: NodeControl
) -> None:
    sender.withdraw_all()
    desk.outbox.pump()
    node.automine(False)
    with pytest.raises(Reverted):  # the approval is not mined yet
        sender.deposit(5)
    node.mine()
    desk.outbox.pump()
    sender.vault("deposit", 5)
    node.mine()
    assert [outcome.mined.succeeded for outcome in desk.outbox.pump()] == [True]


def test_call_whose_deadline_costs_money_has_the_urgent_cap(
    sender: QueuedSender, desk: Desk, node: NodeControl
) -> None:
    node.automine(False)
    sender.registry("stake", STAKE)
    # Not simulated: only the queueing is asked about.
    desk.chain.estimate_gas = lambda *_arguments: 100_000
    sender.play(Timeout(), bytes(32))
    sender.claims("attest", bytes(32))
    urgent = {intent.label: intent.urgent for intent in desk.outbox.pending}
    assert urgent == {"stake": False, "timeout": True, "attest": True}
    for _ in range(55):
        desk.clock.now += 30
        desk.outbox.pump()
    caps = {
        intent.label: desk.txlog.attempts(intent.number)[-1].offer.max_fee // GWEI
        for intent in desk.outbox.pending
    }
    assert caps == {"stake": 100, "timeout": 500, "attest": 500}
