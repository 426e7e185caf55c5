from __future__ import annotations

import pytest

from protocol.chain.embedded import EmbeddedChain
from protocol.chain.pyevm import GENESIS_TIME_S
from protocol.chain.reverts import Reverted

SUPPLY = 10**24


@pytest.fixture
def token(chain):
    return chain.deploy("DevToken", chain.accounts[0], SUPPLY)


def test_accounts_are_twenty_with_keys_and_ether(chain):
    assert len(chain.accounts) == 20
    assert [key.address for key in chain.keys] == chain.accounts
    assert chain.w3.eth.get_balance(chain.accounts[19]) == 10**24


def test_deploy_mints_the_supply(chain, token):
    assert chain.call(token.functions.balanceOf(chain.accounts[0])) == SUPPLY


def test_send_from_another_account_uses_its_balance(chain, token):
    alice, bob = chain.accounts[1:3]
    chain.send(token.functions.transfer(alice, 7))
    receipt = chain.send(token.functions.transfer(bob, 3), alice)
    assert chain.call(token.functions.balanceOf(alice)) == 4
    (event,) = token.events.Transfer().process_receipt(receipt)
    assert dict(event["args"]) == {"from": alice, "to": bob, "value": 3}


def test_send_that_reverts_raises_the_custom_error(chain, token):
    poor = chain.accounts[5]
    with pytest.raises(Reverted, match="ERC20InsufficientBalance") as caught:
        chain.send(token.functions.transfer(chain.accounts[1], 9), poor)
    assert caught.value.arguments == (poor, 0, 9)


def test_call_that_reverts_raises_the_custom_error(chain, token):
    poor = chain.accounts[5]
    with pytest.raises(Reverted) as caught:
        chain.call(token.functions.transfer(chain.accounts[1], 9), poor)
    assert (caught.value.name, caught.value.arguments) == ("ERC20InsufficientBalance", (poor, 0, 9))


def test_send_without_enough_gas_raises_out_of_gas(chain, token):
    with pytest.raises(Reverted, match="OutOfGas"):
        chain.send(token.functions.transfer(chain.accounts[1], 9), gas=22_000)


def test_call_from_an_account_without_ether_works(chain, token):
    stranger = "0x" + "42" * 20
    assert (
        chain.call(token.functions.balanceOf(stranger), chain.w3.to_checksum_address(stranger)) == 0
    )


def test_call_at_an_old_block_sees_the_old_state(chain, token):
    before = chain.w3.eth.block_number
    chain.send(token.functions.transfer(chain.accounts[1], 7))
    balance = token.functions.balanceOf(chain.accounts[1])
    assert (chain.call(balance, block=before), chain.call(balance)) == (0, 7)


def test_permit_signed_with_an_accounts_key_sets_the_allowance(chain, token):
    owner, spender = chain.keys[0], chain.accounts[1]
    deadline = chain.now() + 100
    signed = owner.sign_typed_data(
        domain_data={
            "name": "Pinpoint Development Token",
            "version": "1",
            "chainId": chain.w3.eth.chain_id,
            "verifyingContract": token.address,
        },
        message_types={
            "Permit": [
                {"name": "owner", "type": "address"},
                {"name": "spender", "type": "address"},
                {"name": "value", "type": "uint256"},
                {"name": "nonce", "type": "uint256"},
                {"name": "deadline", "type": "uint256"},
            ]
        },
        message_data={
            "owner": owner.address,
            "spender": spender,
            "value": 5,
            "nonce": 0,
            "deadline": deadline,
        },
    )
    r, s = signed.r.to_bytes(32, "big"), signed.s.to_bytes(32, "big")
    permit = token.functions.permit(owner.address, spender, 5, deadline, signed.v, r, s)
    chain.send(permit, spender)
    assert chain.call(token.functions.allowance(owner.address, spender)) == 5


def test_advance_moves_time_by_exactly_that(chain):
    start = chain.now()
    chain.advance(3600)
    assert chain.now() == start + 3600
    assert chain.w3.eth.get_block("latest")["timestamp"] == start + 3600


def test_set_next_time_fixes_the_time_of_the_next_transaction(chain, token):
    at = chain.now() + 77
    chain.set_next_time(at)
    receipt = chain.send(token.functions.transfer(chain.accounts[1], 1))
    assert chain.w3.eth.get_block(receipt["blockNumber"])["timestamp"] == at


def test_set_next_time_in_the_past_is_refused(chain):
    with pytest.raises(ValueError, match="time only moves forward"):
        chain.set_next_time(chain.now())


def test_mine_adds_blocks_one_second_apart(chain):
    number, time_s = chain.w3.eth.block_number, chain.now()
    chain.mine(5)
    assert (chain.w3.eth.block_number, chain.now()) == (number + 5, time_s + 5)


def test_revert_restores_state_time_and_nonce_more_than_once(chain, token):
    snapshot, time_s = chain.snapshot(), chain.now()
    for _ in range(2):
        chain.send(token.functions.transfer(chain.accounts[1], 7))
        chain.advance(1000)
        chain.revert(snapshot)
        assert chain.call(token.functions.balanceOf(chain.accounts[1])) == 0
        assert chain.now() == time_s


def test_transfer_moves_wei(chain):
    to = chain.w3.to_checksum_address("0x" + "42" * 20)
    chain.transfer(to, 5)
    assert chain.w3.eth.get_balance(to) == 5


def test_two_chains_with_the_same_calls_have_the_same_blocks():
    heads = []
    for _ in range(2):
        twin = EmbeddedChain()
        twin.deploy("DevToken", twin.accounts[0], SUPPLY)
        twin.advance(10)
        heads.append(twin.w3.eth.get_block("latest"))
    assert heads[0]["hash"] == heads[1]["hash"]
    assert heads[0]["timestamp"] > GENESIS_TIME_S


def test_events_are_found_by_web3(chain, token):
    chain.send(token.functions.transfer(chain.accounts[1], 7))
    logs = token.events.Transfer().get_logs(from_block=0)
    assert [log["args"]["value"] for log in logs] == [SUPPLY, 7]


def test_raw_transaction_signed_elsewhere_is_mined(chain):
    to = chain.w3.to_checksum_address("0x" + "43" * 20)
    signed = chain.keys[3].sign_transaction(
        {
            "to": to,
            "value": 9,
            "nonce": 0,
            "gas": 21_000,
            "maxFeePerGas": 10**10,
            "maxPriorityFeePerGas": 0,
            "chainId": chain.w3.eth.chain_id,
        }
    )
    tx_hash = chain.w3.eth.send_raw_transaction(signed.raw_transaction)
    assert chain.w3.eth.get_transaction_receipt(tx_hash)["status"] == 1
    assert chain.w3.eth.get_balance(to) == 9
