"""The chain over JSON-RPC: what it sends, calls, and says of reverts, on two kinds of node."""

from __future__ import annotations

import pytest
from web3.exceptions import ContractLogicError, Web3RPCError

from protocol.chain.deployment import Deployment, deploy_all
from protocol.chain.devnet import connect, dev_account
from protocol.chain.presets import MINIMAL
from protocol.chain.reverts import Reverted
from protocol.chain.rpc import GAS_MARGIN_PERCENT, RpcChain, call_data, revert_data
from tests.faults.nodes import PAYEE, NodeControl


@pytest.fixture
def deployment(node: NodeControl) -> Deployment:
    return deploy_all(connect(node.url, [dev_account(0), dev_account(1)]), MINIMAL)


def test_chain_deploys_sends_and_calls(deployment: Deployment) -> None:
    chain, token = deployment.chain, deployment.token
    account = chain.accounts[1]
    receipt = chain.send(token.functions.transfer(account, 7))
    assert receipt["status"] == 1
    assert chain.call(token.functions.balanceOf(account)) == 7
    before = receipt["blockNumber"] - 1
    assert chain.call(token.functions.balanceOf(account), block=before) == 0


def test_refused_call_and_send_are_decoded_alike(deployment: Deployment) -> None:
    chain = deployment.chain
    call = deployment.market.functions.assign(bytes(32))
    with pytest.raises(Reverted) as called:
        chain.call(call, chain.accounts[0])
    with pytest.raises(Reverted) as sent:
        chain.send(call)
    with pytest.raises(Reverted) as mined:
        chain.send(call, gas=200_000)  # no estimate: it fails on chain
    for error in (called, sent, mined):
        assert (error.value.name, error.value.arguments) == ("UnknownTask", (bytes(32),))


def test_estimate_has_a_margin_for_moves_that_come_before(deployment: Deployment) -> None:
    chain = deployment.chain
    call = deployment.token.functions.transfer(chain.accounts[1], 7)
    plain = chain.w3.eth.estimate_gas(
        {"from": chain.accounts[0], "to": call.address, "data": call_data(call)}
    )
    gas = chain.estimate_gas(chain.accounts[0], call.address, call_data(call))
    assert gas == plain + plain * GAS_MARGIN_PERCENT // 100


def test_transfer_moves_the_chains_own_coin(deployment: Deployment) -> None:
    before = deployment.chain.w3.eth.get_balance(deployment.chain.w3.to_checksum_address(PAYEE))
    assert deployment.chain.transfer(PAYEE, 5)["status"] == 1
    payee = deployment.chain.w3.to_checksum_address(PAYEE)
    assert deployment.chain.w3.eth.get_balance(payee) == before + 5


def test_chain_without_keys_reads_and_cannot_send(node: NodeControl) -> None:
    reading = connect(node.url, [])
    assert reading.chain_id == 31337
    assert reading.accounts == []
    block = node.ask("eth_getBlockByNumber", "latest", False)
    assert reading.now() == int(block["timestamp"], 16)
    assert f"0x{reading.genesis().hex()}" == node.ask("eth_getBlockByNumber", "0x0", False)["hash"]
    with pytest.raises(LookupError, match="cannot send from nobody"):
        reading.outbox()


def test_library_that_is_not_linked_is_refused(node: NodeControl) -> None:
    from dataclasses import replace

    from protocol.chain.artifact import load_artifact

    unlinked = replace(load_artifact("Judge"), link_references={"Library": [(0, 20)]})
    chain: RpcChain = connect(node.url, [dev_account(0)])
    with pytest.raises(ValueError, match="needs libraries"):
        chain.deploy("Judge", artifact=unlinked)


@pytest.mark.parametrize(
    ("error", "data"),
    [
        (ContractLogicError("reverted", data="0x1234"), b"\x12\x34"),
        (ContractLogicError("reverted", data={"data": "0x12"}), b"\x12"),
        (ContractLogicError("reverted", data={"result": "0x"}), b""),
        (ContractLogicError("reverted"), None),
        (Web3RPCError("x", rpc_response={"error": {"data": {"data": "0xab"}}}), b"\xab"),
        (Web3RPCError("x", rpc_response={"error": {"data": "0xab"}}), b"\xab"),
        (Web3RPCError("x", rpc_response={"error": {"message": "limit"}}), None),
        (Web3RPCError("x", rpc_response={"error": {"data": "nothing"}}), None),
    ],
)
def test_revert_data_is_found_wherever_nodes_put_it(error, data: bytes | None) -> None:
    assert revert_data(error) == data


def test_error_that_is_no_revert_stays_what_it_is(node: NodeControl) -> None:
    error = Web3RPCError("x", rpc_response={"error": {"message": "limit exceeded"}})
    assert connect(node.url, []).explain(error) is error
