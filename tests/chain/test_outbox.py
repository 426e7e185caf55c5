"""Each transaction is seen to its end, on two nodes: dropped, replaced, taken back, priced out."""

from __future__ import annotations

import pytest

from protocol.chain.fees import FeePolicy
from protocol.chain.outbox import (
    AlreadyPending,
    InsufficientFunds,
    NonceTaken,
    NotMined,
    Outbox,
)
from protocol.chain.reverts import Reverted
from protocol.chain.txlog import Status, TransactionLog
from tests.faults.nodes import GWEI, PAYEE, Desk, NodeControl, open_desk
from tests.faults.proxy import Proxy


def is_told_in_four_parts(error: pytest.ExceptionInfo) -> bool:
    return all(getattr(error.value, part) for part in ("what", "why", "todo", "read"))


# ---------------------------------------------------------------- the plain way


def test_submitted_transaction_is_on_disk_with_its_signed_form_and_mined(desk: Desk) -> None:
    intent = desk.pay(5)
    (attempt,) = desk.txlog.attempts(intent.number)
    (outcome,) = desk.outbox.pump()
    assert outcome.intent == intent
    assert outcome.mined is not None
    assert outcome.mined.tx_hash == attempt.tx_hash
    assert outcome.mined.succeeded
    assert outcome.mined.gas_used == 21_000
    assert desk.received() == 5
    assert not desk.outbox.pending
    assert desk.outbox.pump() == []


def test_receipt_is_final_after_its_confirmations_and_not_before(
    desk: Desk, node: NodeControl
) -> None:
    intent = desk.pay(1)
    desk.outbox.pump()
    for _ in range(2):
        node.mine()
        desk.outbox.pump()
        assert desk.txlog.get(intent.number).status is Status.MINED
    node.mine()
    desk.outbox.pump()
    assert desk.txlog.get(intent.number).status is Status.FINAL


def test_same_content_is_not_sent_twice_while_it_is_on_its_way(
    desk: Desk, node: NodeControl
) -> None:
    node.automine(False)
    first = desk.pay(1)
    with pytest.raises(AlreadyPending, match=f"nonce {first.nonce}"):
        desk.pay(1)
    assert desk.pay(2).nonce == first.nonce + 1
    node.mine()
    desk.outbox.pump()
    assert desk.pay(1).nonce == first.nonce + 2  # it is done: a second payment is meant


def test_what_would_revert_is_refused_before_anything_is_written(desk: Desk) -> None:
    from protocol.chain.artifact import load_artifact

    code = load_artifact("Registry").bytecode  # its constructor wants arguments
    with pytest.raises(Reverted):
        desk.outbox.submit(None, bytes.fromhex(code.removeprefix("0x")), label="deploy")
    assert not desk.txlog.with_status(*Status)
    assert desk.nonce() == desk.nonce("pending") == 0


def test_account_without_money_is_told_both_values_and_sends_nothing(desk: Desk) -> None:
    balance = int(desk.chain.w3.eth.get_balance(desk.key.address))
    with pytest.raises(InsufficientFunds, match=f"has {balance}") as error:
        desk.pay(balance, gas=21_000)
    assert is_told_in_four_parts(error)
    assert not desk.txlog.with_status(*Status)


def test_send_and_wait_returns_the_receipt_or_the_reason(desk: Desk) -> None:
    assert desk.outbox.send_and_wait(PAYEE, b"", value=3)["status"] == 1
    # Creation code that reverts; the limit given, so that no estimate refuses it before.
    with pytest.raises(Reverted):
        desk.outbox.send_and_wait(None, bytes.fromhex("60006000fd"), gas=100_000, label="fail")
    assert desk.nonce() == 2


def test_waiting_ends_in_time_and_may_be_gone_on_with(desk: Desk, node: NodeControl) -> None:
    node.automine(False)
    with pytest.raises(NotMined, match=r"nonce 0 of .* waits since 5 s") as error:
        desk.outbox.send_and_wait(PAYEE, b"", value=3, timeout_s=5)
    assert is_told_in_four_parts(error)
    node.mine()
    desk.outbox.send_and_wait(PAYEE, b"", value=3, timeout_s=5)
    assert (desk.received(), desk.nonce()) == (3, 1)


# ---------------------------------------------------------------- crashes


def test_killed_between_writing_and_sending_it_is_sent_after_the_restart(desk: Desk) -> None:
    def die(*_arguments) -> None:
        raise KeyboardInterrupt

    desk.outbox._broadcast = die
    with pytest.raises(KeyboardInterrupt):
        desk.pay(5)
    assert desk.nonce("pending") == 0
    desk.open()
    desk.outbox.pump()
    desk.outbox.pump()
    assert (desk.received(), desk.nonce()) == (5, 1)


