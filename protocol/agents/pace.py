"""How fast a run went, and whether its claim can be defended at that pace.

An estimate before the bid cannot know the data: numbers that become subnormal late in a run make
some processors a hundred times slower. So before it claims, a solver compares what it saw with the
clocks of disputes. A segment that was slow, or that nobody timed because the process was killed, is
run again as a dispute would have it, and timed.
"""

from __future__ import annotations

import math
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from protocol.agents.appraisal import PAGE, Need, Rate, dispute_needs
from protocol.agents.journal import Journal
from protocol.chain.market import Terms
from protocol.kernels.devices import AnyExecutor
from protocol.training.checkpoints import Checkpoints
from protocol.training.hooks import Hooks
from protocol.training.recorder import Until
from protocol.training.replay import Replay
from protocol.training.task import Task
from protocol.training.trainer import Progress

STRETCH: Final = struct.Struct(">Qd")  # steps, seconds of all of them


@dataclass(frozen=True)
class Defence:
    """Whether a claim can be defended.

    Attributes:
        step_seconds: of a step, on average over the slowest segment.
        unmet: what takes too long for the clocks; empty: it can be defended.
    """

    step_seconds: float
    unmet: list[Need]

    def refusal(self, stake_wei: int, run_end: int) -> str:
        """Why nothing is submitted, what that costs, and what to do.

        Args:
            stake_wei: what a dispute would cost, in token wei.
            run_end: when the time to submit is over, Unix seconds.
        """
        return (
            "trained, and not submitted: a dispute could not be answered in time, which would "
            f"cost the whole stake of {stake_wei} wei: a step took {self.step_seconds:.3g} s, so "
            f"{'; '.join(map(str, self.unmet))}; not submitting costs a no-show, a share of the "
            "stake; make the machine idle, or take a faster one, and start the agent again before "
            f"{run_end} to measure again; see {PAGE}"
        )


class Pace:
    """Seconds of the steps of one run; what was seen is in the journal.

    Args:
        journal: of the agent.
        task_id: whose run it is.
        task: what is run.
        checkpoints: of the run.
        executor: computes steps that are run again.
        hooks: what a dishonest run changes; default: nothing.
    """

    def __init__(
        self,
        journal: Journal,
        task_id: bytes,
        task: Task,
        checkpoints: Checkpoints,
        executor: AnyExecutor | None = None,
        hooks: Hooks | None = None,
    ) -> None:
        self._journal = journal
        self._topic = f"pace of 0x{task_id.hex()}"
        self._task = task
        self._checkpoints = checkpoints
        self._executor = executor
        self._hooks = hooks
        self._end, self._steps, self._seconds = 0, 0, 0.0  # of the stretch that is trained now
        self._again: dict[int, float] = {}  # segment: seconds of a step when it was run again
        self._rerun: _Rerun | None = None
        self._defence: Defence | None = None

    def saw(self, progress: Progress) -> None:
        """Count a step that was trained; a checkpoint ends a stretch, and its state is on disk."""
        self._end = progress.step
        self._steps += 1
        self._seconds += progress.seconds
        if progress.checkpoint is not None:
            self.keep()

    def keep(self) -> None:
        """Write down the steps since the last time; the state after them must be on disk."""
        if self._steps:
            stretch = STRETCH.pack(self._steps, self._seconds)
            self._journal.remember(self._topic, self._end.to_bytes(8, "big"), stretch)
        self._end, self._steps, self._seconds = 0, 0, 0.0

    def step_seconds(self, segment: int) -> float:
        """Seconds of a step of the segment, on average; infinite if it was not all seen."""
        return self._again.get(segment, self._seen().get(segment, math.inf))

    def defence(self, terms: Terms, rate: Rate, pause: Callable[[], bool]) -> Defence | None:
        """Whether the claim can be defended at the pace seen; None: ``pause`` came before the end.

        Args:
            terms: of the task.
            rate: for what was not timed: hashing.
            pause: asked before each step that is run again; True: the next call goes on.
        """
        if self._defence is None:
            self._defence = self._judge(terms, rate, pause)
        return self._defence

    def _judge(self, terms: Terms, rate: Rate, pause: Callable[[], bool]) -> Defence | None:
        seen, slowest = self._seen(), 0.0
        for segment in range(1, self._task.manifest.segments + 1):
            seconds = self._again.get(segment, seen.get(segment, math.inf))
            if segment not in self._again and self._unmet(terms, rate, seconds):
                if not self._run_again(segment, pause):
                    return None
                seconds = self._again[segment]
            unmet = self._unmet(terms, rate, seconds)
            if unmet:
                return Defence(seconds, unmet)
            slowest = max(slowest, seconds)
        return Defence(slowest, [])

    def _unmet(self, terms: Terms, rate: Rate, step_seconds: float) -> list[Need]:
        state = self._task.manifest.state
        wanted = dispute_needs(self._task.program, state, terms, rate, step_seconds)
        return [need for need in wanted if not need.is_met]

    def _seen(self) -> dict[int, float]:
        """Seconds of a step, of the segments all of whose steps were timed in training."""
        totals: dict[int, tuple[int, float]] = {}
        for key, value in self._journal.entries(self._topic):
            segment = -(-int.from_bytes(key, "big") // self._task.manifest.interval)
            steps, seconds = STRETCH.unpack(value)
            before = totals.get(segment, (0, 0.0))
            totals[segment] = before[0] + steps, before[1] + seconds
        return {
            segment: seconds / steps
            for segment, (steps, seconds) in totals.items()
            if steps >= len(self._task.segment_steps(segment))
        }

    def _run_again(self, segment: int, pause: Callable[[], bool]) -> bool:
        """Time the segment; whether it was done before the pause."""
        if self._rerun is None or self._rerun.segment != segment:
            start = Until(self._checkpoints, segment - 1)
            replay = Replay(self._task, start, self._executor, self._hooks)
            self._rerun = _Rerun(segment, replay, list(self._task.segment_steps(segment)))
        rerun = self._rerun
        while rerun.steps:
            if pause():
                return False
            began = time.perf_counter()
            rerun.replay.state(rerun.steps.pop(0) + 1)
            rerun.seconds += time.perf_counter() - began
        self._again[segment] = rerun.seconds / len(self._task.segment_steps(segment))
        self._rerun = None
        return True


@dataclass
class _Rerun:
    """A segment that is being run again; what is left of it."""

    segment: int
    replay: Replay
    steps: list[int]
    seconds: float = 0.0
