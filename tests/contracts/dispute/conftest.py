"""The dispute contract between a real vault, a real judge and claims that a test registers."""

from __future__ import annotations

from typing import Any

import pytest
from web3.utils import get_create_address

from protocol.chain.embedded import EmbeddedChain
from tests.contracts.dispute.arena import FUNDS, PARAMETERS, Arena


@pytest.fixture(scope="session")
def _dispute_contracts(_session_chain: EmbeddedChain) -> dict[str, Any]:
    chain = _session_chain
    deployer, parties = chain.accounts[0], chain.accounts[1:9]
    token = chain.deploy("DevToken", deployer, FUNDS * 100)
    judge = chain.deploy("Judge")
    claims = chain.deploy("ClaimsHarness")
    nonce = chain.w3.eth.get_transaction_count(deployer)
    promised = get_create_address(deployer, nonce + 1)
    vault = chain.deploy("Vault", token.address, deployer, deployer, promised)
    dispute = chain.deploy("Dispute", claims.address, vault.address, judge.address, PARAMETERS)
    assert dispute.address == promised
    for party in parties:
        chain.send(token.functions.transfer(party, FUNDS))
        chain.send(token.functions.approve(vault.address, FUNDS), party)
        chain.send(vault.functions.deposit(FUNDS), party)
    return {"token": token, "judge": judge, "claims": claims, "vault": vault, "dispute": dispute}


@pytest.fixture
def arena(_dispute_contracts: dict[str, Any], chain: EmbeddedChain) -> Arena:
    """A claim of the honest toy run, and everything to dispute it."""
    arena = Arena(chain, _dispute_contracts)
    arena.register()
    return arena