def test_restart_within_patience_sends_the_same_bytes_and_not_a_dearer_offer(
    desk: Desk, node: NodeControl
) -> None:
    node.automine(False)
    intent = desk.pay(5)
    for _ in range(5):
        desk.open()
        desk.outbox.pump()
    assert len(desk.txlog.attempts(intent.number)) == 1
    desk.clock.now += 30
    desk.outbox.pump()
    assert len(desk.txlog.attempts(intent.number)) == 2


def test_mined_while_the_process_was_gone_it_is_not_sent_again(desk: Desk) -> None:
    intent = desk.pay(5)
    desk.open()
    (outcome,) = desk.outbox.pump()
    assert outcome.intent.number == intent.number
    assert desk.received() == 5


# ---------------------------------------------------------------- dropped and replaced


def test_dropped_transaction_is_sent_again_with_the_same_nonce(
    desk: Desk, node: NodeControl
) -> None:
    node.automine(False)
    intent = desk.pay(5)
    node.drop(desk.last_hash(intent.number))
    assert desk.nonce("pending") == 0
    desk.outbox.pump()
    assert desk.nonce("pending") == 0  # its patience has not run out
    desk.clock.now += 30
    desk.outbox.pump()
    assert desk.nonce("pending") == 1
    node.mine()
    assert desk.outbox.pump()[0].mined is not None
    assert (desk.received(), desk.nonce()) == (5, 1)


def test_dropped_transaction_below_others_is_sent_again_and_lets_them_through(
    desk: Desk, node: NodeControl
) -> None:
    node.automine(False)
    intents = [desk.pay(wei) for wei in (1, 2, 4)]
    node.drop(desk.last_hash(intents[0].number))
    node.mine()
    assert desk.received() == 0
    desk.clock.now += 30
    desk.outbox.pump()
    node.mine()
    desk.outbox.pump()
    assert (desk.received(), desk.nonce()) == (7, 3)


def test_nonce_that_another_program_took_is_told_when_it_is_final(
    desk: Desk, node: NodeControl, caplog
) -> None:
    node.automine(False)
    intent = desk.pay(5)
    node.drop(desk.last_hash(intent.number))
    stranger = open_desk(node, 1, ":memory:")
    assert stranger.pay(1).nonce == intent.nonce
    node.mine()
    for _ in range(3):
        desk.clock.now += 30
        assert desk.outbox.pump() == []  # not final: a reorganisation may decide otherwise
        node.mine()
    (outcome,) = desk.outbox.pump()
    assert (outcome.intent.number, outcome.mined) == (intent.number, None)
    assert f"nonce {intent.nonce} of {desk.account} was used by" in caplog.text
    assert desk.received() == 1
    # The owner may ask for it again: it takes the next nonce.
    assert desk.pay(5).nonce == intent.nonce + 1


def test_command_whose_nonce_was_taken_says_so_in_four_parts(desk: Desk, node: NodeControl) -> None:
    node.automine(False)
    intent = desk.pay(5)
    node.drop(desk.last_hash(intent.number))
    open_desk(node, 1, ":memory:").pay(1)
    node.mine(5)
    with pytest.raises(NonceTaken, match=f"nonce {intent.nonce} of {desk.account}") as error:
        desk.outbox.send_and_wait(PAYEE, b"", value=5)
    assert is_told_in_four_parts(error)


def test_pooled_transaction_of_another_program_keeps_its_nonce(
    desk: Desk, node: NodeControl
) -> None:
    node.automine(False)
    stranger = open_desk(node, 1, ":memory:")
    assert stranger.pay(1).nonce == 0
    assert desk.pay(5).nonce == 1
    node.mine()
    assert desk.received() == 6


def test_replacement_by_another_program_that_is_mined_with_ours_gone_loses_nothing_else(
    desk: Desk, node: NodeControl
) -> None:
    node.automine(False)
    first, second = desk.pay(1), desk.pay(2)
    node.drop(desk.last_hash(first.number))
    open_desk(node, 1, ":memory:").pay(16)
    node.mine(5)
    outcomes = {o.intent.number: o.mined for o in desk.outbox.pump()}
    assert outcomes.pop(first.number) is None
    if not outcomes:  # anvil has dropped the second with the first
        desk.clock.now += 30
        desk.outbox.pump()
        node.mine()
        outcomes = {o.intent.number: o.mined for o in desk.outbox.pump()}
    assert outcomes[second.number] is not None
    assert desk.received() == 18


