"""Deploys the contracts of a market, and knows them afterwards.

Vault, registry, market, claims and dispute know one another's addresses from construction, so that
there is no wiring and no owner: a CREATE address follows from deployer and nonce, and the five are
deployed in a fixed order. Another transaction of the deployer in between leaves contracts that
point nowhere; that is found at once and nothing is returned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eth_utils.abi import event_abi_to_log_topic
from eth_utils.address import to_checksum_address
from web3.types import Nonce
from web3.utils import get_create_address

from protocol.chain.presets import Preset

if TYPE_CHECKING:
    from web3.contract import Contract
    from web3.types import EventData, LogReceipt

    from protocol.chain.client import Chain

__all__ = ["CONTRACTS", "Deployment", "DeploymentError", "deploy_all"]

# Role in a deployment -> name of the contract.
CONTRACTS = {
    "token": "DevToken",
    "vault": "Vault",
    "registry": "Registry",
    "market": "Market",
    "claims": "Claims",
    "judge": "Judge",
    "dispute": "Dispute",
}


class DeploymentError(Exception):
    """A contract did not get the address that the others were told."""


@dataclass(frozen=True)
class Deployment:
    """The contracts of one market, bound to a chain."""

    chain: Chain
    preset: Preset
    token: Contract
    vault: Contract
    registry: Contract
    market: Contract
    claims: Contract
    judge: Contract
    dispute: Contract

    @property
    def addresses(self) -> dict[str, str]:
        """Address of each contract by its role; what `connect` takes."""
        return {role: str(getattr(self, role).address) for role in CONTRACTS}

    @classmethod
    def connect(cls, chain: Chain, preset: Preset, addresses: Mapping[str, str]) -> Deployment:
        """Bind contracts that were deployed before.

        Raises:
            DeploymentError: An address is missing.
        """
        missing = sorted(set(CONTRACTS) - set(addresses))
        if missing:
            raise DeploymentError(
                f"cannot connect to a deployment: no address of {', '.join(missing)} among "
                f"{sorted(addresses)}; pass all that `Deployment.addresses` has"
            )
        bound = {role: chain.contract(name, addresses[role]) for role, name in CONTRACTS.items()}
        return cls(chain, preset, **bound)

    def decode_event(self, contract: Contract, log: LogReceipt) -> EventData | None:
        """Return a log of a contract as an event; None if its ABI does not know it."""
        for entry in contract.abi:
            if (
                entry["type"] == "event"
                and log["topics"]
                and event_abi_to_log_topic(entry) == bytes(log["topics"][0])
            ):
                event: EventData = contract.events[entry["name"]]().process_log(log)
                return event
        return None

    def fund(self, account: str, amount: int) -> None:
        """Give an account of the chain token wei of the deployer's, as vault credit."""
        account = to_checksum_address(account)
        self.chain.send(self.token.functions.transfer(account, amount))
        self.chain.send(self.token.functions.approve(self.vault.address, amount), account)
        self.chain.send(self.vault.functions.deposit(amount), account)


def deploy_all(
    chain: Chain,
    preset: Preset,
    *,
    sender: str | None = None,
    token: Contract | None = None,
    deploy_dispute: Callable[[Contract, Contract, Contract], Contract] | None = None,
) -> Deployment:
    """Deploy a market with everything that belongs to it.

    Args:
        chain: Where to.
        preset: Its constants.
        sender: The deploying account; the first one if missing. It gets no rights.
        token: An existing ERC-20; without it a development token is deployed whose whole supply
            belongs to the sender.
        deploy_dispute: Deploys what stands as dispute, given the contracts claims, vault and judge,
            in exactly one transaction of the sender; the dispute contract if missing.

    Raises:
        DeploymentError: The sender made another transaction in between.
        Reverted: A constant is out of bounds.
    """
    deployer = to_checksum_address(sender or chain.accounts[0])

    def deploy(name: str, *args: Any) -> Contract:
        return chain.deploy(name, *args, sender=deployer)

    token = token or deploy(CONTRACTS["token"], deployer, preset.token_supply)
    judge = deploy(CONTRACTS["judge"])
    # From here on the order is what the addresses depend on.
    first = chain.w3.eth.get_transaction_count(deployer)
    roles = ("vault", "registry", "market", "claims", "dispute")
    promised = {
        role: get_create_address(deployer, Nonce(first + i)) for i, role in enumerate(roles)
    }
    vault = deploy(
        CONTRACTS["vault"],
        token.address,
        promised["registry"],
        promised["market"],
        promised["dispute"],
    )
    registry = deploy(
        CONTRACTS["registry"],
        vault.address,
        preset.minimum_verifier_stake,
        preset.unbonding_seconds,
    )
    market = deploy(
        CONTRACTS["market"],
        vault.address,
        registry.address,
        promised["claims"],
        preset.market.to_tuple(),
    )
    claims = deploy(CONTRACTS["claims"], market.address, registry.address, promised["dispute"])
    if deploy_dispute is None:
        parameters = preset.dispute.to_tuple()
        dispute = deploy(
            CONTRACTS["dispute"], claims.address, vault.address, judge.address, parameters
        )
    else:
        dispute = deploy_dispute(claims, vault, judge)
    deployment = Deployment(chain, preset, token, vault, registry, market, claims, judge, dispute)
    for role, address in promised.items():
        if deployment.addresses[role] != address:
            raise DeploymentError(
                f"the {role} has the address {deployment.addresses[role]}, but the other contracts "
                f"were told {address}: {deployer} sent other transactions in between; "
                "deploy again with an account that does nothing else meanwhile"
            )
    return deployment
