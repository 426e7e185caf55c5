"""What the rest of the project needs of a chain, whatever it runs on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from web3.exceptions import ContractLogicError

from protocol.chain.artifact import Artifact, PackedArtifacts
from protocol.chain.reverts import ErrorRegistry, Reverted

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount
    from eth_typing import ChecksumAddress
    from web3 import Web3
    from web3.contract import Contract
    from web3.contract.contract import ContractFunction
    from web3.types import BlockIdentifier, TxReceipt


class Chain(Protocol):
    """A chain with the accounts that this process may use.

    A `sender` is the address of one of `accounts`; without it the first account sends.
    Every failed call or transaction raises `Reverted` with the decoded custom error.
    """

    @property
    def w3(self) -> Web3:
        """The web3 client, for events, filters and whatever else is not here."""

    @property
    def accounts(self) -> list[ChecksumAddress]:
        """The addresses that this process can send from."""

    @property
    def keys(self) -> list[LocalAccount]:
        """The same accounts with their private keys, to sign typed data."""

    def now(self) -> int:
        """Return the time of the latest block, in seconds since 1970."""

    def contract(self, name: str, address: str, *, artifact: Artifact | None = None) -> Contract:
        """Bind the ABI of a contract of this project to an address."""

    def deploy(
        self,
        name: str,
        *args: Any,
        sender: str | None = None,
        artifact: Artifact | None = None,
    ) -> Contract:
        """Deploy a contract of this project with its constructor's arguments."""

    def send(
        self,
        fn: ContractFunction,
        sender: str | None = None,
        *,
        value: int = 0,
        gas: int | None = None,
    ) -> TxReceipt:
        """Send a transaction and return its receipt.

        Args:
            fn: A bound function call, such as `token.functions.transfer(to, amount)`.
            sender: Which account sends.
            value: Wei to send along.
            gas: Gas limit; the client chooses one if it is missing.
        """

    def call(
        self,
        fn: ContractFunction,
        sender: str | None = None,
        *,
        block: BlockIdentifier = "latest",
    ) -> Any:
        """Return what a function call would return at a block, changing nothing."""


class ContractBinder:
    """Finds artefacts, binds them to addresses, and decodes the errors of all that it has bound.

    Args:
        w3: The web3 client to bind to.
        artifacts: The artefacts by name; the packed ones if missing.
    """

    def __init__(self, w3: Web3, artifacts: Mapping[str, Artifact] | None = None) -> None:
        self._w3 = w3
        self.artifacts = PackedArtifacts() if artifacts is None else artifacts
        self.errors = ErrorRegistry()
        for artifact in PackedArtifacts().values():
            self.errors.add_abi(artifact.abi)

    def find(self, name: str, artifact: Artifact | None = None) -> Artifact:
        """Return the artefact of that name and remember its errors.

        Raises:
            KeyError: There is none.
        """
        found = artifact or self.artifacts[name]
        self.errors.add_abi(found.abi)
        return found

    def bind(self, artifact: Artifact, address: str) -> Contract:
        """Return the contract object of an address."""
        return self._w3.eth.contract(
            address=self._w3.to_checksum_address(address), abi=artifact.abi
        )

    def explain(self, error: ContractLogicError) -> Reverted:
        """Return the decoded form of web3's exception for a reverted call."""
        if not isinstance(error.data, str):
            return Reverted(error.message or "Empty")
        return self.errors.decode(bytes.fromhex(error.data.removeprefix("0x")))
