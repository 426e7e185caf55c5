"""The blocks that a reader has seen lately, with what takes back each one's events. No I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from protocol.agents.watch.undo import Undo, undo

REMEMBERED_BLOCKS: Final = 128
"""A reader goes back by so many blocks without reading everything again."""


@dataclass(frozen=True)
class Head:
    """A block that was the latest once. ``time``: seconds."""

    number: int
    hash: bytes
    parent: bytes
    time: int


@dataclass
class Step:
    """From the head before to this one: how to go back, and the tasks that events were about."""

    head: Head
    back: Undo = field(default_factory=list)
    tasks: frozenset[bytes] = frozenset()


class Trail:
    """Steps from head to head, the oldest first; never more than one for each block."""

    def __init__(self) -> None:
        self._steps: deque[Step] = deque()

    def __bool__(self) -> bool:
        """Whether there is any head."""
        return bool(self._steps)

    def __iter__(self) -> Iterator[Step]:
        """The steps, the oldest first."""
        return iter(self._steps)

    @property
    def head(self) -> Head:
        """The head of the last step."""
        return self._steps[-1].head

    def add(self, step: Step) -> list[bytes]:
        """Go a step further; tasks whose last events are too old to be taken back now."""
        self._steps.append(step)
        final: set[bytes] = set()
        while len(self._steps) > 1 and self._is_old(self._steps[1].head):
            final |= self._steps.popleft().tasks
        for later in self._steps:
            final -= later.tasks
        return list(final)

    def go_back(self) -> None:
        """Take back the last step's events. What came before the first step stays."""
        undo(self._steps.pop().back)

    def _is_old(self, head: Head) -> bool:
        return head.number <= self.head.number - REMEMBERED_BLOCKS
