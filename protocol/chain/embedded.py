"""A whole chain inside this process: py-evm with Prague rules behind web3, with time in our hands.

Time starts at `pyevm.GENESIS_TIME_S` and moves by one second per block, or as told; randomness
follows from the block's number. So two runs of the same calls give the same blocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from eth_account import Account
from eth_tester import EthereumTester
from web3 import EthereumTesterProvider, Web3
from web3.exceptions import ContractLogicError

from protocol.chain.client import ContractBinder
from protocol.chain.pyevm import DeterministicBackend, to_web3_error

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount
    from eth_typing import ChecksumAddress
    from web3.contract import Contract
    from web3.contract.contract import ContractFunction
    from web3.types import BlockIdentifier, TxParams, TxReceipt

    from protocol.chain.artifact import Artifact

TRANSACTION_GAS_LIMIT = 30_000_000
NUM_ACCOUNTS = 20
# Covers every base fee: blocks are nearly empty, so it only falls from its start of 1 gwei.
_MAX_FEE_WEI = 10**10


class EmbeddedChain:
    """A `protocol.chain.client.Chain` of its own, with 20 accounts of 1,000,000 ether each.

    Each transaction is mined at once in a block of its own. Snapshots nest.

    Args:
        artifacts: Where contracts are found by name; the packed artefacts if missing.
    """

    def __init__(self, artifacts: Mapping[str, Artifact] | None = None) -> None:
        self._backend = DeterministicBackend(NUM_ACCOUNTS)
        self._w3 = Web3(EthereumTesterProvider(EthereumTester(self._backend)))
        self._keys: list[LocalAccount] = [
            Account.from_key(key.to_bytes()) for key in self._backend.account_keys
        ]
        self._accounts = [key.address for key in self._keys]
        self._binder = ContractBinder(self._w3, artifacts)
        self._snapshots: list[bytes] = []
        # The genesis block has no parent: mine one, so that there is a block to look back at.
        self.mine(1)

    @property
    def w3(self) -> Web3:
        """The web3 client of this chain."""
        return self._w3

    @property
    def accounts(self) -> list[ChecksumAddress]:
        """The addresses of the funded accounts."""
        return self._accounts

    @property
    def keys(self) -> list[LocalAccount]:
        """The funded accounts with their private keys, in the order of `accounts`."""
        return self._keys

    def now(self) -> int:
        """Return the time of the latest block, in seconds since 1970."""
        return int(self._backend.latest_header().timestamp)

    def contract(self, name: str, address: str, *, artifact: Artifact | None = None) -> Contract:
        """Bind the ABI of a contract of this project to an address."""
        return self._binder.bind(self._binder.find(name, artifact), address)

    def deploy(
        self,
        name: str,
        *args: Any,
        sender: str | None = None,
        artifact: Artifact | None = None,
        libraries: Mapping[str, str] | None = None,
        value: int = 0,
    ) -> Contract:
        """Deploy a contract with its constructor's arguments.

        Args:
            name: The contract's name.
            args: The constructor's arguments.
            sender: Which account deploys; the first one if missing.
            artifact: Use this artefact instead of the one of that name.
            libraries: Addresses of external libraries; those missing are deployed.
            value: Wei to send along.

        Raises:
            Reverted: The constructor reverted.
        """
        found = self._binder.find(name, artifact)
        linked = dict(libraries or {})
        for library in found.link_references:
            if library not in linked:
                linked[library] = self.deploy(library, sender=sender).address
        factory = self._w3.eth.contract(abi=found.abi, bytecode=found.link(linked))
        fields = self._fields(sender, value, None)
        receipt = self._transact(factory.constructor(*args).build_transaction(fields))
        return self._binder.bind(found, str(receipt["contractAddress"]))

    def send(
        self,
        fn: ContractFunction,
        sender: str | None = None,
        *,
        value: int = 0,
        gas: int | None = None,
    ) -> TxReceipt:
        """Send a transaction, mine it, and return its receipt.

        Raises:
            Reverted: It failed; the failed transaction is mined all the same.
        """
        return self._transact(fn.build_transaction(self._fields(sender, value, gas)))

    def call(
        self,
        fn: ContractFunction,
        sender: str | None = None,
        *,
        block: BlockIdentifier = "latest",
    ) -> Any:
        """Return what a function call would return at a block, changing nothing.

        Raises:
            Reverted: The call failed.
        """
        try:
            return fn.call(
                {"from": cast("ChecksumAddress", sender or self._accounts[0])},
                block_identifier=block,
            )
        except ContractLogicError as error:
            raise self._binder.explain(error) from None

    def transfer(self, to: str, value: int, *, sender: str | None = None) -> TxReceipt:
        """Send wei to an address."""
        target = self._w3.to_checksum_address(to)
        return self._transact({**self._fields(sender, value, None), "to": target, "data": b""})

    def advance(self, seconds: int) -> None:
        """Mine one block that is `seconds` later than the latest one; at least 1."""
        self.set_next_time(self.now() + seconds)
        self.mine(1)

    def set_next_time(self, time_s: int) -> None:
        """Give the next block this time, in seconds since 1970.

        Raises:
            ValueError: It is not later than the latest block.
        """
        if time_s <= self.now():
            raise ValueError(
                f"cannot mine at {time_s}: the latest block's time is {self.now()} and time only "
                "moves forward; pass a later time"
            )
        self._backend.chain.set_header_timestamp(time_s)

    def mine(self, blocks: int = 1) -> None:
        """Mine that many blocks, one second apart."""
        self._backend.mine_blocks(blocks)

    def snapshot(self) -> int:
        """Remember the present state and return its number, for `revert`."""
        self._snapshots.append(self._backend.take_snapshot())
        return len(self._snapshots) - 1

    def revert(self, snapshot: int) -> None:
        """Go back to a snapshot, as often as wanted; later snapshots are forgotten."""
        del self._snapshots[snapshot + 1 :]
        self._backend.revert_to_snapshot(self._snapshots[snapshot])

    def _fields(self, sender: str | None, value: int, gas: int | None) -> TxParams:
        """Return all fields but target and data, so that web3 has nothing to ask for."""
        address = self._w3.to_checksum_address(sender or self._accounts[0])
        return {
            "from": address,
            "nonce": self._backend.get_nonce(bytes.fromhex(address[2:])),
            "gas": gas or TRANSACTION_GAS_LIMIT,
            "maxFeePerGas": self._w3.to_wei(_MAX_FEE_WEI, "wei"),
            "maxPriorityFeePerGas": self._w3.to_wei(0, "wei"),
            "value": self._w3.to_wei(value, "wei"),
            "chainId": self._backend.chain.chain_id,
        }

    def _transact(self, transaction: TxParams) -> TxReceipt:
        tx_hash = self._w3.eth.send_transaction(transaction)
        receipt = self._w3.eth.get_transaction_receipt(tx_hash)
        if receipt["status"] == 0:
            raise self._binder.explain(to_web3_error(self._backend.last_computation))
        return receipt
