"""What an agent sees of the chain: tasks, claims and disputes, read from views and events.

A reader changes nothing. Events are read once each: a cursor remembers the last block, so that the
cost of watching does not grow with what is finished. Where the chain has replaced that block, all
events are read again: rare, and simpler to trust than undoing some of them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from eth_typing import BlockNumber

from protocol.agents.book import Book, DisputeRecord
from protocol.agents.duties import BLOCKHASHES, Bid
from protocol.chain.market import ClaimView, TaskView
from protocol.dispute.situation import Opened, Situation
from protocol.dispute.state import (
    ZERO_ROOT,
    ClaimFacts,
    DisputeState,
    Level,
    NodeShape,
    Position,
    Side,
    StoredRoot,
    fold_path,
    segment_path,
    trace_path,
)

if TYPE_CHECKING:
    from web3.contract import Contract

    from protocol.chain.deployment import Deployment

__all__ = ["Book", "DisputeRecord", "Reader"]

log = logging.getLogger(__name__)

BLOCKS_PER_QUERY: Final = 5_000
"""Most blocks whose events are asked for at once: public nodes refuse more."""

CATCH_UP_TRIES: Final = 5


class Reader:
    """Reads one deployment. Cheap to share between agents of one process.

    Args:
        deployment: what is read.
        first_block: no event of the deployment is older.
    """

    def __init__(self, deployment: Deployment, first_block: int = 0) -> None:
        self._deployment = deployment
        self._chain = deployment.chain
        self._watched = {
            contract.address: contract
            for contract in (deployment.market, deployment.claims, deployment.dispute)
        }
        self._first_block = first_block
        self._cursor: tuple[int, bytes] | None = None  # number and hash of the last block entered
        self._viewed = b""  # hash of the block that the cached views are of
        self._views: dict[tuple[Any, ...], Any] = {}
        self._book = Book()

    @property
    def book(self) -> Book:
        """Everything seen up to the latest block."""
        self._catch_up()
        return self._book

    def now(self) -> int:
        """Time of the latest block, seconds."""
        return self._chain.now()

    def block_number(self) -> int:
        """Number of the latest block."""
        return self._chain.w3.eth.block_number

    def bid_commitment(
        self, task_id: bytes, round_: int, bidder: str, price: int, salt: bytes
    ) -> bytes:
        """What a sealed bid commits to."""
        commitment: bytes = self._call(
            self._deployment.market, "bidCommitment", task_id, round_, bidder, price, salt
        )
        return commitment

    def bid(self, task_id: bytes, round_: int, bidder: str) -> Bid:
        """A bid as the market holds it; NONE also after it was closed."""
        commitment, revealed = self._call(self._deployment.market, "bidOf", task_id, round_, bidder)
        if revealed:
            return Bid.REVEALED
        return Bid.NONE if commitment == ZERO_ROOT else Bid.COMMITTED

    def is_draw_over(self, claim_id: bytes, claim: ClaimView) -> bool:
        """Whether verifiers were drawn, or none can be drawn any more."""
        if claim_id in self.book.drawn:
            return True
        return self.block_number() > claim.target_block + 2 * BLOCKHASHES

    def task(self, task_id: bytes) -> TaskView:
        """A task as it stands."""
        return TaskView.from_tuple(self._call(self._deployment.market, "taskView", task_id))

    def claim(self, claim_id: bytes) -> ClaimView:
        """A claim as it stands."""
        return ClaimView.from_tuple(self._call(self._deployment.claims, "claimView", claim_id))

    def facts(self, claim_id: bytes) -> ClaimFacts:
        """What disputes know of a claim."""
        return ClaimFacts(*self._call(self._deployment.claims, "claimFacts", claim_id))

    def position(self, dispute_id: bytes) -> Position:
        """Where a dispute stands."""
        values = list(self._call(self._deployment.dispute, "position", dispute_id))
        values[2], values[3] = DisputeState(values[2]), Level(values[3])
        return Position(*values)

    def clock(self, dispute_id: bytes) -> tuple[Side, int]:
        """Who is on the clock, and the first second at which that side has lost."""
        side, deadline = self._call(self._deployment.dispute, "clock", dispute_id)
        return Side(side), deadline

    def shape(self, dispute_id: bytes) -> NodeShape:
        """What the dispute keeps of the pointed node."""
        return NodeShape(*self._call(self._deployment.dispute, "shape", dispute_id))

    def stored_root(self, claim_id: bytes, path: bytes) -> StoredRoot:
        """The root that counts for a path of a claim."""
        return StoredRoot(*self._call(self._deployment.dispute, "roots", claim_id, path))

    def credit(self, account: str) -> int:
        """Withdrawable tokens of an account in the vault, wei."""
        credit: int = self._call(self._deployment.vault, "credits", account)
        return credit

    def situation(self, dispute_id: bytes) -> Situation:
        """A dispute with everything that a side needs to choose its move."""
        position = self.position(dispute_id)
        claim, record = position.claim_id, self.book.disputes[dispute_id]
        segment = trace = fold = StoredRoot()
        if position.segment:
            segment = self.stored_root(claim, segment_path(position.segment))
            trace = self.stored_root(claim, trace_path(position.step))
        if position.descriptor_hash != ZERO_ROOT:
            path = fold_path(position.step, position.node, position.element)
            fold = self.stored_root(claim, path)
        opened = Opened(record.revealed, record.chunk or b"", record.leaf or b"")
        shape = self.shape(dispute_id)
        return Situation(position, self.facts(claim), segment, trace, fold, shape, opened)

    def is_committed(self, commitment: bytes) -> bool:
        """Whether an opening was committed under this commitment."""
        return commitment in self.book.commitments

    def may_open(self, opener: str, commitment: bytes) -> bool:
        """Whether a committed opening is old enough to be opened: a block later, by the time."""
        _, _, committed_at = self._call(
            self._deployment.dispute, "commitmentOf", opener, commitment
        )
        return bool(committed_at) and self.now() > committed_at

    def disputes_of(self, claim_id: bytes) -> list[DisputeRecord]:
        """Disputes of a claim in the order of opening."""
        return self.book.disputes_of(claim_id)

    def _call(self, contract: Contract, function: str, *arguments: Any) -> Any:
        """A view at the latest block; views of one block are asked for once."""
        _, latest = self._head()
        if latest != self._viewed:
            self._views.clear()
            self._viewed = latest
        key = (contract.address, function, arguments)
        if key not in self._views:
            self._views[key] = self._chain.call(contract.functions[function](*arguments))
        return self._views[key]

    def _head(self) -> tuple[int, bytes]:
        """Number and hash of the latest block."""
        block = self._chain.w3.eth.get_block("latest")
        return block["number"], bytes(block["hash"])

    def _catch_up(self) -> None:
        """Enter the events since the cursor; from the first block if its block is gone."""
        for _ in range(CATCH_UP_TRIES):
            head = self._head()
            if head == self._cursor:
                return
            if self._cursor is not None and not self._is_on_chain(self._cursor, head[0]):
                log.warning("block %d was replaced: reading all events again", self._cursor[0])
                self._cursor, self._book = None, Book()
            first = self._first_block if self._cursor is None else self._cursor[0] + 1
            events = list(self._events(first, head[0]))
            # Events of two branches must not mix: count them only if nothing moved meanwhile.
            latest = self._head()
            if latest != head and not self._is_on_chain(head, latest[0]):
                continue
            for name, args in events:
                self._book.enter(name, args)
            self._cursor = head
            return
        raise ConnectionError(
            f"the chain's latest block changed {CATCH_UP_TRIES} times while its events were read: "
            "the node is not in sync; use another one or wait"
        )

    def _is_on_chain(self, block: tuple[int, bytes], latest: int) -> bool:
        """Whether a block seen before is still part of the chain of height ``latest``."""
        number, known = block
        if number > latest:
            return False
        return bytes(self._chain.w3.eth.get_block(number)["hash"]) == known

    def _events(self, first: int, last: int) -> Iterator[tuple[str, Any]]:
        for start in range(first, last + 1, BLOCKS_PER_QUERY):
            logs = self._chain.w3.eth.get_logs(
                {
                    "address": list(self._watched),
                    "fromBlock": BlockNumber(start),
                    "toBlock": BlockNumber(min(last, start + BLOCKS_PER_QUERY - 1)),
                }
            )
            for entry in logs:
                event = self._deployment.decode_event(self._watched[entry["address"]], entry)
                if event is not None:
                    yield event["event"], event["args"]
