"""What the events of a deployment add up to. No I/O: a reader enters events in their order.

What is going on lies apart from what has ended, so that whoever watches walks the former only. Each
event can be taken back, as a chain takes back blocks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from protocol.agents.duties import NO_DEADLINE, Bid
from protocol.agents.watch.undo import Changes, Undo
from protocol.chain.market import Terms
from protocol.dispute.state import DisputeState, Side

Args = Mapping[str, Any]
Live = dict[str, dict[bytes, None]]
"""For each account what is going on and concerns it, in the order of the events."""


@dataclass(frozen=True)
class Round:
    """A round of bidding, and the ends of its phases."""

    number: int
    bid_end: int
    reveal_end: int
    run_end: int

    def next_end(self, now: int) -> int:
        """The first of its ends that is still ahead."""
        ends = (self.bid_end, self.reveal_end, self.run_end)
        return next((end for end in ends if end > now), NO_DEADLINE)


@dataclass
class DisputeRecord:
    """A dispute with what its openings have shown so far.

    Attributes:
        side: who is on the clock; NONE once it is closed.
        deadline: first second at which that side has lost.
        seen: names of the events so far.
        last_state: before it was closed.
    """

    dispute_id: bytes
    claim_id: bytes
    opener: str
    opened_segment: int
    side: Side = Side.NONE
    deadline: int = 0
    revealed: tuple[bytes, ...] = ()
    chunk: bytes | None = None
    leaf: bytes | None = None
    tensor_root: bytes | None = None
    judged: dict[str, Any] = field(default_factory=dict)
    closed: DisputeState | None = None
    beneficiary: str | None = None
    last_state: DisputeState = DisputeState.NONE
    seen: frozenset[str] = frozenset()

    def after(self, name: str, args: Args) -> dict[str, Any]:
        """The attributes that an event of this dispute changes."""
        changed: dict[str, Any] = {"seen": self.seen | {name}}
        if name == "Revealed":
            changed["revealed"] = tuple(args["children"])
        elif name == "ChunkOpened":
            changed["chunk"] = args["chunk"]
        elif name == "TermOpened":
            changed["leaf"] = args["leaf"]
        elif name in ("TensorOpened", "FoldPosted"):
            changed["tensor_root"] = args["tensorRoot"]
        elif name in ("BindingJudged", "ArithmeticJudged", "LoadJudged"):
            changed["judged"] = {"judged": name, **dict(args)}
        elif name == "Turned":
            state = DisputeState(args["state"])
            changed["side"], changed["deadline"] = Side(args["side"]), args["deadline"]
            if state < DisputeState.SOLVER_WON:
                changed["last_state"] = state
        elif name == "DisputeClosed":
            changed["closed"] = DisputeState(args["state"])
            changed["beneficiary"] = args["beneficiary"]
            changed["side"], changed["deadline"] = Side.NONE, 0
            # Nobody moves any more: what openings showed would only fill the memory.
            changed["revealed"], changed["chunk"], changed["leaf"] = (), None, None
        return changed


@dataclass
class Book:
    """Everything that the events have said so far."""

    tasks: dict[bytes, tuple[Terms, str]] = field(default_factory=dict)
    requesters: dict[bytes, str] = field(default_factory=dict)  # of tasks
    claims: dict[bytes, bytes] = field(default_factory=dict)  # claim -> task
    solvers: dict[bytes, str] = field(default_factory=dict)  # of claims
    windows: dict[bytes, tuple[int, int]] = field(default_factory=dict)  # claim: window, reveal end
    disputes: dict[bytes, DisputeRecord] = field(default_factory=dict)
    commitments: set[tuple[str, bytes]] = field(default_factory=set)  # (opener, of an opening)
    drawn: set[bytes] = field(default_factory=set)  # claims
    attested: set[tuple[bytes, str]] = field(default_factory=set)  # (claim, verifier)
    collected: set[tuple[bytes, str]] = field(default_factory=set)  # (claim, verifier)
    fallen: dict[bytes, dict[str, Any]] = field(default_factory=dict)
    settled: set[bytes] = field(default_factory=set)  # fallen claims whose stake was split
    finalised: set[bytes] = field(default_factory=set)  # claims
    closed: set[bytes] = field(default_factory=set)  # tasks that are paid out or refunded
    stores: dict[str, str] = field(default_factory=dict)  # account: where it serves files

    open_tasks: dict[bytes, None] = field(default_factory=dict)  # not closed
    open_claims: dict[bytes, None] = field(default_factory=dict)  # neither finalised nor settled
    tasks_of: Live = field(default_factory=dict)  # requester: its open tasks
    claims_of: Live = field(default_factory=dict)  # solver: its open claims
    disputes_of_opener: Live = field(default_factory=dict)  # its disputes that are not closed
    disputes_on: dict[bytes, dict[bytes, None]] = field(default_factory=dict)  # claim: all
    claims_on: dict[bytes, dict[bytes, None]] = field(default_factory=dict)  # task: all
    lost: dict[tuple[bytes, str], dict[bytes, None]] = field(default_factory=dict)
    """(Task, solver): claims that fell."""
    openings_of: dict[str, dict[bytes, bytes]] = field(default_factory=dict)
    """Opener: commitments that lock a bond -> claim."""
    bids_of: dict[str, dict[tuple[bytes, int], Bid]] = field(default_factory=dict)
    """Bidder: (task, round) -> the bid, while the market holds a stake behind it."""
    fees_of: Live = field(default_factory=dict)  # verifier: attested claims that may still pay it
    rounds: dict[bytes, Round] = field(default_factory=dict)  # open task: its latest
    _changes: Changes = field(default_factory=Changes, repr=False, compare=False)

    def enter(self, name: str, args: Args) -> None:
        """One event, in the order of the chain."""
        handler = _HANDLERS.get(name)
        if handler is not None:
            handler(self, args)
        elif args.get("disputeId") in self.disputes:
            record = self.disputes[args["disputeId"]]
            self._changes.assign(record, **record.after(name, args))

    def take_undo(self) -> Undo:
        """What takes back all events since the last call."""
        return self._changes.take()

    def disputes_of(self, claim_id: bytes) -> list[DisputeRecord]:
        """Disputes of a claim in the order of opening."""
        return [self.disputes[dispute_id] for dispute_id in self.disputes_on.get(claim_id, ())]

    def fallen_claims_of(self, task_id: bytes, solver: str) -> list[bytes]:
        """Claims on a task that a solver has lost."""
        return list(self.lost.get((task_id, solver), ()))

    def bid(self, task_id: bytes, round_: int, bidder: str) -> Bid:
        """A bid as the market holds it; NONE also after it was closed."""
        return self.bids_of.get(bidder, {}).get((task_id, round_), Bid.NONE)

    def live_disputes(self, ids: Iterable[bytes]) -> list[DisputeRecord]:
        """The records of disputes in which somebody is on the clock, tightest deadline first."""
        records = [self.disputes[dispute_id] for dispute_id in ids]
        live = [r for r in records if r.closed is None and r.claim_id not in self.fallen]
        return sorted(live, key=lambda record: record.deadline)

    # ------------------------------------------------------------------ forgetting

    def task_of(self, args: Args) -> bytes | None:
        """The task that an event is about; None if it names none that is known."""
        claim_id = args.get("claimId")
        record = self.disputes.get(args.get("disputeId", b""))
        if record is not None:
            claim_id = record.claim_id
        if claim_id is not None:
            return self.claims.get(claim_id)
        return args.get("taskId")

    def forget(self, task_ids: Iterable[bytes]) -> None:
        """Drop tasks that have ended, with their claims and disputes, if nobody waits for anything.

        It cannot be taken back: only for tasks whose events are final.
        """
        bids = {task_id for held in self.bids_of.values() for task_id, _ in held}
        claims = {claim_id for held in self.openings_of.values() for claim_id in held.values()}
        claims.update(claim_id for due in self.fees_of.values() for claim_id in due)
        disputes = (d for live in self.disputes_of_opener.values() for d in live)
        claims.update(self.disputes[dispute_id].claim_id for dispute_id in disputes)
        for task_id in set(task_ids) & self.closed - bids:
            own = self.claims_on.get(task_id, {})
            if own.keys() & (claims | self.open_claims.keys()):
                continue
            for claim_id in own:
                self._forget_claim(claim_id)
            self.claims_on.pop(task_id, None)
            self.tasks.pop(task_id, None)
            self.requesters.pop(task_id, None)
            self.closed.discard(task_id)

    def _forget_claim(self, claim_id: bytes) -> None:
        self.lost.pop((self.claims[claim_id], self.solvers[claim_id]), None)
        for dispute_id in self.disputes_on.pop(claim_id, {}):
            record = self.disputes.pop(dispute_id)
            self.commitments.discard((record.opener, dispute_id))
        for pairs in (self.attested, self.collected):
            pairs.difference_update([pair for pair in pairs if pair[0] == claim_id])
        for members in (self.drawn, self.settled, self.finalised):
            members.discard(claim_id)
        tables: tuple[dict[bytes, Any], ...]
        tables = (self.claims, self.solvers, self.windows, self.fallen)
        for table in tables:
            table.pop(claim_id, None)

    # ------------------------------------------------------------------ tasks and bids

    def _store_announced(self, args: Args) -> None:
        self._changes.put(self.stores, args["account"], args["url"])

    def _task_posted(self, args: Args) -> None:
        task_id, write = args["taskId"], self._changes
        write.put(self.tasks, task_id, (Terms(*_flat(args["terms"])), args["uri"]))
        write.put(self.requesters, task_id, args["requester"])
        write.put(self.open_tasks, task_id, None)
        self._list(self.tasks_of, args["requester"], task_id)

    def _round_opened(self, args: Args) -> None:
        ends = (args["bidEnd"], args["revealEnd"], args["runEnd"])
        self._changes.put(self.rounds, args["taskId"], Round(args["round"], *ends))

    def _close_task(self, args: Args) -> None:
        task_id, write = args["taskId"], self._changes
        write.add(self.closed, task_id)
        write.drop(self.open_tasks, task_id)
        write.drop(self.rounds, task_id)
        self._strike(self.tasks_of, self.requesters.get(task_id, ""), task_id)

    def _bid_committed(self, args: Args) -> None:
        self._put_bid(args, Bid.COMMITTED)

    def _bid_revealed(self, args: Args) -> None:
        self._put_bid(args, Bid.REVEALED)

    def _put_bid(self, args: Args, bid: Bid) -> None:
        self._list(self.bids_of, args["bidder"], (args["taskId"], args["round"]), bid)

    def _bid_reclaimed(self, args: Args) -> None:
        self._strike(self.bids_of, args["bidder"], (args["taskId"], args["round"]))

    def _no_show(self, args: Args) -> None:
        self._close_bid(args["taskId"], args["solver"])

    def _close_bid(self, task_id: bytes, solver: str) -> None:
        """The winner's stake was split or returned."""
        if task_id in self.rounds:
            self._strike(self.bids_of, solver, (task_id, self.rounds[task_id].number))

    # ------------------------------------------------------------------ claims

    def _claim_submitted(self, args: Args) -> None:
        claim_id, write = args["claimId"], self._changes
        write.put(self.claims, claim_id, args["taskId"])
        write.put(self.solvers, claim_id, args["solver"])
        write.put(self.windows, claim_id, (args["windowEnd"], args["revealEnd"]))
        write.put(self.open_claims, claim_id, None)
        self._list(self.claims_of, args["solver"], claim_id)
        self._list(self.claims_on, args["taskId"], claim_id)

    def _drawn(self, args: Args) -> None:
        self._changes.add(self.drawn, args["claimId"])

    def _attested(self, args: Args) -> None:
        self._changes.add(self.attested, (args["claimId"], args["verifier"]))
        self._list(self.fees_of, args["verifier"], args["claimId"])

    def _fee_collected(self, args: Args) -> None:
        self._changes.add(self.collected, (args["claimId"], args["verifier"]))
        self._strike(self.fees_of, args["verifier"], args["claimId"])

    def _claim_fallen(self, args: Args) -> None:
        claim_id = args["claimId"]
        self._changes.put(self.fallen, claim_id, dict(args))
        self._list(self.lost, (args["taskId"], self.solvers.get(claim_id, "")), claim_id)
        for verifier in [v for v, claims in self.fees_of.items() if claim_id in claims]:
            self._strike(self.fees_of, verifier, claim_id)

    def _claim_settled(self, args: Args) -> None:
        self._changes.add(self.settled, args["claimId"])
        self._end_claim(args)

    def _claim_finalised(self, args: Args) -> None:
        self._changes.add(self.finalised, args["claimId"])
        self._end_claim(args)
        self._close_task(args)

    def _end_claim(self, args: Args) -> None:
        claim_id = args["claimId"]
        solver = self.solvers.get(claim_id, "")
        self._changes.drop(self.open_claims, claim_id)
        self._strike(self.claims_of, solver, claim_id)
        self._close_bid(args["taskId"], solver)

    # ------------------------------------------------------------------ disputes

    def _opening_committed(self, args: Args) -> None:
        opener, commitment = args["opener"], args["commitment"]
        self._changes.add(self.commitments, (opener, commitment))
        self._list(self.openings_of, opener, commitment, args["claimId"])

    def _commitment_reclaimed(self, args: Args) -> None:
        opener, commitment = args["opener"], args["commitment"]
        self._changes.discard(self.commitments, (opener, commitment))
        self._strike(self.openings_of, opener, commitment)

    def _dispute_opened(self, args: Args) -> None:
        dispute_id, claim_id, opener = args["disputeId"], args["claimId"], args["opener"]
        record = DisputeRecord(dispute_id, claim_id, opener, args["segment"])
        self._changes.put(self.disputes, dispute_id, record)
        self._strike(self.openings_of, opener, dispute_id)
        self._list(self.disputes_of_opener, opener, dispute_id)
        self._list(self.disputes_on, claim_id, dispute_id)

    def _dispute_closed(self, args: Args) -> None:
        record = self.disputes.get(args["disputeId"])
        if record is None:
            return
        self._changes.assign(record, **record.after("DisputeClosed", args))
        self._strike(self.disputes_of_opener, record.opener, record.dispute_id)

    def _list(
        self, table: dict[Any, dict[Any, Any]], who: Any, key: Any, value: Any = None
    ) -> None:
        if who not in table:
            self._changes.put(table, who, {})
        self._changes.put(table[who], key, value)

    def _strike(self, table: dict[Any, dict[Any, Any]], who: Any, key: Any) -> None:
        if key not in table.get(who, ()):
            return
        self._changes.drop(table[who], key)
        if not table[who]:
            self._changes.drop(table, who)


_HANDLERS = {
    "StoreAnnounced": Book._store_announced,
    "TaskPosted": Book._task_posted,
    "RoundOpened": Book._round_opened,
    "TaskRefunded": Book._close_task,
    "BidCommitted": Book._bid_committed,
    "BidRevealed": Book._bid_revealed,
    "BidReclaimed": Book._bid_reclaimed,
    "NoShow": Book._no_show,
    "ClaimSubmitted": Book._claim_submitted,
    "VerifiersDrawn": Book._drawn,
    "Attested": Book._attested,
    "FeeCollected": Book._fee_collected,
    "ClaimFallen": Book._claim_fallen,
    "ClaimSettled": Book._claim_settled,
    "ClaimFinalised": Book._claim_finalised,
    "OpeningCommitted": Book._opening_committed,
    "CommitmentReclaimed": Book._commitment_reclaimed,
    "DisputeOpened": Book._dispute_opened,
    "DisputeClosed": Book._dispute_closed,
}


def _flat(struct: Any) -> tuple[Any, ...]:
    return tuple(struct.values()) if hasattr(struct, "values") else tuple(struct)
