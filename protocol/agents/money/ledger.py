"""A deployment's events in their order, as of one block: what accounts are drawn up from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from eth_typing import BlockNumber
from eth_utils.abi import event_abi_to_log_topic

from protocol.agents.watch.reader import BLOCKS_PER_QUERY

if TYPE_CHECKING:
    from web3.contract import Contract
    from web3.types import LogReceipt

    from protocol.chain.deployment import Deployment

TRIES: Final = 5
SOURCES: Final = ("vault", "registry", "market", "claims", "dispute")


@dataclass(frozen=True)
class Event:
    """Something that happened.

    Attributes:
        block: its number.
        index: place of the log within the block.
        transaction: hash of the transaction.
        source: role of the contract that told it.
        name: of the event.
        args: its arguments.
    """

    block: int
    index: int
    transaction: bytes
    source: str
    name: str
    args: Mapping[str, Any]


@dataclass(frozen=True)
class Ledger:
    """All events of a deployment up to a block, and what its contracts answer at that block.

    Attributes:
        deployment: whose they are.
        block: number of the block.
        block_hash: its hash.
        time: its time, seconds.
        events: in their order.
    """

    deployment: Deployment
    block: int
    block_hash: bytes
    time: int
    events: tuple[Event, ...]

    def ask(self, role: str, function: str, *arguments: Any) -> Any:
        """What a contract answers as of the block. Reverted."""
        contract = getattr(self.deployment, role)
        call = contract.functions[function](*arguments)
        return self.deployment.chain.call(call, block=BlockNumber(self.block))

    def pot(self, module: str, key: bytes) -> int:
        """What the vault holds in a module's pot, token wei."""
        held: int = self.ask("vault", "pots", getattr(self.deployment, module).address, key)
        return held

    def is_current(self) -> bool:
        """Whether the block is still part of the chain: otherwise nothing read of it counts."""
        block = self.deployment.chain.w3.eth.get_block(BlockNumber(self.block))
        return bytes(block["hash"]) == self.block_hash


def read_ledger(deployment: Deployment, first_block: int = 0) -> Ledger:
    """Read all events up to the latest block.

    Args:
        deployment: whose events.
        first_block: no event of the deployment is older.

    Raises:
        ConnectionError: the chain replaces blocks faster than they are read, or nobody answers.
    """
    decoder = _Decoder(deployment)
    for _ in range(TRIES):
        head = deployment.chain.w3.eth.get_block("latest")
        number = int(head["number"])
        events = tuple(decoder.events(first_block, number))
        ledger = Ledger(deployment, number, bytes(head["hash"]), int(head["timestamp"]), events)
        if ledger.is_current():
            return ledger
    raise ConnectionError(
        f"the chain's latest block was replaced {TRIES} times while its events were read: "
        "the node is not in sync; use another one or wait"
    )


class _Decoder:
    """Turns logs of a deployment's contracts into events; each ABI is looked through once."""

    def __init__(self, deployment: Deployment) -> None:
        self._w3 = deployment.chain.w3
        self._contracts: dict[str, tuple[str, Contract, dict[bytes, str]]] = {}
        for role in SOURCES:
            contract: Contract = getattr(deployment, role)
            names = {
                bytes(event_abi_to_log_topic(entry)): entry["name"]
                for entry in contract.abi
                if entry["type"] == "event"
            }
            self._contracts[contract.address] = (role, contract, names)

    def events(self, first: int, last: int) -> Iterator[Event]:
        """Events of the blocks from ``first`` to ``last``, page by page."""
        for start in range(first, last + 1, BLOCKS_PER_QUERY):
            end = min(last, start + BLOCKS_PER_QUERY - 1)
            logs = self._w3.eth.get_logs(
                {
                    "address": [self._w3.to_checksum_address(a) for a in self._contracts],
                    "fromBlock": BlockNumber(start),
                    "toBlock": BlockNumber(end),
                }
            )
            for entry in sorted(logs, key=lambda log: (log["blockNumber"], log["logIndex"])):
                event = self._decode(entry)
                if event is not None:
                    yield event

    def _decode(self, entry: LogReceipt) -> Event | None:
        role, contract, names = self._contracts[entry["address"]]
        name = names.get(bytes(entry["topics"][0])) if entry["topics"] else None
        if name is None:
            return None
        found = contract.events[name]().process_log(entry)
        return Event(
            int(entry["blockNumber"]),
            int(entry["logIndex"]),
            bytes(entry["transactionHash"]),
            role,
            name,
            found["args"],
        )
