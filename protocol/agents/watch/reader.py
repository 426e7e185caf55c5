"""What an agent sees of the chain: tasks, claims and disputes, read from views and events.

A reader changes nothing. Each block's events are read once, and views only of what an event has
touched since: watching an idle block costs two requests, however many tasks have ended. Where the
chain has replaced blocks, the reader goes back to the last one that both have.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from eth_typing import BlockNumber
from hexbytes import HexBytes
from web3.providers.base import JSONBaseProvider

from protocol.agents.duties import BLOCKHASHES, Bid, claim_at, task_at
from protocol.agents.watch.book import Book, DisputeRecord
from protocol.agents.watch.trail import REMEMBERED_BLOCKS, Head, Step, Trail
from protocol.agents.watch.views import FACTS, View, Views
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
    from web3.types import BlockData, FilterParams

    from protocol.chain.deployment import Deployment

__all__ = ["Book", "DisputeRecord", "Reader"]

log = logging.getLogger(__name__)

BLOCKS_PER_QUERY: Final = 5_000
"""Most blocks whose events are asked for at once: public nodes refuse more."""

CATCH_UP_TRIES: Final = 5

Event = tuple[str, Any]


class Reader:
    """Reads one deployment. Cheap to share between agents of one process.

    Every question is answered as of the latest block; within ``one_block`` as of the block that was
    the latest at its start, or at the last ``refresh``.

    Args:
        deployment: what is read.
        first_block: no event of the deployment is older.
        keeps_ended: whether the book keeps what ended long ago. An agent does not need it.
    """

    def __init__(
        self, deployment: Deployment, first_block: int = 0, *, keeps_ended: bool = True
    ) -> None:
        self._deployment = deployment
        self._chain = deployment.chain
        self._watched = {
            contract.address: contract
            for contract in (deployment.market, deployment.claims, deployment.dispute)
        }
        self._first_block = first_block
        self._keeps_ended = keeps_ended
        self._views = Views(deployment.chain)
        self._book = Book()
        self._trail = Trail()
        self._passes = 0
        # The client of the chain in process cannot ask for the events of one block by its hash.
        self._asks_by_hash = isinstance(self._chain.w3.provider, JSONBaseProvider)

    # ------------------------------------------------------------------ the latest block

    @contextmanager
    def one_block(self) -> Iterator[None]:
        """Answer everything as of one block. ConnectionError if the node cannot say which."""
        if not self._passes:
            self.refresh()
        self._passes += 1
        try:
            yield
        finally:
            self._passes -= 1

    def refresh(self) -> None:
        """Go on to the latest block, whose events are entered. ConnectionError."""
        for _ in range(CATCH_UP_TRIES):
            head = self._latest()
            if self._trail and self._trail.head == head:
                return
            self._go_back(head)
            if self._read_on(head):
                self._views.move(head.number)
                return
        raise ConnectionError(
            f"the chain's latest block changed {CATCH_UP_TRIES} times while its events were read: "
            "the node is not in sync; use another one or wait"
        )

    @property
    def head(self) -> Head:
        """The block that answers are of."""
        if not self._passes:
            self.refresh()
        return self._trail.head

    @property
    def book(self) -> Book:
        """Everything seen so far."""
        if not self._passes:
            self.refresh()
        return self._book

    def now(self) -> int:
        """Time of the block, seconds."""
        return self.head.time

    def block_number(self) -> int:
        """Number of the block."""
        return self.head.number

    # ------------------------------------------------------------------ tasks and claims

    def bid_commitment(
        self, task_id: bytes, round_: int, bidder: str, price: int, salt: bytes
    ) -> bytes:
        """What a sealed bid commits to."""
        market = self._deployment.market
        arguments = (task_id, round_, bidder, price, salt)
        commitment: bytes = self._ask(View(market, "bidCommitment", arguments))
        return commitment

    def bid(self, task_id: bytes, round_: int, bidder: str) -> Bid:
        """A bid as the market holds it; NONE also after it was closed."""
        return self.book.bid(task_id, round_, bidder)

    def is_draw_over(self, claim_id: bytes, claim: ClaimView) -> bool:
        """Whether verifiers were drawn, or none can be drawn any more."""
        if claim_id in self.book.drawn:
            return True
        return self.block_number() > claim.target_block + 2 * BLOCKHASHES

    def task(self, task_id: bytes) -> TaskView:
        """A task as it stands."""
        return task_at(TaskView.from_tuple(self._ask(self._task_view(task_id))), self.now())

    def announced_stores(self, task_id: bytes) -> list[str]:
        """Where the task's requester and its solvers serve files, as far as they told."""
        view, book = self.task(task_id), self.book
        people = [view.requester, view.solver]
        people += [book.solvers[claim_id] for claim_id in book.claims_on.get(task_id, ())]
        urls = dict.fromkeys(book.stores.get(person, "") for person in people)
        return [url for url in urls if url]

    def claim(self, claim_id: bytes) -> ClaimView:
        """A claim as it stands."""
        view = ClaimView.from_tuple(self._ask(self._claim_view(claim_id)))
        window_end, reveal_end = self.book.windows.get(claim_id, (0, 0))
        return claim_at(view, window_end, reveal_end, self.now())

    def facts(self, claim_id: bytes) -> ClaimFacts:
        """What disputes know of a claim."""
        return ClaimFacts(*self._ask(self._facts_view(claim_id)))

    def credit(self, account: str) -> int:
        """Withdrawable tokens of an account in the vault, wei."""
        credit: int = self._ask(View(self._deployment.vault, "credits", (account,)))
        return credit

    def prefetch(self, *, tasks: Iterable[bytes] = (), claims: Iterable[bytes] = ()) -> None:
        """Ask for tasks and claims in few requests, before they are looked at one by one."""
        views = [self._task_view(task_id) for task_id in tasks]
        views += [self._claim_view(claim_id) for claim_id in claims]
        self._views.prefetch(views)

    # ------------------------------------------------------------------ disputes

    def position(self, dispute_id: bytes) -> Position:
        """Where a dispute stands."""
        values = list(self._ask(self._dispute_view("position", dispute_id)))
        values[2], values[3] = DisputeState(values[2]), Level(values[3])
        return Position(*values)

    def clock(self, dispute_id: bytes) -> tuple[Side, int]:
        """Who is on the clock, and the first second at which that side has lost."""
        record = self.book.disputes[dispute_id]
        if record.claim_id in self._book.fallen:
            return Side.NONE, 0
        return record.side, record.deadline

    def shape(self, dispute_id: bytes) -> NodeShape:
        """What the dispute keeps of the pointed node."""
        return NodeShape(*self._ask(self._dispute_view("shape", dispute_id)))

    def stored_root(self, claim_id: bytes, path: bytes) -> StoredRoot:
        """The root that counts for a path of a claim."""
        return StoredRoot(*self._ask(self._root_view(claim_id, path)))

    def situation(self, dispute_id: bytes) -> Situation:
        """A dispute with everything that a side needs to choose its move."""
        position = self.position(dispute_id)
        claim, record = position.claim_id, self.book.disputes[dispute_id]
        segment, trace, fold = (
            self.stored_root(claim, path) if path else StoredRoot() for path in _paths(position)
        )
        opened = Opened(record.revealed, record.chunk or b"", record.leaf or b"")
        shape = self.shape(dispute_id)
        return Situation(position, self.facts(claim), segment, trace, fold, shape, opened)

    def prefetch_situations(self, dispute_ids: Iterable[bytes]) -> None:
        """Ask for situations in few requests, before they are looked at one by one."""
        ids = list(dispute_ids)
        views = [self._dispute_view(name, d) for d in ids for name in ("position", "shape")]
        views += [self._facts_view(self.book.disputes[d].claim_id) for d in ids]
        self._views.prefetch(views)
        roots = []
        for position in map(self.position, ids):
            roots += [self._root_view(position.claim_id, p) for p in _paths(position) if p]
        self._views.prefetch(roots)

    def is_committed(self, opener: str, commitment: bytes) -> bool:
        """Whether an opener committed an opening under this commitment."""
        return (opener, commitment) in self.book.commitments

    def may_open(self, opener: str, commitment: bytes) -> bool:
        """Whether a committed opening is old enough to be opened: a block later, by the time."""
        dispute = self._deployment.dispute
        view = View(dispute, "commitmentOf", (opener, commitment), subject=commitment)
        _, _, committed_at = self._ask(view)
        return bool(committed_at) and self.now() > committed_at

    def disputes_of(self, claim_id: bytes) -> list[DisputeRecord]:
        """Disputes of a claim in the order of opening."""
        return self.book.disputes_of(claim_id)

    # ------------------------------------------------------------------ views

    def _task_view(self, task_id: bytes) -> View:
        return View(self._deployment.market, "taskView", (task_id,), subject=task_id)

    def _claim_view(self, claim_id: bytes) -> View:
        return View(self._deployment.claims, "claimView", (claim_id,), subject=claim_id)

    def _facts_view(self, claim_id: bytes) -> View:
        return View(self._deployment.claims, "claimFacts", (claim_id,), subject=FACTS + claim_id)

    def _root_view(self, claim_id: bytes, path: bytes) -> View:
        return View(self._deployment.dispute, "roots", (claim_id, path), subject=claim_id)

    def _dispute_view(self, function: str, dispute_id: bytes) -> View:
        return View(self._deployment.dispute, function, (dispute_id,), subject=dispute_id)

    def _ask(self, view: View) -> Any:
        if not self._passes:
            self.refresh()
        return self._views.ask(view)

    # ------------------------------------------------------------------ blocks and events

    def _latest(self) -> Head:
        return _head(self._chain.w3.eth.get_block("latest"))

    def _go_back(self, head: Head) -> None:
        """Undo what ``head`` is not built on."""
        if not self._trail:
            return
        left = self._trail.head
        while self._trail and not self._is_on_chain(self._trail.head, head):
            self._trail.go_back()
        if self._trail and self._trail.head == left:
            return
        self._views.clear()
        if self._trail:
            kept = self._trail.head.number
            log.warning("block %d was replaced: going back to block %d", left.number, kept)
        else:
            log.warning("block %d was replaced: reading all events again", left.number)
            self._book = Book()

    def _is_on_chain(self, block: Head, head: Head) -> bool:
        """Whether a block seen before is still part of the chain that ends in ``head``."""
        if block.number >= head.number:
            return block == head
        if block.number == head.number - 1:
            return block.hash == head.parent
        return bytes(self._chain.w3.eth.get_block(block.number)["hash"]) == block.hash

    def _read_on(self, head: Head) -> bool:
        """Enter the events up to ``head``; False, and nothing entered, if it was replaced."""
        first = self._trail.head.number + 1 if self._trail else self._first_block
        if head.number - first > REMEMBERED_BLOCKS:
            if not self._read_base(first, head.number - REMEMBERED_BLOCKS):
                return False
            first = self._trail.head.number + 1
        events = list(self._events(first, head))
        # Events of two branches must not mix: count them only if nothing moved meanwhile. Those of
        # one block that were asked for by its hash cannot.
        alone = self._asks_by_hash and first == head.number
        if not alone and not self._is_on_chain(head, self._latest()):
            return False
        self._enter(head, events)
        return True

    def _read_base(self, first: int, last: int) -> bool:
        """Enter events that are too old to be taken back, page by page."""
        mark = _head(self._chain.w3.eth.get_block(BlockNumber(last)))
        for start in range(first, last + 1, BLOCKS_PER_QUERY):
            end = min(last, start + BLOCKS_PER_QUERY - 1)
            for name, args in self._events_between(start, end):
                self._book.enter(name, args)
            self._book.take_undo()
        self._trail = Trail()
        self._views.clear()
        if _head(self._chain.w3.eth.get_block(BlockNumber(last))) != mark:
            self._book = Book()
            return False
        self._trail.add(Step(mark, tasks=frozenset(self._book.closed)))
        return True

    def _enter(self, head: Head, events: Iterable[Event]) -> None:
        tasks: set[bytes] = set()
        for name, args in events:
            self._book.enter(name, args)
            task_id = self._book.task_of(args)
            if task_id is not None:
                tasks.add(task_id)
            self._views.touch(_subjects(name, args))
        final = self._trail.add(Step(head, self._book.take_undo(), frozenset(tasks)))
        if not self._keeps_ended:
            self._book.forget(final)

    def _events(self, first: int, head: Head) -> Iterator[Event]:
        """Events of the blocks from ``first`` to ``head``."""
        last = head.number - 1 if self._asks_by_hash else head.number
        for start in range(first, last + 1, BLOCKS_PER_QUERY):
            yield from self._events_between(start, min(last, start + BLOCKS_PER_QUERY - 1))
        if self._asks_by_hash:
            # A node that has not seen the block refuses; asked by number, it would show no events.
            yield from self._logs({"blockHash": HexBytes(head.hash)})

    def _events_between(self, first: int, last: int) -> Iterator[Event]:
        yield from self._logs({"fromBlock": BlockNumber(first), "toBlock": BlockNumber(last)})

    def _logs(self, which: FilterParams) -> Iterator[Event]:
        which["address"] = list(self._watched)
        for entry in self._chain.w3.eth.get_logs(which):
            event = self._deployment.decode_event(self._watched[entry["address"]], entry)
            if event is not None:
                yield event["event"], event["args"]


def _head(block: BlockData) -> Head:
    return Head(
        block["number"], bytes(block["hash"]), bytes(block["parentHash"]), block["timestamp"]
    )


def _paths(position: Position) -> tuple[bytes, bytes, bytes]:
    """Paths of the segment, trace and fold at a position; empty where it has none yet."""
    segment = trace = fold = b""
    if position.segment:
        segment, trace = segment_path(position.segment), trace_path(position.step)
    if position.descriptor_hash != ZERO_ROOT:
        fold = fold_path(position.step, position.node, position.element)
    return segment, trace, fold


def _subjects(name: str, args: Any) -> Iterator[bytes]:
    """Whatever an event says something about."""
    for field in ("taskId", "claimId", "disputeId", "commitment"):
        if field in args:
            yield args[field]
    if name in ("ClaimSettled", "ClaimFinalised"):
        yield FACTS + args["claimId"]  # nobody will ask again