# ---------------------------------------------------------------- gaps


def test_nonce_gap_below_what_waits_is_filled(desk: Desk, node: NodeControl, caplog) -> None:
    """Another program's transaction held a nonce and was dropped: nobody else will use it."""
    node.automine(False)
    stranger = open_desk(node, 1, ":memory:")
    foreign = stranger.pay(1)
    intent = desk.pay(5)
    assert (foreign.nonce, intent.nonce) == (0, 1)
    node.drop(stranger.last_hash(foreign.number))
    node.mine()
    desk.outbox.pump()
    assert desk.received() == 0
    for _ in range(4):
        desk.clock.now += 30
        desk.outbox.pump()
        node.mine()
    assert (desk.received(), desk.nonce()) == (5, 2)
    assert f"nonce 0 of {desk.account} is missing below 1" in caplog.text
    labels = [intent.label for intent in desk.txlog.with_status(*Status)]
    assert labels == ["fill a nonce gap", "pay 5"]


def test_gaps_of_several_nonces_are_filled_one_after_the_other(
    desk: Desk, node: NodeControl
) -> None:
    node.automine(False)
    stranger = open_desk(node, 1, ":memory:")
    foreign = [stranger.pay(wei) for wei in (1, 2)]
    desk.pay(8)
    for intent in foreign:
        node.drop(stranger.last_hash(intent.number))
    for _ in range(6):
        desk.clock.now += 30
        desk.outbox.pump()
        node.mine()
    assert (desk.received(), desk.nonce()) == (8, 3)


# ---------------------------------------------------------------- fees


def test_offer_that_waits_is_raised_up_to_the_cap_and_never_above(
    desk: Desk, node: NodeControl, caplog
) -> None:
    node.automine(False)
    intent = desk.pay(5)
    for _ in range(45):
        desk.clock.now += 30
        desk.outbox.pump()
    offers = [attempt.offer.max_fee for attempt in desk.txlog.attempts(intent.number)]
    assert offers == sorted(set(offers))
    assert offers[-1] == 100 * GWEI
    assert "waits at the fee cap of 100000000000 wei" in caplog.text
    node.mine()
    desk.outbox.pump()
    assert (desk.received(), desk.nonce()) == (5, 1)


@pytest.mark.parametrize(("urgent", "paid"), [(False, False), (True, True)])
def test_base_fee_above_the_cap_is_waited_out_unless_a_clock_runs(
    desk: Desk, node: NodeControl, urgent: bool, paid: bool
) -> None:
    node.automine(False)
    node.base_fee(200 * GWEI)
    node.mine()
    intent = desk.pay(5, urgent=urgent, gas=21_000)
    node.mine()
    desk.outbox.pump()
    assert bool(desk.received()) is paid
    desk.clock.now += 30
    desk.outbox.pump()
    assert all(
        attempt.offer.max_fee <= (500 if urgent else 100) * GWEI
        for attempt in desk.txlog.attempts(intent.number)
    )
    # The spike is over: what waited goes, with the nonce that it had.
    node.base_fee(GWEI)
    node.mine()
    desk.clock.now += 30
    desk.outbox.pump()
    node.mine()
    desk.outbox.pump()
    assert (desk.received(), desk.nonce()) == (5, 1)


def test_spike_while_an_offer_waits_is_followed_at_once_when_patience_ends(
    desk: Desk, node: NodeControl
) -> None:
    node.automine(False)
    intent = desk.pay(5)
    node.base_fee(40 * GWEI)
    node.mine()
    desk.clock.now += 30
    desk.outbox.pump()
    offer = desk.txlog.attempts(intent.number)[-1].offer
    assert offer.max_fee >= 40 * GWEI
    node.mine()
    desk.outbox.pump()
    assert desk.received() == 5


# ---------------------------------------------------------------- reorganisations


def test_mined_transaction_that_a_reorg_took_back_is_sent_again(
    desk: Desk, node: NodeControl, caplog
) -> None:
    mark = node.snapshot()
    intent = desk.pay(5)
    node.mine(2)
    desk.outbox.pump()
    node.revert(mark)
    node.mine(3)
    assert desk.received() == 0
    desk.outbox.pump()  # taken back, sent again and, as the node mines at once, mined
    desk.outbox.pump()
    assert "was taken back by a reorg" in caplog.text
    assert (desk.received(), desk.nonce()) == (5, 1)
    assert desk.txlog.get(intent.number).status is Status.MINED


