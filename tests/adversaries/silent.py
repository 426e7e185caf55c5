"""A liar that commits, and then shows nothing at one level."""

from __future__ import annotations

from protocol.dispute.execution import Withheld
from protocol.dispute.state import Level
from tests.adversaries.wrong_arithmetic import WrongArithmetic


class Silent(WrongArithmetic):
    """Lies in the arithmetic of step 4, and shows no tree of ``level``."""

    def __init__(self, level: Level) -> None:
        super().__init__(4, 2, 7, 0)
        self._level = Level.NONE
        self.log_leaves()
        for step in range(self.steps):
            self.trace_leaves(step)
            self.state_leaves(step + 1)
        self._level = level

    def _show(self, level: Level) -> None:
        if level is self._level:
            raise Withheld(f"the {level.name.lower()} is withheld")

    def segment_leaves(self, segment: int) -> list[bytes]:
        self._show(Level.SEGMENT)
        return super().segment_leaves(segment)

    def trace_leaves(self, step: int) -> list[bytes]:
        self._show(Level.TRACE)
        return super().trace_leaves(step)

    def node_output(self, step: int, node: int) -> bytes:
        self._show(Level.TENSOR)
        return super().node_output(step, node)

    def fold_leaves(self, step: int, node: int, element: int) -> list[bytes]:
        self._show(Level.FOLD)
        return super().fold_leaves(step, node, element)
