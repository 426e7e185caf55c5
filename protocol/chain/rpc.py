"""A chain behind JSON-RPC: Hardhat's node, anvil, or any other. Implements `Chain`.

Transactions go through an outbox, which signs here (no key leaves the process), writes before it
sends, and sees each to its end.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from hexbytes import HexBytes
from web3 import Web3
from web3.exceptions import ContractLogicError, Web3RPCError
from web3.middleware import ExtraDataToPOAMiddleware
from web3.types import Nonce, Wei

from protocol.chain.client import ContractBinder
from protocol.chain.endpoints import Endpoints
from protocol.chain.errors import ChainError

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount
    from eth_typing import ChecksumAddress
    from web3.contract import Contract
    from web3.contract.contract import ContractConstructor, ContractFunction
    from web3.types import BlockIdentifier, TxParams, TxReceipt

    from protocol.chain.artifact import Artifact
    from protocol.chain.outbox import Outbox
    from protocol.chain.reverts import Reverted

log = logging.getLogger(__name__)

GAS_MARGIN_PERCENT = 25
"""Added to an estimate: a move that comes before this one may make it dearer."""


class WrongChain(ChainError):
    """The endpoint is another chain than expected."""


class RpcChain:
    """A chain behind one or more endpoints.

    Args:
        endpoints: where to ask.
        keys: the accounts that this process sends from; none: reading only.
        artifacts: where contracts are found by name; the packed artefacts if missing.
    """

    def __init__(
        self,
        endpoints: Endpoints,
        keys: Sequence[LocalAccount] = (),
        artifacts: Mapping[str, Artifact] | None = None,
    ) -> None:
        self.endpoints = endpoints
        self._w3 = Web3(endpoints)
        # Chains whose blocks are sealed by an authority have longer extra data.
        self._w3.middleware_onion.inject(ExtraDataToPOAMiddleware, layer=0)
        self._keys = list(keys)
        self._binder = ContractBinder(self._w3, artifacts)
        self._outboxes: dict[str, Outbox] = {}
        self._chain_id: int | None = None

    @property
    def w3(self) -> Web3:
        """The web3 client."""
        return self._w3

    @property
    def accounts(self) -> list[ChecksumAddress]:
        """The addresses that this process can send from."""
        return [key.address for key in self._keys]

    @property
    def keys(self) -> list[LocalAccount]:
        """The same accounts with their keys."""
        return self._keys

    @property
    def chain_id(self) -> int:
        """The chain's id; asked once."""
        if self._chain_id is None:
            self._chain_id = int(self._w3.eth.chain_id)
        return self._chain_id

    def genesis(self) -> bytes:
        """Hash of block 0: tells devnets of one chain id apart."""
        return bytes(self._w3.eth.get_block(0)["hash"])

    def attach(self, outbox: Outbox) -> None:
        """Send an account's transactions through this outbox."""
        self._outboxes[outbox.account] = outbox

    def outbox(self, sender: str | None = None) -> Outbox:
        """The outbox of an account; the first account's if none is named."""
        account = sender or next(iter(self._outboxes), None)
        if account is None or account not in self._outboxes:
            raise LookupError(
                f"cannot send from {account or 'nobody'}: this process has the keys of "
                f"{list(self._outboxes) or 'nobody'}; give it a keystore"
            )
        return self._outboxes[account]

    def now(self) -> int:
        """Time of the latest block, seconds since 1970."""
        return int(self._w3.eth.get_block("latest")["timestamp"])

    def contract(self, name: str, address: str, *, artifact: Artifact | None = None) -> Contract:
        """Bind the ABI of a contract of this project to an address."""
        return self._binder.bind(self._binder.find(name, artifact), address)

    def deploy(
        self,
        name: str,
        *args: Any,
        sender: str | None = None,
        artifact: Artifact | None = None,
    ) -> Contract:
        """Deploy a contract and wait until it is mined. Reverted."""
        found = self._binder.find(name, artifact)
        if found.link_references:
            raise ValueError(f"{name} needs libraries {sorted(found.link_references)}: link it")
        factory = self._w3.eth.contract(abi=found.abi, bytecode=found.bytecode)
        data = call_data(factory.constructor(*args))
        receipt = self.outbox(sender).send_and_wait(None, data, label=f"deploy {name}")
        return self._binder.bind(found, str(receipt["contractAddress"]))

    def send(
        self,
        fn: ContractFunction,
        sender: str | None = None,
        *,
        value: int = 0,
        gas: int | None = None,
    ) -> TxReceipt:
        """Send a transaction and wait until it is mined. Reverted; the outbox's errors."""
        outbox = self.outbox(sender)
        return outbox.send_and_wait(
            fn.address, call_data(fn), value=value, gas=gas, label=fn.fn_name
        )

    def transfer(self, to: str, value: int, *, sender: str | None = None) -> TxReceipt:
        """Send wei to an address and wait until it is mined."""
        target = self._w3.to_checksum_address(to)
        return self.outbox(sender).send_and_wait(target, b"", value=value, label="transfer")

    def call(
        self,
        fn: ContractFunction,
        sender: str | None = None,
        *,
        block: BlockIdentifier = "latest",
    ) -> Any:
        """What a function call would return at a block. Reverted."""
        fields: TxParams = {"from": cast("ChecksumAddress", sender)} if sender else {}
        try:
            return fn.call(fields, block_identifier=block)
        except (ContractLogicError, Web3RPCError) as error:
            raise self.explain(error) from None

    def estimate_gas(self, sender: str, to: str | None, data: bytes, value: int = 0) -> int:
        """Gas limit for a transaction, with a margin: also the simulation. Reverted."""
        fields: TxParams = {
            "from": cast("ChecksumAddress", sender),
            "data": data,
            "value": Wei(value),
        }
        if to is not None:
            fields["to"] = cast("ChecksumAddress", to)
        try:
            gas = self._w3.eth.estimate_gas(fields)
        except (ContractLogicError, Web3RPCError) as error:
            raise self.explain(error) from None
        return gas + gas * GAS_MARGIN_PERCENT // 100

    def explain(self, error: ContractLogicError | Web3RPCError) -> Exception:
        """The revert behind a client's error; the error itself if there is none."""
        data = revert_data(error)
        if data is not None:
            reverted: Reverted = self._binder.errors.decode(data)
            return reverted
        if isinstance(error, ContractLogicError):
            return self._binder.explain(error)
        return error


def call_data(call: ContractFunction | ContractConstructor) -> bytes:
    """Selector and arguments of a bound call, or creation code and arguments."""
    # All fields but the data are given, so that web3 has nothing to ask for.
    fields: TxParams = {
        "nonce": Nonce(0),
        "gas": 0,
        "maxFeePerGas": Wei(0),
        "maxPriorityFeePerGas": Wei(0),
        "value": Wei(0),
        "chainId": 1,
    }
    return bytes(HexBytes(call.build_transaction(fields)["data"]))


def revert_data(error: ContractLogicError | Web3RPCError) -> bytes | None:
    """What a reverted call returned; None if the error is about something else.

    Nodes put it in different places: `data` as a string, or within an object under `data`.
    """
    found: Any = getattr(error, "data", None)
    response = getattr(error, "rpc_response", None)
    if not found and isinstance(response, dict):
        found = response.get("error", {}).get("data")
    if isinstance(found, dict):
        found = found.get("data", found.get("result"))
    if isinstance(found, str) and found.startswith("0x"):
        return bytes.fromhex(found[2:])
    return None