def test_several_mined_transactions_taken_back_come_again_in_their_order(
    desk: Desk, node: NodeControl
) -> None:
    mark = node.snapshot()
    intents = [desk.pay(wei) for wei in (1, 2, 4)]
    desk.outbox.pump()
    node.revert(mark)
    node.mine(6)
    for _ in range(3):
        desk.outbox.pump()
    assert (desk.received(), desk.nonce()) == (7, 3)
    assert [desk.txlog.get(i.number).nonce for i in intents] == [0, 1, 2]
    assert not desk.txlog.with_status(Status.REPLACED)


def test_what_a_reorg_took_back_keeps_its_nonce_from_what_is_submitted_next(
    desk: Desk, node: NodeControl
) -> None:
    """Before the next pump the chain looks as if it had never been sent."""
    mark = node.snapshot()
    first = desk.pay(1)
    desk.outbox.pump()
    node.revert(mark)
    node.mine(2)
    with pytest.raises(AlreadyPending, match=f"nonce {first.nonce}"):
        desk.pay(1)
    assert desk.pay(2).nonce == first.nonce + 1
    for _ in range(3):
        desk.outbox.pump()
    assert (desk.received(), desk.nonce()) == (3, 2)


def test_what_a_reorg_took_back_is_not_replaced_by_a_filler(desk: Desk, node: NodeControl) -> None:
    mark = node.snapshot()
    desk.pay(1)
    desk.outbox.pump()
    node.automine(False)
    desk.pay(2)
    node.revert(mark)  # both are gone: the first from the chain, the second from the pool
    node.mine()
    desk.clock.now += 30
    for _ in range(3):
        desk.outbox.pump()
        node.mine()
    assert desk.received() == 3
    assert all("gap" not in intent.label for intent in desk.txlog.with_status(*Status))


def test_nonce_taken_on_the_new_branch_is_told_and_the_call_may_be_made_again(
    desk: Desk, node: NodeControl
) -> None:
    mark = node.snapshot()
    intent = desk.pay(1)
    desk.outbox.pump()
    node.revert(mark)
    open_desk(node, 1, ":memory:").pay(16)  # superseded
    node.mine(4)
    outcomes = desk.outbox.pump()
    assert [(o.intent.number, o.mined) for o in outcomes] == [(intent.number, None)]
    desk.pay(1)
    assert desk.received() == 17


def test_receipt_in_another_block_after_a_reorg_is_the_one_that_is_kept(
    desk: Desk, node: NodeControl
) -> None:
    mark = node.snapshot()
    intent = desk.pay(1)
    desk.outbox.pump()
    before = desk.txlog.receipt(intent.number)
    node.revert(mark)
    node.mine(2)
    raw = desk.txlog.attempts(intent.number)[0].raw
    desk.chain.w3.eth.send_raw_transaction(raw)  # another node had it in its pool
    desk.outbox.pump()
    after = desk.txlog.receipt(intent.number)
    assert before is not None
    assert after is not None
    assert (after.tx_hash, after.block_number) == (before.tx_hash, before.block_number + 2)


# ---------------------------------------------------------------- nodes that fail


def test_node_that_refuses_a_transaction_is_asked_again_when_patience_ends(
    node: NodeControl, tmp_path, caplog
) -> None:
    with Proxy(node.url) as proxy:
        desk = Desk(proxy.url, 1, tmp_path / "journal.sqlite", settle=node.settle)
        proxy.refuse = {"eth_sendRawTransaction": {"code": -32603, "message": "internal error"}}
        desk.pay(5)
        assert "pay 5 (nonce 0) not taken: internal error" in caplog.text
        proxy.heal()
        desk.outbox.pump()
        assert desk.received() == 0
        desk.clock.now += 30
        desk.outbox.pump()
        assert desk.received() == 5


def test_pump_without_a_node_is_a_connection_error_and_loses_nothing(
    node: NodeControl, tmp_path
) -> None:
    with Proxy(node.url) as proxy:
        desk = Desk(proxy.url, 1, tmp_path / "journal.sqlite", settle=node.settle)
        desk.pay(5)
        proxy.down = True
        with pytest.raises(ConnectionError, match="cannot be reached"):
            desk.outbox.pump()
        proxy.heal()
        assert len(desk.outbox.pump()) == 1


