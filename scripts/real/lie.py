"""Which lie a cheating solver tells about a task, so that it changes what is sold.

``one-ulp``: one unit in the last place of one element of one gradient, of the node that adds most,
in the last step of a segment in the run's first half; where nothing is trained, of one activation.
``lazy``: a whole segment is not computed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from protocol.agents.conduct import Conduct
from protocol.cli.demo.lies import OneUlp, SkippedInterval, Target
from protocol.program.isa import DType
from protocol.training.checkpoints import Checkpoints
from protocol.training.replay import Replay
from protocol.training.step import StepRunner
from protocol.training.task import Task
from protocol.training.tensors import Tensor, roots_of

ONE_ULP: Final = "one-ulp"
LAZY: Final = "lazy"
LIES: Final = {ONE_ULP: 3, LAZY: 2}
"""Name -> how many numbers say the rest."""

NODES, ELEMENTS = 4, 6
"""So many are tried: the last bit of a gradient may vanish in the rounding of the update."""


@dataclass(frozen=True)
class Lie:
    """A lie, as it is told to another process."""

    name: str
    numbers: tuple[int, ...]

    @staticmethod
    def parse(words: Sequence[str]) -> Lie:
        """From `words`. ValueError."""
        name, *numbers = words or [""]
        if name not in LIES or len(numbers) != LIES[name]:
            raise ValueError(f"{' '.join(words)!r} is no lie: a name of {LIES} and its numbers")
        return Lie(name, tuple(map(int, numbers)))

    def words(self) -> list[str]:
        """For a command line."""
        return [self.name, *map(str, self.numbers)]

    def conduct(self) -> Conduct:
        """How a solver behaves that tells it."""
        if self.name == ONE_ULP:
            return Conduct(hooks=OneUlp(Target(*self.numbers)))
        return Conduct(hooks=SkippedInterval(range(*self.numbers)))

    def describe(self, task: Task) -> str:
        """For people."""
        if self.name == LAZY:
            first, end = self.numbers
            return f"does not compute the steps {first} to {end - 1}, and copies the state"
        step, node, element = self.numbers
        return (
            f"adds one unit in the last place to element {element:,} of "
            f"{task.program.nodes[node].numel:,} of node {node} ({task.manifest.origins[node]}) "
            f"in step {step}"
        )


def choose(name: str, task: Task, checkpoints: Checkpoints, segment: int) -> Lie:
    """A lie of that name in a segment.

    Args:
        name: of `LIES`.
        task: that is lied about.
        checkpoints: of an honest run of it, to start from.
        segment: from 1.

    Raises:
        LookupError: none of the bits that were tried changes the state after the segment.
    """
    steps = task.segment_steps(segment)
    if name == LAZY:
        return Lie(LAZY, (steps.start, steps.stop))
    last = steps.stop - 1
    honest = Replay(task, checkpoints)
    before, after = honest.state(last), honest.state_leaves(steps.stop)
    for target in _targets(task, last, before):
        runner = StepRunner(task.program, hooks=OneUlp(target))
        if roots_of(runner.run(last, before, task.data)) != after:
            return Lie(ONE_ULP, (target.step, target.node, target.element))
    raise LookupError(f"no bit that was tried in step {last} changes the state after it")


def _targets(task: Task, step: int, before: Sequence[Tensor]) -> Iterator[Target]:
    """Elements to try of the nodes that add most, those of the largest magnitude first."""
    nodes = task.program.nodes
    phase = "(fwd)" if task.manifest.loss_state is None else "(bwd)"
    sums = [
        index
        for index, node in enumerate(nodes)
        if phase in task.manifest.origins[index] and node.terms > 1 and node.dtype is DType.F32
    ]
    sums.sort(key=lambda index: nodes[index].numel * nodes[index].terms, reverse=True)
    outputs = StepRunner(task.program).outputs(step, before, task.data, sums[:NODES])
    for index in sums[:NODES]:
        values = np.abs(np.nan_to_num(outputs[index].reshape(-1), posinf=0.0, neginf=0.0))
        for element in np.argsort(values)[::-1][:ELEMENTS]:
            yield Target(step, index, int(element))
