"""Whether a task can be done, and defended, in the times that its requester allows. No I/O.

A requester that allows too little would take the solver's stake: by the end of the run, or by
disputes whose clocks an honest solver cannot keep. So a solver compares before it bids, and again
with what it saw before it claims. The run is compared at the expected time, since one that turns
out slow costs a no-show; the clocks of disputes at the worst that the data can do, since a missed
one costs the stake: numbers may become subnormal at any step, and whoever publishes the task can
see to it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from protocol.agents.bundle import TaskRefused
from protocol.chain.market import Terms
from protocol.program.cost import float_work, step_work, trace_bytes
from protocol.program.node import Program, TensorSpec

MARGIN = 2.0
"""Times that an estimate is multiplied by: machines are shared, and transactions take time."""

SUBNORMAL_WORK: Final = 1e8
"""Float instructions a second of the slowest machine known, when all meet subnormal numbers.

An Ice Lake Xeon took 47 ms instead of 0.3 ms for 256^3 fma on one thread (140 times): 45 ns for an
instruction, whatever its lanes. These are four lanes; sixteen would give 3.6e8.
"""

PAGE: Final = "docs/operate/solver.md, section 6"


@dataclass(frozen=True)
class Rate:
    """What a machine does in a second; the default is a slow one.

    Attributes:
        work: scalar instructions and loads, as `protocol.program.cost.step_work` counts them.
        hashed_bytes: bytes hashed into tensor roots and written where others find them.
        nodes: nodes begun, however small.
        subnormal_work: float instructions that all meet subnormal numbers, as
            `protocol.program.cost.float_work` counts them. An absolute figure and no factor:
            `work` is far below what fast kernels reach, and the time that microcode takes does not
            depend on it.
    """

    work: float = 2e8
    hashed_bytes: float = 1e8
    nodes: float = 2e4
    subnormal_work: float = SUBNORMAL_WORK

    def step_seconds(self, program: Program) -> float:
        """Time to compute one step of ordinary numbers."""
        return step_work(program) / self.work + len(program.nodes) / self.nodes

    def worst_step_seconds(self, program: Program) -> float:
        """Time to compute one step in which every float instruction meets subnormal numbers."""
        return self.step_seconds(program) + float_work(program) / self.subnormal_work

    @staticmethod
    def measured(program: Program, step_seconds: float) -> Rate:
        """The rate of a machine that took so long for a step; all else as in the default."""
        default = Rate()
        faster = default.step_seconds(program) / step_seconds
        return Rate(default.work * faster, default.hashed_bytes, default.nodes * faster)


@dataclass(frozen=True)
class Need:
    """A time that a solver needs, and what the terms allow. Seconds.

    Attributes:
        what: it is needed for.
        term: the requester's name for what is allowed.
        needed: without any margin.
        allowed: by the terms.
    """

    what: str
    term: str
    needed: float
    allowed: int

    @property
    def wanted(self) -> float:
        """What is needed, with the margin."""
        return self.needed * MARGIN

    @property
    def is_met(self) -> bool:
        """Whether the terms allow as much as is wanted."""
        return self.wanted <= self.allowed

    def __str__(self) -> str:
        """Both values."""
        return f"to {self.what} takes up to {self.wanted:.3g} s, allowed are {self.allowed} s"


def needs(
    program: Program,
    state: Sequence[TensorSpec],
    terms: Terms,
    rate: Rate,
    *,
    risks_subnormals: bool = False,
) -> list[Need]:
    """Times needed for the whole run, one segment again, and one trace, without any margin.

    Args:
        program: of the task.
        state: the state tensors.
        terms: what is allowed.
        rate: of the machine.
        risks_subnormals: whether disputes, too, are taken at the expected time of a step.
    """
    step = rate.step_seconds(program)
    run = terms.steps * step + terms.segments * _hash_seconds(state, rate)
    again = step if risks_subnormals else rate.worst_step_seconds(program)
    return [
        Need("run the task", "run-seconds", run, terms.run_seconds),
        *dispute_needs(program, state, terms, rate, again),
    ]


def dispute_needs(
    program: Program,
    state: Sequence[TensorSpec],
    terms: Terms,
    rate: Rate,
    step_seconds: float,
) -> list[Need]:
    """Times needed for one segment again and for one trace, if a step takes ``step_seconds``."""
    hash_state = _hash_seconds(state, rate)
    length = min(terms.interval, terms.steps)
    # A segment's tree has a leaf for each step; a trace starts from the segment's first state.
    segment = length * (step_seconds + hash_state)
    trace = length * step_seconds + trace_bytes(program) / rate.hashed_bytes + hash_state
    return [
        Need("run one segment again", "segment-seconds", segment, terms.segment_seconds),
        Need("trace one step", "trace-seconds", trace, terms.trace_seconds),
    ]


def require_enough_time(
    program: Program,
    state: Sequence[TensorSpec],
    terms: Terms,
    rate: Rate,
    *,
    risks_subnormals: bool = False,
) -> None:
    """TaskRefused unless the terms allow `MARGIN` times what is needed, each with both values."""
    short = _unmet(needs(program, state, terms, rate, risks_subnormals=True))
    if short:
        raise TaskRefused(
            "the terms allow too little time for this machine: "
            + "; ".join(short)
            + f"; nobody should bid on it, or with a faster machine only; see {PAGE}"
        )
    short = _unmet(needs(program, state, terms, rate))
    if short and not risks_subnormals:
        raise TaskRefused(
            "the terms allow too little time for disputes if numbers become subnormal: "
            + "; ".join(short)
            + f" (expected are {rate.step_seconds(program):.3g} s for a step, at worst "
            f"{rate.worst_step_seconds(program):.3g} s); leave the task to a machine that is not "
            f"slow with them, or accept the risk to the stake with --risk-subnormals; see {PAGE}"
        )


def warnings_for(program: Program, state: Sequence[TensorSpec], terms: Terms) -> Iterator[str]:
    """What a requester should know of its terms: what solvers of unknown machines will refuse."""
    rate = Rate()
    for plain, worst in zip(
        needs(program, state, terms, rate, risks_subnormals=True),
        needs(program, state, terms, rate),
        strict=True,
    ):
        if not plain.is_met:
            yield f"solvers on slow machines will refuse: {plain}; {_give(plain)}"
        elif not worst.is_met:
            yield (
                "solvers whose processor is slow with subnormal numbers (Intel's, for one) may "
                f"refuse: if all numbers become subnormal, {worst}; {_give(worst)}"
            )


def _give(need: Need) -> str:
    return f"give --{need.term} {math.ceil(need.wanted)}"


def _unmet(times: Iterable[Need]) -> list[str]:
    return [str(need) for need in times if not need.is_met]


def _hash_seconds(state: Sequence[TensorSpec], rate: Rate) -> float:
    return sum(spec.nbytes for spec in state) / rate.hashed_bytes