def test_transaction_that_nobody_was_there_to_take_is_sent_when_somebody_answers(
    node: NodeControl, tmp_path
) -> None:
    with Proxy(node.url) as proxy:
        desk = Desk(proxy.url, 1, tmp_path / "journal.sqlite", settle=node.settle)

        def break_off(method, _params, result):
            # The last question before sending: the connection is gone after its answer.
            proxy.down = method == "eth_getTransactionCount" and proxy.seen[method] == 2
            return result

        assert desk.chain.chain_id == 31337  # asked once, when a process opens
        proxy.rewrite = break_off
        desk.pay(5)
        assert node.receipt(desk.last_hash(1)) is None
        proxy.heal()
        desk.outbox.pump()  # patience is not waited for: it was never sent
        desk.outbox.pump()
        assert desk.received() == 5


def test_node_that_lags_is_not_taken_for_a_chain_without_the_transaction(
    node: NodeControl, tmp_path
) -> None:
    """An endpoint that stands a block behind shows neither the nonce nor the receipt."""
    with Proxy(node.url) as proxy:
        desk = Desk(proxy.url, 1, tmp_path / "journal.sqlite", settle=node.settle)
        first = desk.pay(1)
        desk.outbox.pump()

        def lag(method, _params, result):
            if method == "eth_getTransactionReceipt":
                return None
            if method == "eth_getTransactionCount":
                return "0x0"
            return result

        proxy.rewrite = lag
        with pytest.raises(AlreadyPending):
            desk.pay(1)
        assert desk.pay(2).nonce == first.nonce + 1
        proxy.heal()
        node.mine()
        desk.outbox.pump()
        desk.outbox.pump()
        assert (desk.received(), desk.nonce()) == (3, 2)


# ---------------------------------------------------------------- clocks and neighbours


@pytest.mark.parametrize("skew", [-10_000_000.0, 10_000_000.0])
def test_clock_that_jumps_holds_no_transaction_up(
    desk: Desk, node: NodeControl, skew: float
) -> None:
    node.automine(False)
    intent = desk.pay(5)
    node.drop(desk.last_hash(intent.number))
    desk.clock.now += skew
    desk.outbox.pump()
    assert desk.nonce("pending") == 1
    attempts = desk.txlog.attempts(intent.number)
    assert attempts[-1].offer.max_fee > attempts[0].offer.max_fee
    node.mine()
    desk.outbox.pump()
    assert desk.received() == 5


def test_two_processes_with_one_log_take_different_nonces(desk: Desk, node: NodeControl) -> None:
    node.automine(False)
    command = open_desk(node, 1, desk.path)
    nonces = [who.pay(wei).nonce for wei, who in enumerate([desk, command] * 4)]
    assert nonces == list(range(8))
    with pytest.raises(AlreadyPending):
        command.pay(0)
    node.mine()
    command.outbox.pump()
    assert desk.outbox.pump() == []  # the other process has written the receipts
    assert desk.received() == sum(range(8))


def test_same_content_from_two_processes_at_once_is_sent_once(
    desk: Desk, node: NodeControl, monkeypatch
) -> None:
    node.automine(False)
    command = open_desk(node, 1, desk.path)
    estimate = desk.chain.estimate_gas

    def outrun(*arguments):
        command.pay(5)  # the other comes first while this one asks for the gas
        return estimate(*arguments)

    monkeypatch.setattr(desk.chain, "estimate_gas", outrun)
    with pytest.raises(AlreadyPending):
        desk.pay(5)
    node.mine()
    assert desk.received() == 5


def test_outbox_of_an_unknown_account_is_a_lookup_error_with_both_values(desk: Desk) -> None:
    with pytest.raises(LookupError, match=f"0xstranger.*{desk.account}"):
        desk.chain.outbox("0xstranger")


def test_urgent_cap_is_not_that_of_other_transactions(node: NodeControl) -> None:
    fees = FeePolicy(cap=10 * GWEI, urgent_cap=20 * GWEI)
    desk = open_desk(node, 1, ":memory:", fees=fees)
    node.automine(False)
    calm, urgent = desk.pay(1), desk.pay(2, urgent=True)
    for _ in range(30):
        desk.clock.now += 30
        desk.outbox.pump()
    assert desk.txlog.attempts(calm.number)[-1].offer.max_fee == 10 * GWEI
    assert desk.txlog.attempts(urgent.number)[-1].offer.max_fee == 20 * GWEI


def test_log_in_memory_serves_devnets(desk: Desk) -> None:
    memory = TransactionLog(":memory:", 31337, desk.account)
    outbox = Outbox(desk.chain, desk.key, memory)
    assert outbox.send_and_wait(PAYEE, b"", value=1)["status"] == 1
