"""A whole task by every engine: the same roots of all states, logs and traces."""

from __future__ import annotations

from protocol.capture.captured import Captured
from protocol.kernels.executor import Compiled, Executor
from protocol.kernels.isa import instruction_sets
from protocol.training.replay import Replay
from protocol.training.task import Task


def engines() -> list[Executor]:
    """The best and the plainest instruction set, all forms of compilation, one or two threads."""
    sets = {instruction_sets()[0], instruction_sets()[-1]}
    return [
        Executor(threads, isa=isa, compiled=compiled)
        for threads, isa in enumerate(sorted(sets), start=1)
        for compiled in Compiled
    ]


def roots(task: Task, executor: Executor) -> list[list[bytes]]:
    """Roots of every state (by whole steps) and of every node output (node by node)."""
    replay = Replay(task, executor=executor)
    states = [replay.state_leaves(step) for step in range(task.manifest.steps + 1)]
    traced = Replay(task, executor=executor)  # goes from trace to trace
    traces = [traced.trace_leaves(step) for step in range(task.manifest.steps)]
    assert traced.state_leaves(task.manifest.steps) == states[-1]
    return [replay.log_leaves(), *states, *traces]


def assert_engines_agree(captured: Captured) -> Task:
    """The captured task, once every engine has computed the same of it."""
    task = Task.create(**captured.parts())
    first, *others = (roots(task, executor) for executor in engines())
    assert all(other == first for other in others)
    assert len({state[0] for state in first[1 : task.manifest.steps + 2]}) > 1  # it moved
    return task
