"""Re-executes claims: finds what is false in them, and knows the truth in the disputes that follow.

An accusation needs two executions that agree (trap X16): by other code and another number of
threads (`kernels.second_opinion`), on what is false and on what it should be. A machine that is not
to be relied on says so.

A check is a generator that rests after each training step, so that whoever runs it can do something
else in between.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Container, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from protocol.agents.bundle import Source, fetch_task, fetch_tensors, source_of
from protocol.agents.served import StoreServed
from protocol.agents.watch.reader import Reader
from protocol.dispute import challenger
from protocol.dispute.proofs import Prover
from protocol.dispute.state import ClaimFacts
from protocol.kernels import Executor, second_opinion
from protocol.kernels.devices import AnyExecutor
from protocol.storage import ContentMissing, ContentWrong, Store
from protocol.training.checkpoints import CheckpointError
from protocol.training.hooks import Hooks
from protocol.training.replay import Replay
from protocol.training.task import Task
from protocol.training.tensors import Tensor

CACHED_TASKS: Final = 4
CACHED_BYTES: Final = 1 << 31
"""Of tasks and re-runs kept for disputes, as far as that can be told from a task's sizes."""

STATES_PER_RERUN: Final = 8
"""States that a re-run holds, about, with the outputs of its latest steps."""


class UnsureError(RuntimeError):
    """This machine cannot tell whether a claim is false."""


@dataclass(frozen=True)
class Finding:
    """What an execution has against a claim.

    Attributes:
        segment: the first false one; 0: the log is withheld.
        root: what this execution has instead: the state root at the segment's end, or its log.
    """

    segment: int
    root: bytes

    def __str__(self) -> str:
        """For messages."""
        what = f"segment {self.segment}" if self.segment else "the log"
        return f"{what} should end in 0x{self.root.hex()}"


