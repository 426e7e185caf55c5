"""Tasks and claims as Python values: the structs of ``IMarket``, read through web3.

Field names are those of the contracts in snake case; money is token wei, times are Unix seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from enum import IntEnum
from typing import Any


class TaskPhase(IntEnum):
    """Twin of ``TaskPhase`` in contracts/libraries/Phases.sol."""

    NONE = 0
    BIDDING = 1
    REVEALING = 2
    DECIDABLE = 3
    RUNNING = 4
    OVERDUE = 5
    SUBMITTED = 6
    VACANT = 7
    LAPSED = 8
    FINALISED = 9
    REFUNDED = 10


class ClaimPhase(IntEnum):
    """Twin of ``ClaimPhase`` in contracts/libraries/Phases.sol."""

    NONE = 0
    WINDOW = 1
    REVEALS = 2
    DECIDED = 3
    FALLEN = 4
    FINALISED = 5


@dataclass(frozen=True)
class Terms:
    """What a requester asks for."""

    program_root: bytes
    data_root: bytes
    initial_state_root: bytes
    manifest_root: bytes
    steps: int
    interval: int
    node_count: int
    state_count: int
    data_count: int
    max_reward: int
    value_at_risk: int
    verifier_fee: int
    verifiers: int
    segments_per_verifier: int
    bid_seconds: int
    reveal_seconds: int
    run_seconds: int
    window_seconds: int
    segment_seconds: int
    trace_seconds: int

    @property
    def segments(self) -> int:
        """Number of checkpoint intervals M."""
        return -(-self.steps // self.interval)

    @property
    def escrow(self) -> int:
        """What posting takes: the most for the solver and the verifiers' fees."""
        return self.max_reward + self.verifiers * self.verifier_fee

    def to_tuple(self) -> tuple[Any, ...]:
        """The struct as web3 takes it."""
        return astuple(self)


@dataclass(frozen=True)
class TaskView:
    """A task as stored, without its terms."""

    requester: str
    phase: TaskPhase
    round: int
    commits: int
    reveals: int
    solver: str
    bid_end: int
    reveal_end: int
    run_end: int
    reopen_end: int
    price: int
    required_stake: int
    deposit: int
    reported_size: int
    reported_root: bytes
    claim_id: bytes

    @staticmethod
    def from_tuple(values: Sequence[Any]) -> TaskView:
        """From web3's tuple."""
        requester, phase, *others = values
        return TaskView(requester, TaskPhase(phase), *others)


@dataclass(frozen=True)
class ClaimView:
    """A claim's life."""

    phase: ClaimPhase
    round: int
    open_disputes: int
    attested: int
    drawn: bool
    settled: bool
    submitted_at: int
    target_block: int
    verifiers: tuple[str, ...]
    segments: tuple[int, ...]

    @staticmethod
    def from_tuple(values: Sequence[Any]) -> ClaimView:
        """From web3's tuple."""
        phase, *scalars, verifiers, segments = values
        return ClaimView(ClaimPhase(phase), *scalars, tuple(verifiers), tuple(segments))  # type: ignore[call-arg]

    def segments_of(self, verifier: str) -> tuple[int, ...]:
        """Segments that ``verifier`` was drawn for; empty if it was not drawn."""
        if verifier not in self.verifiers:
            return ()
        each = len(self.segments) // len(self.verifiers)
        first = self.verifiers.index(verifier) * each
        return self.segments[first : first + each]
