"""What an agent sees of the chain: tasks, claims and disputes, read from views and events.

A reader changes nothing. Events are read once each: a cursor remembers the last block, so that the
cost of watching does not grow with what is finished.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from eth_typing import BlockNumber

from protocol.agents.duties import BLOCKHASHES
from protocol.chain.market import ClaimView, TaskView, Terms
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


@dataclass
class DisputeRecord:
    """A dispute with what its openings have shown so far."""

    dispute_id: bytes
    claim_id: bytes
    opener: str
    opened_segment: int
    revealed: tuple[bytes, ...] = ()
    chunk: bytes | None = None
    leaf: bytes | None = None
    tensor_root: bytes | None = None
    judged: dict[str, Any] = field(default_factory=dict)
    closed: DisputeState | None = None
    beneficiary: str | None = None
    last_state: DisputeState = DisputeState.NONE  # before it was closed
    history: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


@dataclass
class Book:
    """Everything seen so far."""

    tasks: dict[bytes, tuple[Terms, str]] = field(default_factory=dict)
    claims: dict[bytes, bytes] = field(default_factory=dict)  # claim -> task
    disputes: dict[bytes, DisputeRecord] = field(default_factory=dict)
    commitments: set[bytes] = field(default_factory=set)  # of openings, opened or not
    drawn: set[bytes] = field(default_factory=set)  # claims
    fallen: dict[bytes, dict[str, Any]] = field(default_factory=dict)


class Reader:
    """Reads one deployment. Cheap to share between agents of one process."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._chain = deployment.chain
        self._watched = (deployment.market, deployment.claims, deployment.dispute)
        self._next_block = 0
        self._cached_block = -1
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
        return [d for d in self.book.disputes.values() if d.claim_id == claim_id]

    def _call(self, contract: Contract, function: str, *arguments: Any) -> Any:
        """A view at the latest block; views of one block are asked for once."""
        latest = self.block_number()
        if latest != self._cached_block:
            self._views.clear()
            self._cached_block = latest
        key = (contract.address, function, arguments)
        if key not in self._views:
            self._views[key] = self._chain.call(contract.functions[function](*arguments))
        return self._views[key]

    def _catch_up(self) -> None:
        latest = self._chain.w3.eth.block_number
        if latest < self._next_block:
            return
        for contract in self._watched:
            logs = self._chain.w3.eth.get_logs(
                {
                    "address": contract.address,
                    "fromBlock": BlockNumber(self._next_block),
                    "toBlock": BlockNumber(latest),
                }
            )
            for log in logs:
                event = self._decode(contract, log)
                if event is not None:
                    self._enter(event["event"], event["args"])
        self._next_block = latest + 1

    def _decode(self, contract: Contract, log: Any) -> Any:
        return self._deployment.decode_event(contract, log)

    def _enter(self, name: str, args: Any) -> None:
        book = self._book
        if name == "TaskPosted":
            book.tasks[args["taskId"]] = (Terms(*_flat(args["terms"])), args["uri"])
        elif name == "ClaimSubmitted":
            book.claims[args["claimId"]] = args["taskId"]
        elif name == "VerifiersDrawn":
            book.drawn.add(args["claimId"])
        elif name == "ClaimFallen":
            book.fallen[args["claimId"]] = dict(args)
        elif name == "OpeningCommitted":
            book.commitments.add(args["commitment"])
        elif name == "CommitmentReclaimed":
            book.commitments.discard(args["commitment"])
        elif name == "DisputeOpened":
            book.disputes[args["disputeId"]] = DisputeRecord(
                args["disputeId"], args["claimId"], args["opener"], args["segment"]
            )
        elif "disputeId" in args and args["disputeId"] in book.disputes:
            _enter_dispute(book.disputes[args["disputeId"]], name, args)


def _enter_dispute(record: DisputeRecord, name: str, args: Any) -> None:
    if name == "Revealed":
        record.revealed = tuple(args["children"])
    elif name == "ChunkOpened":
        record.chunk = args["chunk"]
    elif name == "TermOpened":
        record.leaf = args["leaf"]
    elif name in ("TensorOpened", "FoldPosted"):
        record.tensor_root = args["tensorRoot"]
    elif name in ("BindingJudged", "ArithmeticJudged", "LoadJudged"):
        record.judged = {"judged": name, **dict(args)}
    elif name == "DisputeClosed":
        record.closed = DisputeState(args["state"])
        record.beneficiary = args["beneficiary"]
    if name == "Turned" and DisputeState(args["state"]) < DisputeState.SOLVER_WON:
        record.last_state = DisputeState(args["state"])
    record.history.append((name, dict(args)))


def _flat(struct: Any) -> tuple[Any, ...]:
    return tuple(struct.values()) if hasattr(struct, "values") else tuple(struct)