class Checker:
    """Re-executes what it is asked for.

    Args:
        reader: what is on the chain.
        source: of a task: where it and what its solvers serve are fetched from.
        folder: for its own copies of tasks; None: it fetches them when it needs them.
        hooks: changes what it computes; only a false accuser has any.
        executors: of the first and the second execution.
    """

    def __init__(
        self,
        reader: Reader,
        source: Store | Source,
        folder: Path | None = None,
        hooks: Hooks | None = None,
        executors: tuple[AnyExecutor, AnyExecutor] | None = None,
    ) -> None:
        self._reader = reader
        self._source = source_of(source)
        self._folder = folder
        self._hooks = hooks
        self._executors = executors or (
            Executor(),
            second_opinion(),
        )
        self._tasks: OrderedDict[bytes, Task] = OrderedDict()
        # Those used last stay. What is dropped can be run again; memory cannot be had again.
        self._provers: OrderedDict[tuple[bytes, int], Prover] = OrderedDict()
        self._sizes: dict[tuple[bytes, int], int] = {}

    def served(self, task_id: bytes) -> StoreServed:
        """What the solvers of a task serve."""
        return StoreServed(self._source(task_id))

    def find_false_segments(
        self, claim_id: bytes, facts: ClaimFacts, drawn: Sequence[int]
    ) -> list[int]:
        """What `search` finds, without a rest."""
        search = self.search(claim_id, facts, drawn)
        while True:
            try:
                next(search)
            except StopIteration as end:
                found: list[int] = end.value
                return found

    def search(
        self, claim_id: bytes, facts: ClaimFacts, drawn: Sequence[int]
    ) -> Generator[None, None, list[int]]:
        """Segments to open a dispute with; 0 stands for a withheld log. Empty: all agrees.

        Args:
            claim_id: the claim.
            facts: what the chain knows of it.
            drawn: segments to check; none: the whole run.

        Raises:
            TaskRefused: the task is not to be had.
            UnsureError: two executions disagree about an accusation.
        """
        first = yield from self._find(claim_id, facts, drawn, self._executors[0])
        if first is None:
            return []
        # The accusation is of one segment: the slower execution need not repeat the right ones.
        accused = [first.segment] if drawn and first.segment else drawn
        second = yield from self._find(claim_id, facts, accused, self._executors[1])
        if first != second:
            raise UnsureError(
                f"two executions of this machine disagree: by the first {first}, by the second "
                f"{second or 'all is well'}; neither counts: check its memory and processor"
            )
        return [first.segment]

    def prover(self, claim_id: bytes, segment: int) -> Prover:
        """What is known of a segment: the re-run of it, or of the whole task, if need be anew."""
        for key in ((claim_id, segment), (claim_id, 0)):
            if key in self._provers:
                self._provers.move_to_end(key)
                return self._provers[key]
        facts = self._reader.facts(claim_id)
        again = self._from_checkpoint(claim_id, facts, segment, self._executors[0])
        return again or self._whole(claim_id, facts, self._executors[0])

    def forget(self, claim_id: bytes) -> None:
        """Drop the re-runs of a claim."""
        for key in [key for key in self._provers if key[0] == claim_id]:
            del self._provers[key], self._sizes[key]

    def keep_only(self, claims: Container[bytes]) -> None:
        """Drop the re-runs of all other claims."""
        for claim_id in {key[0] for key in self._provers if key[0] not in claims}:
            self.forget(claim_id)

    def _find(
        self, claim_id: bytes, facts: ClaimFacts, drawn: Sequence[int], executor: AnyExecutor
    ) -> Generator[None, None, Finding | None]:
        for segment in sorted(drawn):
            prover = self._from_checkpoint(claim_id, facts, segment, executor)
            if prover is None:  # not served: from the initial state, then
                return (yield from self._find_in_whole_run(claim_id, facts, executor))
            first = facts.first_step(segment)
            yield from _run(prover, first, first + facts.segment_length(segment))
            logged = self.served(facts.task_id).leaves(facts.log_root, facts.segments + 1)
            if logged is None:  # it was served with the segment's start, and no longer is
                return (yield from self._find_in_whole_run(claim_id, facts, executor))
            root = prover.segment(segment).leaf(facts.segment_length(segment) - 1)
            if root != logged[segment]:
                return Finding(segment, root)
        if drawn:
            return None
        return (yield from self._find_in_whole_run(claim_id, facts, executor))

    def _find_in_whole_run(
        self, claim_id: bytes, facts: ClaimFacts, executor: AnyExecutor
    ) -> Generator[None, None, Finding | None]:
        prover = self._whole(claim_id, facts, executor)
        yield from _run(prover, 0, facts.steps)
        segment = challenger.choose_segment(facts, prover, self.served(facts.task_id))
        if segment is None:
            return None
        return Finding(segment, prover.log().leaf(segment) if segment else prover.log().root)

    def _from_checkpoint(
        self, claim_id: bytes, facts: ClaimFacts, segment: int, executor: AnyExecutor
    ) -> Prover | None:
        """A re-run of one segment, from the state that its solver serves; None if it does not."""
        logged = self.served(facts.task_id).leaves(facts.log_root, facts.segments + 1)
        if logged is None or segment == 0:
            return None
        task = self._task(facts)
        try:
            start = fetch_tensors(
                self._source(facts.task_id), logged[segment - 1], task.manifest.state
            )
        except (ContentMissing, ContentWrong):
            return None
        checkpoint = OneCheckpoint(task, segment - 1, start)
        prover = Prover(Replay(task, checkpoint, executor, self._hooks))
        self._keep((claim_id, segment), prover, task)
        return prover

    def _whole(self, claim_id: bytes, facts: ClaimFacts, executor: AnyExecutor) -> Prover:
        """A re-run from the initial state, in the states that are asked for."""
        task = self._task(facts)
        prover = Prover(Replay(task, None, executor, self._hooks))
        self._keep((claim_id, 0), prover, task)
        return prover

    def _keep(self, key: tuple[bytes, int], prover: Prover, task: Task) -> None:
        state, data = task.manifest.state, task.manifest.data
        size = STATES_PER_RERUN * sum(spec.nbytes for spec in state)
        self._provers[key] = prover
        self._provers.move_to_end(key)
        self._sizes[key] = size + sum(spec.nbytes for spec in data)
        while len(self._provers) > 1 and sum(self._sizes.values()) > CACHED_BYTES:
            oldest, _ = self._provers.popitem(last=False)
            del self._sizes[oldest]

    def _task(self, facts: ClaimFacts) -> Task:
        task = self._tasks.pop(facts.task_id, None)
        if task is None:
            terms, _ = self._reader.book.tasks[facts.task_id]
            keep = None if self._folder is None else self._folder / facts.task_id.hex()
            task = fetch_task(self._source(facts.task_id), terms, keep)
        self._tasks[facts.task_id] = task
        while len(self._tasks) > CACHED_TASKS:
            self._tasks.popitem(last=False)
        return task


def _run(prover: Prover, first: int, last: int) -> Generator[None, None, None]:
    """Compute the states from step ``first`` to ``last``, whose roots are known then."""
    for step in range(first + 1, last + 1):
        prover.execution.state_leaves(step)
        yield


class OneCheckpoint:
    """A segment's start as its solver served it, checked against the log; and the initial state."""

    def __init__(self, task: Task, index: int, state: Sequence[Tensor]) -> None:
        self._task = task
        self._index = index
        self._state = state

    def roots(self) -> list[bytes]:
        """Only the initial state's root is taken for granted."""
        return [self._task.manifest.initial_state_root]

    def state(self, index: int) -> Sequence[Tensor]:
        """The served state, or the initial one. CheckpointError for another."""
        if index == self._index:
            return self._state
        if index == 0:
            return self._task.state
        raise CheckpointError(f"checkpoint {index} was not fetched")
