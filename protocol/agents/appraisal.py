"""Whether a task can be done, and defended, in the times that its requester allows. No I/O.

A requester that allows too little would take the solver's stake: by the end of the run, or by
disputes whose clocks an honest solver cannot keep. So a solver compares before it bids.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from protocol.agents.bundle import TaskRefused
from protocol.chain.market import Terms
from protocol.program.cost import step_work, trace_bytes
from protocol.program.node import Program, TensorSpec

MARGIN = 2.0
"""Times that an estimate is multiplied by: machines are shared, and transactions take time."""


@dataclass(frozen=True)
class Rate:
    """What a machine does in a second; the default is a slow one.

    Attributes:
        work: scalar instructions and loads, as `protocol.program.cost.step_work` counts them.
        hashed_bytes: bytes hashed into tensor roots and written where others find them.
        nodes: nodes begun, however small.
    """

    work: float = 2e8
    hashed_bytes: float = 1e8
    nodes: float = 2e4

    def step_seconds(self, program: Program) -> float:
        """Time to compute one step."""
        return step_work(program) / self.work + len(program.nodes) / self.nodes

    @staticmethod
    def measured(program: Program, step_seconds: float) -> Rate:
        """The rate of a machine that took so long for a step; hashing as in the default."""
        default = Rate()
        faster = default.step_seconds(program) / step_seconds
        return Rate(default.work * faster, default.hashed_bytes, default.nodes * faster)


@dataclass(frozen=True)
class Need:
    """A time that a solver needs, and what the terms allow. Seconds."""

    what: str
    needed: float
    allowed: int


def needs(program: Program, state: Sequence[TensorSpec], terms: Terms, rate: Rate) -> list[Need]:
    """Times needed for the whole run, one segment again, and one trace, without any margin."""
    step = rate.step_seconds(program)
    hash_state = sum(spec.nbytes for spec in state) / rate.hashed_bytes
    length = min(terms.interval, terms.steps)
    run = terms.steps * step + terms.segments * hash_state
    # A segment's tree has a leaf for each step; a trace starts from the segment's first state.
    segment = length * (step + hash_state)
    trace = length * step + trace_bytes(program) / rate.hashed_bytes + hash_state
    return [
        Need("run the task", run, terms.run_seconds),
        Need("run one segment again", segment, terms.segment_seconds),
        Need("trace one step", trace, terms.trace_seconds),
    ]


def require_enough_time(
    program: Program, state: Sequence[TensorSpec], terms: Terms, rate: Rate
) -> None:
    """TaskRefused unless the terms allow `MARGIN` times what is needed, each with both values."""
    short = list(_too_short(needs(program, state, terms, rate)))
    if short:
        raise TaskRefused(
            "the terms allow too little time for this machine: "
            + "; ".join(short)
            + "; nobody should bid on it, or with a faster machine only"
        )


def _too_short(times: Sequence[Need]) -> Iterator[str]:
    for need in times:
        wanted = need.needed * MARGIN
        if wanted > need.allowed:
            yield f"to {need.what} takes up to {wanted:.3g} s, allowed are {need.allowed} s"
