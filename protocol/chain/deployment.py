"""Deploys the contracts of a market, and knows them afterwards.

Vault, registry, market, claims and dispute know one another's addresses from construction, so that
there is no wiring and no owner: a CREATE address follows from deployer and nonce, and all are
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

__all__ = [
    "CONTRACTS",
    "Deployment",
    "DeploymentError",
    "DeploymentPlan",
    "deploy_all",
    "plan_deployment",
]

# Role in a deployment -> name of the contract, in the order of deployment.
CONTRACTS = {
    "token": "DevToken",
    "judge": "Judge",
    "vault": "Vault",
    "registry": "Registry",
    "market": "Market",
    "claims": "Claims",
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


@dataclass(frozen=True)
class DeploymentPlan:
    """What will be deployed, and at which addresses: they follow from deployer and nonce.

    Carrying it out twice deploys nothing twice.

    Attributes:
        deployer: the account that deploys; it gets no rights.
        first_nonce: of its first transaction of the plan.
        preset: the constants.
        token: address of an existing ERC-20; None: a development token comes first.
    """

    deployer: str
    first_nonce: int
    preset: Preset
    token: str | None = None

    @property
    def roles(self) -> list[str]:
        """What is deployed, in order."""
        return [role for role in CONTRACTS if role != "token" or self.token is None]

    @property
    def addresses(self) -> dict[str, str]:
        """Address of each contract by its role."""
        found = {} if self.token is None else {"token": self.token}
        deployer = to_checksum_address(self.deployer)
        for offset, role in enumerate(self.roles):
            found[role] = get_create_address(deployer, Nonce(self.first_nonce + offset))
        return found

    def arguments(self, role: str) -> tuple[Any, ...]:
        """What the constructor of a role's contract takes."""
        at, preset = self.addresses, self.preset
        arguments: dict[str, tuple[Any, ...]] = {
            "token": (self.deployer, preset.token_supply),
            "judge": (),
            "vault": (at["token"], at["registry"], at["market"], at["dispute"]),
            "registry": (at["vault"], preset.minimum_verifier_stake, preset.unbonding_seconds),
            "market": (at["vault"], at["registry"], at["claims"], preset.market.to_tuple()),
            "claims": (at["market"], at["registry"], at["dispute"]),
            "dispute": (at["claims"], at["vault"], at["judge"], preset.dispute.to_tuple()),
        }
        return arguments[role]

    def carry_out(
        self, chain: Chain, deploy_dispute: Callable[..., Contract] | None = None
    ) -> Deployment:
        """Deploy what is not there yet.

        Args:
            chain: where to.
            deploy_dispute: as in `deploy_all`.

        Raises:
            DeploymentError: the deployer made another transaction in between.
            Reverted: a constant is out of bounds.
        """
        bound: dict[str, Contract] = {}
        for role, address in self.addresses.items():
            if chain.w3.eth.get_code(to_checksum_address(address)):
                bound[role] = chain.contract(CONTRACTS[role], address)
                continue
            self._require_address(role, self._next_address(chain))  # before it is paid for
            if role == "dispute" and deploy_dispute is not None:
                bound[role] = deploy_dispute(bound["claims"], bound["vault"], bound["judge"])
            else:
                arguments = self.arguments(role)
                bound[role] = chain.deploy(CONTRACTS[role], *arguments, sender=self.deployer)
            self._require_address(role, str(bound[role].address))
        return Deployment(chain, self.preset, **bound)

    def _next_address(self, chain: Chain) -> str:
        """Where the deployer's next contract would lie."""
        deployer = to_checksum_address(self.deployer)
        return str(get_create_address(deployer, chain.w3.eth.get_transaction_count(deployer)))

    def _require_address(self, role: str, got: str) -> None:
        """DeploymentError unless a contract lies where the others were told."""
        promised = self.addresses[role]
        if got != promised:
            raise DeploymentError(
                f"the {role} has the address {got}, but the other contracts were told {promised}: "
                f"{self.deployer} sent other transactions in between; deploy again with an account "
                "that does nothing else meanwhile"
            )


def plan_deployment(
    chain: Chain, preset: Preset, *, sender: str | None = None, token: str | None = None
) -> DeploymentPlan:
    """What `deploy_all` would do now."""
    deployer = to_checksum_address(sender or chain.accounts[0])
    return DeploymentPlan(deployer, chain.w3.eth.get_transaction_count(deployer), preset, token)


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
    own = None if token is None else str(token.address)
    return plan_deployment(chain, preset, sender=sender, token=own).carry_out(chain, deploy_dispute)
