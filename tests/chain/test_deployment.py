"""Deploying a market: addresses, wiring, and what goes wrong."""

from __future__ import annotations

import pytest

from protocol.chain.deployment import CONTRACTS, Deployment, DeploymentError, deploy_all
from protocol.chain.embedded import EmbeddedChain
from protocol.chain.presets import DAY, DEVNET, HOUR, MINIMAL, PRESETS, Preset

# Turns of the longest dispute (GAME 3): two for each level of bisection, and nine.
LONGEST_DISPUTE_TURNS = 37


@pytest.fixture(params=PRESETS.values(), ids=list(PRESETS))
def deployment(chain: EmbeddedChain, request: pytest.FixtureRequest) -> Deployment:
    return deploy_all(chain, request.param)


def test_deployed_contracts_know_one_another(deployment: Deployment):
    knows = [
        (deployment.vault, ["token", "registry", "market", "dispute"]),
        (deployment.registry, ["vault"]),
        (deployment.market, ["vault", "registry", "claims"]),
        (deployment.claims, ["market", "registry", "dispute"]),
        (deployment.dispute, ["claims", "vault", "judge"]),
    ]
    for contract, others in knows:
        for role in others:
            got = deployment.chain.call(contract.functions[role]())
            assert got == deployment.addresses[role]


def test_deployed_contracts_have_the_presets_constants(deployment: Deployment):
    call, preset = deployment.chain.call, deployment.preset
    assert tuple(call(deployment.market.functions.constants())) == preset.market.to_tuple()
    assert tuple(call(deployment.dispute.functions.parameters())) == preset.dispute.to_tuple()
    unbonding = deployment.registry.functions.unbondingSeconds()
    assert call(unbonding) == preset.unbonding_seconds


@pytest.mark.parametrize("preset", PRESETS.values(), ids=list(PRESETS))
def test_unbonding_outlasts_every_claim_and_its_disputes(preset: Preset):
    # I9, I6: all but the queue of re-executions, which depends on the task; a day is left for it.
    dispute, market = preset.dispute, preset.market
    longest = market.max_window_seconds + market.open_reveal_seconds
    longest += dispute.solver_seconds + dispute.opener_seconds
    longest += LONGEST_DISPUTE_TURNS * dispute.grace_seconds
    assert preset.unbonding_seconds - longest > DAY - HOUR


def test_deployer_gets_the_tokens_and_no_rights(chain: EmbeddedChain, deployment: Deployment):
    # P24: nothing in the ABI of any contract belongs to an owner.
    deployer = chain.accounts[0]
    balance = chain.call(deployment.token.functions.balanceOf(deployer))
    assert balance == deployment.preset.token_supply
    for role in CONTRACTS:
        names = {f["name"] for f in getattr(deployment, role).abi if f["type"] == "function"}
        assert not names & {"owner", "transferOwnership", "grantRole", "upgradeTo", "pause"}


def test_deployment_connects_again_by_its_addresses(chain: EmbeddedChain):
    first = deploy_all(chain, MINIMAL)
    again = Deployment.connect(chain, MINIMAL, first.addresses)
    assert again.addresses == first.addresses
    partial = {k: v for k, v in first.addresses.items() if k != "claims"}
    with pytest.raises(DeploymentError, match="no address of claims"):
        Deployment.connect(chain, MINIMAL, partial)


def test_deployment_on_an_existing_token_uses_it(chain: EmbeddedChain):
    token = chain.deploy("DevToken", chain.accounts[3], 1_000)
    deployment = deploy_all(chain, MINIMAL, token=token, sender=chain.accounts[2])
    assert deployment.addresses["token"] == token.address
    assert chain.call(deployment.vault.functions.token()) == token.address


def test_deployment_with_a_transaction_in_between_is_refused(chain: EmbeddedChain):
    def careless(claims, vault, judge):
        chain.transfer(chain.accounts[1], 1)
        parameters = DEVNET.dispute.to_tuple()
        return chain.deploy("Dispute", claims.address, vault.address, judge.address, parameters)

    with pytest.raises(DeploymentError, match="sent other transactions in between"):
        deploy_all(chain, DEVNET, deploy_dispute=careless)


def test_fund_gives_vault_credit(chain: EmbeddedChain):
    deployment = deploy_all(chain, MINIMAL)
    account = chain.accounts[4]
    deployment.fund(account, 12)
    assert chain.call(deployment.vault.functions.credits(account)) == 12


def test_decode_event_of_another_contract_is_none(chain: EmbeddedChain):
    deployment = deploy_all(chain, MINIMAL)
    receipt = chain.send(deployment.token.functions.transfer(chain.accounts[1], 5))
    (log,) = receipt["logs"]
    event = deployment.decode_event(deployment.token, log)
    assert event is not None
    assert event["args"]["value"] == 5
    assert deployment.decode_event(deployment.market, log) is None
