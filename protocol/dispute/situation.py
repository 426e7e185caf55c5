"""What a side knows when it must move: the position, and what the chain says around it."""

from __future__ import annotations

from dataclasses import dataclass, field

from protocol.dispute.state import ClaimFacts, NodeShape, Position, StoredRoot


@dataclass(frozen=True, slots=True)
class Opened:
    """Bytes that the last opening showed: events on chain, which the opener's next move needs."""

    children: tuple[bytes, ...] = ()
    chunk: bytes = b""
    leaf: bytes = b""


@dataclass(frozen=True, slots=True)
class Situation:
    """A dispute at the moment of a move.

    Attributes:
        position: where the dispute stands.
        facts: the disputed claim.
        segment: root stored for the position's segment, in use or not; zeros if none.
        trace: root stored for the position's step.
        fold: root stored for the position's element.
        shape: what was kept of the pointed node; zeros before.
        opened: what the last reveal or opening showed.
    """

    position: Position
    facts: ClaimFacts
    segment: StoredRoot = field(default_factory=StoredRoot)
    trace: StoredRoot = field(default_factory=StoredRoot)
    fold: StoredRoot = field(default_factory=StoredRoot)
    shape: NodeShape = field(default_factory=lambda: NodeShape(0, 0, 0, 0, 0, 0))
    opened: Opened = field(default_factory=Opened)
