"""The moves of a dispute as data: one class per function of the contract, fields = its arguments.

``function`` and ``arguments()`` are all that a sender needs. Moves that name the expected position
are ``PositionMove``; the dispute's id is the sender's to add, as ``(dispute_id, *arguments())``.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar

from protocol.dispute.state import Level

Proof = tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Move:
    """A call of the dispute contract."""

    function: ClassVar[str]

    def arguments(self) -> tuple[Any, ...]:
        """Arguments in the contract's order, as web3 takes them."""
        return tuple(
            list(value) if isinstance(value, tuple) else value
            for value in (getattr(self, field.name) for field in fields(self))
        )


@dataclass(frozen=True, slots=True)
class CommitOpen(Move):
    """Lock the bond and commit to an opening."""

    function: ClassVar[str] = "commitOpen"
    claim_id: bytes
    commitment: bytes


@dataclass(frozen=True, slots=True)
class Open(Move):
    """Open what was committed; segment 0 means that the log was withheld."""

    function: ClassVar[str] = "open"
    claim_id: bytes
    segment: int
    salt: bytes


@dataclass(frozen=True, slots=True)
class Reclaim(Move):
    """End a commitment that was not opened."""

    function: ClassVar[str] = "reclaim"
    claim_id: bytes
    opener: str
    commitment: bytes


@dataclass(frozen=True, slots=True)
class PositionMove(Move):
    """A move within a dispute; ``expected`` is the hash of the position that it was made for."""

    expected: bytes


@dataclass(frozen=True, slots=True)
class PostSegment(PositionMove):
    """Post a segment's tree, linked to the log at both ends."""

    function: ClassVar[str] = "postSegment"
    segment_root: bytes
    before: bytes
    after: bytes
    proof_before: Proof
    proof_after: Proof
    proof_end: Proof
    signature: bytes = b""


@dataclass(frozen=True, slots=True)
class PostTrace(PositionMove):
    """Post a step's trace, linked to the states before and after."""

    function: ClassVar[str] = "postTrace"
    trace_root: bytes
    pre: bytes
    post: bytes
    proof_pre: Proof
    proof_post: Proof
    signature: bytes = b""


@dataclass(frozen=True, slots=True)
class PostFold(PositionMove):
    """Post an element's fold, linked to the element."""

    function: ClassVar[str] = "postFold"
    fold_root: bytes
    tensor_root: bytes
    trace_proof: Proof
    chunk: bytes
    chunk_proof: Proof
    last_leaf: bytes
    last_leaf_proof: Proof
    signature: bytes = b""


@dataclass(frozen=True, slots=True)
class UseRoot(PositionMove):
    """Go on with a root that another dispute brought."""

    function: ClassVar[str] = "useRoot"


@dataclass(frozen=True, slots=True)
class PointStep(PositionMove):
    """Point at step ``t`` of the segment."""

    function: ClassVar[str] = "pointStep"
    t: int


@dataclass(frozen=True, slots=True)
class PointBinding(PositionMove):
    """Point at state tensor ``q`` after the step."""

    function: ClassVar[str] = "pointBinding"
    q: int


@dataclass(frozen=True, slots=True)
class PointElement(PositionMove):
    """Point at element ``e`` of node ``j``."""

    function: ClassVar[str] = "pointElement"
    j: int
    e: int
    node: bytes
    program_proof: Proof


@dataclass(frozen=True, slots=True)
class PointNode(PositionMove):
    """Point at node ``j`` and ask for its tensor root."""

    function: ClassVar[str] = "pointNode"
    j: int
    node: bytes
    program_proof: Proof


@dataclass(frozen=True, slots=True)
class PointBoundElement(PositionMove):
    """Point at element ``e`` of the node that is bound already."""

    function: ClassVar[str] = "pointBoundElement"
    e: int


@dataclass(frozen=True, slots=True)
class PointTerm(PositionMove):
    """Point at term ``r`` and name what is judged: 0xff arithmetic, else a load."""

    function: ClassVar[str] = "pointTerm"
    r: int
    kind: int


@dataclass(frozen=True, slots=True)
class PointKind(PositionMove):
    """Name what is judged of the bisected term."""

    function: ClassVar[str] = "pointKind"
    kind: int


@dataclass(frozen=True, slots=True)
class Bisect(PositionMove):
    """Ask for sub-roots instead of pointing."""

    function: ClassVar[str] = "bisect"
    level: Level


@dataclass(frozen=True, slots=True)
class Reveal(PositionMove):
    """Show all sub-roots of the current range."""

    function: ClassVar[str] = "reveal"
    children: Proof


@dataclass(frozen=True, slots=True)
class Pick(PositionMove):
    """Go into one of the revealed sub-roots."""

    function: ClassVar[str] = "pick"
    child: int
    children: Proof


@dataclass(frozen=True, slots=True)
class OpenTensor(PositionMove):
    """Open the root of the pointed node's output."""

    function: ClassVar[str] = "openTensor"
    tensor_root: bytes
    trace_proof: Proof


@dataclass(frozen=True, slots=True)
class OpenChunk(PositionMove):
    """Open the bisected chunk."""

    function: ClassVar[str] = "openChunk"
    chunk: bytes


@dataclass(frozen=True, slots=True)
class OpenTerm(PositionMove):
    """Open the bisected term's leaf."""

    function: ClassVar[str] = "openTerm"
    leaf: bytes


@dataclass(frozen=True, slots=True)
class AnswerBinding(PositionMove):
    """Open both sides of a state tensor's binding."""

    function: ClassVar[str] = "answerBinding"
    binding: bytes
    program_proof: Proof
    post_leaf: bytes
    post_proof: Proof
    source_leaf: bytes
    source_proof: Proof


@dataclass(frozen=True, slots=True)
class JudgeArithmetic(PositionMove):
    """Have the body run once. The previous leaf and its proof are empty for term 0."""

    function: ClassVar[str] = "judgeArithmetic"
    node: bytes
    leaf: bytes
    leaf_proof: Proof
    previous_leaf: bytes = b""
    previous_proof: Proof = ()


@dataclass(frozen=True, slots=True)
class JudgeLoad(PositionMove):
    """Open the element that the load reads; the last four are empty if it is out of bounds."""

    function: ClassVar[str] = "judgeLoad"
    node: bytes
    leaf: bytes
    leaf_proof: Proof
    tensor_root: bytes = bytes(32)
    tensor_proof: Proof = ()
    chunk: bytes = b""
    chunk_proof: Proof = ()


@dataclass(frozen=True, slots=True)
class Timeout(Move):
    """Claim that the side on the clock has run out of time."""

    function: ClassVar[str] = "timeout"


@dataclass(frozen=True, slots=True)
class Refund(Move):
    """Return the bond after the claim has fallen by another dispute."""

    function: ClassVar[str] = "refund"
