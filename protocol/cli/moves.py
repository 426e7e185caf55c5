"""The moves of disputes, out of the contract's events: who, what, when, for how much gas."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from eth_typing import BlockNumber, HexStr
from web3.exceptions import Web3ValueError

from protocol.agents.watch.reader import BLOCKS_PER_QUERY
from protocol.dispute.state import DisputeState, Side

if TYPE_CHECKING:
    from hexbytes import HexBytes
    from web3.types import LogReceipt

    from protocol.agents.watch.reader import DisputeRecord
    from protocol.cli.live import Live

REMEMBERED_BLOCKS: Final = 128
"""A watcher looks so many blocks back when the chain has replaced some."""


@dataclass(frozen=True)
class Move:
    """A transaction that moved a dispute.

    Attributes:
        dispute_id: of which dispute.
        function: of the contract; a list of events if another contract called it.
        sender: who sent it.
        gas: units.
        block: number of the block.
        time: of the block, seconds.
        transaction: its hash.
        state: after the move; None if it only committed an opening.
        side: who was on the clock afterwards.
        deadline: the first second at which that side has lost; 0: nobody is on the clock.
    """

    dispute_id: bytes
    function: str
    sender: str
    gas: int
    block: int
    time: int
    transaction: bytes
    state: DisputeState | None
    side: Side
    deadline: int


class Moves:
    """Reads moves from a chain."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._w3 = live.deployment.chain.w3
        self._contract = live.deployment.dispute
        self._times: dict[int, int] = {}

    def of(self, record: DisputeRecord, last: int) -> list[Move]:
        """All moves of a dispute up to a block, its commitment first."""
        dispute_id = record.dispute_id
        logs = list(self._logs(self._live.first_block, last, [None, _topic(dispute_id)]))
        committed = HexStr(self._contract.events.OpeningCommitted().topic)
        topics: list[HexStr | None] = [committed, _topic(record.claim_id), _topic(record.opener)]
        logs += [
            log
            for log in self._logs(self._live.first_block, last, topics)
            if bytes(log["data"])[:32] == dispute_id
        ]
        return [move for move in self._moves(logs) if move.dispute_id == dispute_id]

    def between(self, first: int, last: int) -> list[Move]:
        """Moves of all disputes in the blocks from ``first`` to ``last``."""
        return list(self._moves(list(self._logs(first, last, []))))

    def _logs(self, first: int, last: int, topics: list[HexStr | None]) -> Iterator[LogReceipt]:
        for start in range(first, last + 1, BLOCKS_PER_QUERY):
            yield from self._w3.eth.get_logs(
                {
                    "address": self._contract.address,
                    "fromBlock": BlockNumber(start),
                    "toBlock": BlockNumber(min(last, start + BLOCKS_PER_QUERY - 1)),
                    "topics": topics,
                }
            )

    def _moves(self, logs: list[LogReceipt]) -> Iterator[Move]:
        logs = sorted(logs, key=lambda log: (log["blockNumber"], log["logIndex"]))
        for _, group in groupby(logs, key=lambda log: bytes(log["transactionHash"])):
            entries = list(group)
            events = [self._live.deployment.decode_event(self._contract, log) for log in entries]
            about: dict[bytes, list[tuple[str, Any]]] = {}
            for event in events:
                if event is None or event["event"] in ("RootStored", "CommitmentReclaimed"):
                    continue
                args = event["args"]
                found = args.get("disputeId", args.get("commitment"))
                if found is not None:
                    about.setdefault(found, []).append((event["event"], args))
            for dispute_id, seen in about.items():
                yield self._move(dispute_id, entries[0], seen)

    def _move(self, dispute_id: bytes, log: LogReceipt, seen: list[tuple[str, Any]]) -> Move:
        transaction = self._w3.eth.get_transaction(log["transactionHash"])
        receipt = self._w3.eth.get_transaction_receipt(log["transactionHash"])
        function = "+".join(name for name, _ in seen)
        if transaction.get("to") == self._contract.address:
            function = self._function(transaction["input"]) or function
        state, side, deadline = None, Side.NONE, 0
        for name, args in seen:
            if name == "Turned":
                state, side = DisputeState(args["state"]), Side(args["side"])
                deadline = int(args["deadline"])
            elif name == "DisputeClosed":
                state, side, deadline = DisputeState(args["state"]), Side.NONE, 0
        number = int(log["blockNumber"])
        return Move(
            dispute_id,
            function,
            str(transaction["from"]),
            int(receipt["gasUsed"]),
            number,
            self._time(number),
            bytes(log["transactionHash"]),
            state,
            side,
            deadline,
        )

    def _function(self, data: HexBytes) -> str | None:
        try:
            return str(self._contract.decode_function_input(data)[0].fn_name)
        except Web3ValueError:
            return None

    def _time(self, number: int) -> int:
        if number not in self._times:
            block = self._w3.eth.get_block(BlockNumber(number))
            self._times[number] = int(block["timestamp"])
        return self._times[number]


class Follower:
    """Tells each move once, from the latest block on; also those of blocks that replace others."""

    def __init__(self, live: Live) -> None:
        self._moves = Moves(live)
        self._w3 = live.deployment.chain.w3
        self._first = live.first_block
        self._last, self._hash = self._head()
        self._told: set[tuple[bytes, bytes, int]] = set()

    @property
    def block(self) -> int:
        """Number of the latest block that was seen."""
        return self._last

    def news(self) -> tuple[list[Move], bool]:
        """Moves since the last call, and whether blocks were replaced meanwhile."""
        number, block_hash = self._head()
        if (number, block_hash) == (self._last, self._hash):
            return [], False
        replaced = not self._is_on_chain()
        start = self._last + 1
        if replaced:
            start = max(self._first, min(number, self._last) - REMEMBERED_BLOCKS)
        found = self._moves.between(start, number)
        self._last, self._hash = number, block_hash
        fresh = [move for move in found if _key(move) not in self._told]
        self._told.update(_key(move) for move in fresh)
        return fresh, replaced

    def _head(self) -> tuple[int, bytes]:
        block = self._w3.eth.get_block("latest")
        return int(block["number"]), bytes(block["hash"])

    def _is_on_chain(self) -> bool:
        if self._head()[0] < self._last:
            return False
        return bytes(self._w3.eth.get_block(BlockNumber(self._last))["hash"]) == self._hash


def _key(move: Move) -> tuple[bytes, bytes, int]:
    return move.transaction, move.dispute_id, move.block


def _topic(value: bytes | str) -> HexStr:
    digits = value.hex() if isinstance(value, bytes) else value.removeprefix("0x").lower()
    return HexStr(f"0x{digits:0>64}")
