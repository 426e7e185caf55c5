"""The position of a dispute: the twin of ``contracts/interfaces/IDispute.sol``.

Names, numbers and the order of members are the contract's, so that ``Position.hash()`` is the
``expected`` argument of a move. Times and clocks are not part of a position.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Final

from eth_utils.crypto import keccak

ARITHMETIC: Final = 0xFF
"""Kind of a judgement: the arithmetic of a term. Below it: the number of a load."""

ZERO_ROOT: Final = bytes(32)
ZERO_ADDRESS: Final = "0x" + "0" * 40


class DisputeState(IntEnum):
    """Where a dispute stands."""

    NONE = 0
    NEED_SEGMENT = 1
    POINT_STEP = 2
    NEED_TRACE = 3
    BRANCH = 4
    ANSWER_BINDING = 5
    POINT_NODE = 6
    NEED_TENSOR = 7
    POINT_CHUNK = 8
    NEED_CHUNK = 9
    POINT_ELEMENT = 10
    NEED_FOLD = 11
    POINT_TERM = 12
    NEED_TERM = 13
    POINT_KIND = 14
    JUDGE = 15
    REVEAL = 16
    PICK = 17
    SOLVER_WON = 18
    CHALLENGER_WON = 19
    REFUNDED = 20


class Side(IntEnum):
    """Who is on the clock."""

    NONE = 0
    SOLVER = 1
    OPENER = 2


class Level(IntEnum):
    """The tree that a bisection walks."""

    NONE = 0
    LOG = 1
    SEGMENT = 2
    TRACE = 3
    POST_STATE = 4
    TENSOR = 5
    FOLD = 6


OPENER_STATES: Final = frozenset(
    {
        DisputeState.POINT_STEP,
        DisputeState.BRANCH,
        DisputeState.POINT_NODE,
        DisputeState.POINT_CHUNK,
        DisputeState.POINT_ELEMENT,
        DisputeState.POINT_TERM,
        DisputeState.POINT_KIND,
        DisputeState.PICK,
    }
)
SOLVER_STATES: Final = frozenset(
    {
        DisputeState.NEED_SEGMENT,
        DisputeState.NEED_TRACE,
        DisputeState.ANSWER_BINDING,
        DisputeState.NEED_TENSOR,
        DisputeState.NEED_CHUNK,
        DisputeState.NEED_FOLD,
        DisputeState.NEED_TERM,
        DisputeState.JUDGE,
        DisputeState.REVEAL,
    }
)


def side_of(state: DisputeState) -> Side:
    """The side that a state puts on the clock; NONE if no dispute or a finished one."""
    if state in OPENER_STATES:
        return Side.OPENER
    return Side.SOLVER if state in SOLVER_STATES else Side.NONE


def is_final(state: DisputeState) -> bool:
    """Whether the dispute is over."""
    return state >= DisputeState.SOLVER_WON


@dataclass(frozen=True, slots=True)
class Position:
    """Everything that the next move depends on, times excepted. What is not known yet is zero.

    ``opener`` is an address in hexadecimal, roots are 32 bytes. ``step`` counts from 0 over the
    whole run; ``lo``, ``size`` and ``subroot`` are the range that is or was bisected last.
    """

    claim_id: bytes
    opener: str
    state: DisputeState
    level: Level = Level.NONE
    kind: int = 0
    turn: int = 0
    segment: int = 0
    step: int = 0
    node: int = 0
    binding: int = 0
    element: int = 0
    term: int = 0
    lo: int = 0
    size: int = 0
    subroot: bytes = ZERO_ROOT
    descriptor_hash: bytes = ZERO_ROOT
    segment_root: bytes = ZERO_ROOT
    trace_root: bytes = ZERO_ROOT
    fold_root: bytes = ZERO_ROOT

    @property
    def side(self) -> Side:
        """The side that must move, clocks permitting."""
        return side_of(self.state)

    def encode(self) -> bytes:
        """``abi.encode(position)``: one word of 32 bytes a member."""
        return b"".join(_encode_member(getattr(self, field.name)) for field in fields(self))

    def hash(self) -> bytes:
        """``positionHash``: what a move must name to be accepted here."""
        return keccak(self.encode())


@dataclass(frozen=True, slots=True)
class NodeShape:
    """What a dispute keeps of the pointed node (the contract's ``shape``)."""

    dtype: int
    width: int
    numel: int
    terms: int
    loads: int
    init: int


@dataclass(frozen=True, slots=True)
class StoredRoot:
    """A root that counts for a path of a claim, with the states at both ends (zero for a fold)."""

    root: bytes = ZERO_ROOT
    before: bytes = ZERO_ROOT
    after: bytes = ZERO_ROOT


@dataclass(frozen=True, slots=True)
class ClaimFacts:
    """All that a dispute needs to know of a claim. Times are Unix seconds, money is token wei."""

    solver: str
    requester: str
    task_id: bytes
    log_root: bytes
    result_root: bytes
    program_root: bytes
    data_root: bytes
    initial_state_root: bytes
    steps: int
    interval: int
    node_count: int
    state_count: int
    data_count: int
    segment_seconds: int
    trace_seconds: int
    window_end: int
    reveal_end: int
    clock_start: int
    bond: int

    @property
    def segments(self) -> int:
        """Number of segments M; the log has one leaf more."""
        return -(-self.steps // self.interval)

    def segment_length(self, segment: int) -> int:
        """Steps in segment 1..M."""
        return min(self.interval, self.steps - self.interval * (segment - 1))

    def first_step(self, segment: int) -> int:
        """Global number of the first step of segment 1..M."""
        return self.interval * (segment - 1)


def segment_path(segment: int) -> bytes:
    """Key of a segment root within its claim."""
    return keccak(_encode_words(1, segment))


def trace_path(step: int) -> bytes:
    """Key of a trace root within its claim."""
    return keccak(_encode_words(2, step))


def fold_path(step: int, node: int, element: int) -> bytes:
    """Key of a fold root within its claim."""
    return keccak(_encode_words(3, step, node, element))


def commitment_of(claim_id: bytes, opener: str, segment: int, salt: bytes) -> bytes:
    """What ``commitOpen`` commits to; it becomes the dispute's id."""
    return keccak(claim_id + _encode_member(opener) + _encode_words(segment) + salt)


def _encode_words(*values: int) -> bytes:
    return b"".join(value.to_bytes(32, "big") for value in values)


def _encode_member(value: bytes | str | int) -> bytes:
    if isinstance(value, str):
        return bytes(12) + bytes.fromhex(value[2:])
    return value if isinstance(value, bytes) else value.to_bytes(32, "big")
