"""Transactions are simulated first; the ledger says what became of each."""

from __future__ import annotations

import pytest

from protocol.agents.sender import Ledger, Sender
from protocol.chain.reverts import Reverted
from protocol.cli.demo.world import FUNDS, STAKE, World
from protocol.dispute.moves import Timeout


@pytest.fixture
def sender(world: World) -> Sender:
    return Sender(world.deployment, world.chain.accounts[3], "somebody", Ledger())


def test_sender_enters_what_was_mined_with_its_gas(world: World, sender: Sender) -> None:
    block = world.reader.block_number()
    sender.registry("stake", STAKE)
    (entry,) = sender._ledger.mined()
    assert (entry.sender, entry.contract, entry.function) == ("somebody", "registry", "stake")
    assert entry.sent
    assert entry.error is None
    assert 50_000 < entry.gas < 500_000
    assert world.reader.block_number() == block + 1


def test_sender_never_sends_what_the_contract_refuses(world: World, sender: Sender) -> None:
    block = world.reader.block_number()
    nonce = world.chain.w3.eth.get_transaction_count(sender.account)
    with pytest.raises(Reverted, match="UnknownTask"):
        sender.market("assign", bytes(32))
    with pytest.raises(Reverted, match="UnknownDispute"):
        sender.play(Timeout(), bytes(32))
    assert world.reader.block_number() == block
    assert world.chain.w3.eth.get_transaction_count(sender.account) == nonce
    first, second = sender._ledger.refused()
    assert (first.function, first.gas, first.sent, first.dispute_id) == ("assign", 0, False, None)
    assert "UnknownTask" in str(first.error)
    assert (second.function, second.sent, second.dispute_id) == ("timeout", False, bytes(32))
    assert not sender._ledger.mined()


def test_sender_outrun_between_simulation_and_block_says_that_it_was_sent(
    world: World, sender: Sender
) -> None:
    """What was simulated may fail all the same: it is refused, raised, and not taken for done."""
    sender.registry("stake", STAKE)
    call = world.chain.call

    class Outrun:
        def __getattr__(self, name):
            return getattr(world.chain, name)

        def call(self, function, caller=None):
            result = call(function, caller)
            world.chain.send(
                world.deployment.vault.functions.withdraw(sender.account, FUNDS - STAKE),
                sender.account,
            )
            return result

    sender._chain = Outrun()
    with pytest.raises(Reverted):
        sender.registry("stake", STAKE)
    entry = sender._ledger.entries[-1]
    assert entry.sent
    assert entry.error is not None
    assert len(sender._ledger.mined()) == 1


def test_ledger_tells_the_transactions_of_a_dispute_apart(sender: Sender) -> None:
    ledger = sender._ledger
    sender.registry("stake", STAKE)
    assert ledger.mined(bytes(32)) == []
    assert len(ledger.mined()) == 1


def test_sender_takes_all_credit_out_and_puts_it_back(world: World, sender: Sender) -> None:
    before = world.holdings(sender.account)
    assert sender.withdraw_all() == FUNDS
    assert sender.withdraw_all() == 0
    assert world.reader.credit(sender.account) == 0
    sender.deposit(FUNDS)
    assert world.reader.credit(sender.account) == FUNDS
    assert world.holdings(sender.account) == before
