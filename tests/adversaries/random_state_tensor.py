"""The root of one state tensor after a step is a hash out of thin air; the trace is honest."""

from __future__ import annotations

from protocol.dispute.toy import SMALL, ToyConfig, ToyExecution
from tests.adversaries.lies import opaque, random_hash


class RandomStateTensor(ToyExecution):
    """Invents state tensor ``index`` after step ``step``; with ``hidden`` even its leaf."""

    def __init__(
        self, step: int, index: int, config: ToyConfig = SMALL, *, hidden: bool = False
    ) -> None:
        super().__init__(config)
        self._step = step
        self._index = index
        self._leaf = opaque("state tensor") if hidden else random_hash("state tensor")

    def state_leaves(self, step: int) -> list[bytes]:
        leaves = super().state_leaves(step)
        if step == self._step + 1:
            leaves[self._index] = self._leaf
        return leaves
