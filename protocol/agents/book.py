"""What the events of a deployment add up to. No I/O: a reader enters events in their order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from protocol.chain.market import Terms
from protocol.dispute.state import DisputeState


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

    def enter(self, name: str, args: Mapping[str, Any]) -> None:
        """One event of this dispute."""
        if name == "Revealed":
            self.revealed = tuple(args["children"])
        elif name == "ChunkOpened":
            self.chunk = args["chunk"]
        elif name == "TermOpened":
            self.leaf = args["leaf"]
        elif name in ("TensorOpened", "FoldPosted"):
            self.tensor_root = args["tensorRoot"]
        elif name in ("BindingJudged", "ArithmeticJudged", "LoadJudged"):
            self.judged = {"judged": name, **dict(args)}
        elif name == "DisputeClosed":
            self.closed = DisputeState(args["state"])
            self.beneficiary = args["beneficiary"]
        if name == "Turned" and DisputeState(args["state"]) < DisputeState.SOLVER_WON:
            self.last_state = DisputeState(args["state"])
        self.history.append((name, dict(args)))


@dataclass
class Book:
    """Everything that the events have said so far."""

    tasks: dict[bytes, tuple[Terms, str]] = field(default_factory=dict)
    requesters: dict[bytes, str] = field(default_factory=dict)  # of tasks
    claims: dict[bytes, bytes] = field(default_factory=dict)  # claim -> task
    solvers: dict[bytes, str] = field(default_factory=dict)  # of claims
    disputes: dict[bytes, DisputeRecord] = field(default_factory=dict)
    commitments: set[bytes] = field(default_factory=set)  # of openings, opened or not
    drawn: set[bytes] = field(default_factory=set)  # claims
    attested: set[tuple[bytes, str]] = field(default_factory=set)  # (claim, verifier)
    collected: set[tuple[bytes, str]] = field(default_factory=set)  # (claim, verifier)
    fallen: dict[bytes, dict[str, Any]] = field(default_factory=dict)
    settled: set[bytes] = field(default_factory=set)  # fallen claims whose stake was split
    finalised: set[bytes] = field(default_factory=set)  # claims
    closed: set[bytes] = field(default_factory=set)  # tasks that are paid out or refunded

    def enter(self, name: str, args: Mapping[str, Any]) -> None:
        """One event, in the order of the chain."""
        if name == "TaskPosted":
            self.tasks[args["taskId"]] = (Terms(*_flat(args["terms"])), args["uri"])
            self.requesters[args["taskId"]] = args["requester"]
        elif name == "ClaimSubmitted":
            self.claims[args["claimId"]] = args["taskId"]
            self.solvers[args["claimId"]] = args["solver"]
        elif name == "VerifiersDrawn":
            self.drawn.add(args["claimId"])
        elif name == "Attested":
            self.attested.add((args["claimId"], args["verifier"]))
        elif name == "FeeCollected":
            self.collected.add((args["claimId"], args["verifier"]))
        elif name == "ClaimFallen":
            self.fallen[args["claimId"]] = dict(args)
        elif name == "ClaimSettled":
            self.settled.add(args["claimId"])
        elif name == "ClaimFinalised":
            self.finalised.add(args["claimId"])
            self.closed.add(args["taskId"])
        elif name == "TaskRefunded":
            self.closed.add(args["taskId"])
        elif name == "OpeningCommitted":
            self.commitments.add(args["commitment"])
        elif name == "CommitmentReclaimed":
            self.commitments.discard(args["commitment"])
        elif name == "DisputeOpened":
            self.disputes[args["disputeId"]] = DisputeRecord(
                args["disputeId"], args["claimId"], args["opener"], args["segment"]
            )
        elif "disputeId" in args and args["disputeId"] in self.disputes:
            self.disputes[args["disputeId"]].enter(name, args)

    def disputes_of(self, claim_id: bytes) -> list[DisputeRecord]:
        """Disputes of a claim in the order of opening."""
        return [d for d in self.disputes.values() if d.claim_id == claim_id]

    def fallen_claims_of(self, task_id: bytes, solver: str) -> list[bytes]:
        """Claims on a task that a solver has lost."""
        return [
            claim_id
            for claim_id in self.fallen
            if self.claims.get(claim_id) == task_id and self.solvers.get(claim_id) == solver
        ]


def _flat(struct: Any) -> tuple[Any, ...]:
    return tuple(struct.values()) if hasattr(struct, "values") else tuple(struct)
