"""Where two recorded runs of one task part: log, segment, step, node, element, word.

What neither record holds, this machine computes again from the last checkpoint that both agree on.
Where that ends in one side's checkpoint, it stands in for what that side did not record; the other
side's inner values cannot be guessed, and the search ends where they are missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from protocol.dispute.challenger import first_difference
from protocol.dispute.execution import Execution, Withheld
from protocol.dispute.fault import (
    Fault,
    at_element,
    find_fault_in_segment,
    find_fault_in_step,
)
from protocol.kernels.devices import AnyExecutor
from protocol.kernels.executor import Executor
from protocol.merkle import root_of_leaves
from protocol.training.checkpoints import CheckpointError
from protocol.training.receipt import Receipt
from protocol.training.recorded import Record
from protocol.training.replay import Replay
from protocol.training.stand_in import StandIn
from protocol.training.task import Task, segment_steps
from protocol.training.tensors import Tensor


@dataclass(frozen=True)
class Parting:
    """The first segment in which two records differ, and the step if the states do not show it."""

    segment: int
    step: int | None = None


@dataclass(frozen=True)
class Rerun:
    """What this machine computes in the segment.

    Attributes:
        root: state root at the segment's end; None: it does not even reach the checkpoint that
            both sides agree on, and so can say nothing about them.
        agrees: whether the first, and the second, record says the same.
        isa: instruction set of the execution.
    """

    root: bytes | None
    agrees: tuple[bool, bool]
    isa: str


@dataclass(frozen=True)
class Comparison:
    """The outcome.

    Attributes:
        fault: the first difference, as deep as it can be told; ``expected`` is the first record's
            word, ``got`` the second's. None: the records agree in all that both hold.
        state: the first different state tensor at the segment's end, if ``fault`` has no words and
            both states are held.
        rerun: what this machine has to say; None if it did not execute anything.
        against: for each record, how it first differs from this machine, if neither agrees with it.
        missing: for each record, what it would have to record for a deeper search: ``segment``,
            ``step`` or ``fold``; None if nothing.
    """

    fault: Fault | None
    state: Fault | None = None
    rerun: Rerun | None = None
    against: tuple[Fault | None, Fault | None] = (None, None)
    missing: tuple[str | None, str | None] = (None, None)


@dataclass(frozen=True)
class Agreed:
    """The checkpoints that two records agree on, from whichever holds them."""

    records: tuple[Record, Record]
    last: int

    def roots(self) -> list[bytes]:
        """State roots up to the last agreed one."""
        return self.records[0].log[: self.last + 1]

    def state(self, index: int) -> Sequence[Tensor]:
        """The state of an agreed entry. CheckpointError if neither holds it."""
        if index <= self.last:
            for record in self.records:
                try:
                    return record.state(index)
                except CheckpointError:
                    continue
        raise CheckpointError(f"neither side holds checkpoint {index}")


def compare(
    first: Record,
    second: Record,
    task: Task | None = None,
    executor: AnyExecutor | None = None,
) -> Comparison:
    """Find the first difference between two records of one task.

    Args:
        first: called A in messages.
        second: called B.
        task: executed again where records differ; None: only what is recorded is compared.
        executor: computes the nodes.
    """
    parting = find_parting(first, second)
    if parting is None:
        return Comparison(None)
    segment, records = parting.segment, (first, second)
    own = rerun = None
    if task is not None:
        executor = executor or Executor()
        own = Replay(task, Agreed(records, segment - 1), executor)
        rerun = _rerun(own, parting, records, executor.isa)
    agrees = (False, False) if rerun is None else rerun.agrees
    sides: list[Execution] = [
        StandIn(record, own) if own is not None and agreeing else record
        for record, agreeing in zip(records, agrees, strict=True)
    ]
    fault = _fault(sides[0], sides[1], parting) or Fault(segment, parting.step)
    against: tuple[Fault | None, Fault | None] = (None, None)
    if own is not None and rerun is not None and rerun.root is not None and not any(rerun.agrees):
        against = (_fault(own, first, parting), _fault(own, second, parting))
    return Comparison(
        fault,
        _state_difference(sides, records, segment) if fault.expected is None else None,
        rerun,
        against,
        (_missing(sides[0], fault), _missing(sides[1], fault)),
    )


def find_parting(first: Record, second: Record) -> Parting | None:
    """Where two records differ first, without executing anything; None if nowhere."""
    common = min(len(first.log), len(second.log))
    in_log = first_difference(first.log[:common], second.log[:common])
    last = common - 1 if in_log is None else in_log - 1
    if isinstance(first, Receipt) and isinstance(second, Receipt):
        traced = {step for step, _ in first.contents.steps}
        traced &= {step for step, _ in second.contents.steps}
        recorded = {m for m, _ in first.contents.segments} & {
            m for m, _ in second.contents.segments
        }
        for segment in sorted(m for m in recorded if m <= last):
            if first.segment_leaves(segment) != second.segment_leaves(segment):
                return Parting(segment)
            for step in sorted(traced.intersection(segment_steps(first.manifest, segment))):
                if first.trace_leaves(step) != second.trace_leaves(step):
                    return Parting(segment, step)
    return None if in_log is None else Parting(in_log)


def _fault(own: Execution, other: Execution, parting: Parting) -> Fault | None:
    if parting.step is None:
        return find_fault_in_segment(own, other, parting.segment)
    return find_fault_in_step(own, other, parting.segment, parting.step)


def _rerun(own: Replay, parting: Parting, records: tuple[Record, Record], isa: str) -> Rerun:
    start = segment_steps(records[0].manifest, parting.segment).start
    if root_of_leaves(own.state_leaves(start)) != records[0].log[parting.segment - 1]:
        return Rerun(None, (False, False), isa)
    leaves = own.segment_leaves(parting.segment)
    agrees = [_agrees(own, record, parting, leaves) for record in records]
    return Rerun(leaves[-1], (agrees[0], agrees[1]), isa)


def _agrees(own: Execution, record: Record, parting: Parting, leaves: list[bytes]) -> bool:
    """Whether all that a record says of the segment, and of the step, is what ``own`` has."""
    if record.log[parting.segment] != leaves[-1]:
        return False
    try:
        if record.segment_leaves(parting.segment) != leaves:
            return False
    except Withheld:
        pass
    step = parting.step
    return step is None or record.trace_leaves(step) == own.trace_leaves(step)


def _missing(side: Execution, fault: Fault) -> str | None:
    """What a side does not hold where the search ended; None if it holds that."""
    try:
        if fault.step is None:
            side.segment_leaves(fault.segment)
        elif fault.binding is not None:
            side.state_tensor(fault.step + 1, fault.binding)
        elif fault.node is None:
            side.trace_leaves(fault.step)
        elif fault.element is None:
            side.node_output(fault.step, fault.node)
        elif fault.term is None:
            side.fold_leaves(fault.step, fault.node, fault.element)
    except Withheld:
        if fault.step is None:
            return "segment"
        return "step" if fault.element is None else "fold"
    return None


def _state_difference(
    sides: Sequence[Execution], records: tuple[Record, Record], segment: int
) -> Fault | None:
    """The first state tensor, and element of it, that differs at the end of a segment."""
    end = segment_steps(records[0].manifest, segment).stop
    try:
        leaves = [side.state_leaves(end) for side in sides]
        index = first_difference(leaves[1], leaves[0])
        if index is None:
            return None
        ours, theirs = (side.state_tensor(end, index) for side in sides)
    except Withheld:
        return None
    dtype = records[0].manifest.state[index].dtype
    return at_element(Fault(segment, binding=index), theirs, ours, dtype)
