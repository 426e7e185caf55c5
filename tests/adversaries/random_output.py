"""The tensor root of one node's output is a hash out of thin air, and the state follows it."""

from __future__ import annotations

from protocol.dispute.toy import SMALL, ToyConfig, ToyExecution
from protocol.program.node import OperandKind
from tests.adversaries.lies import random_hash


class RandomOutput(ToyExecution):
    """Invents the output root of ``node`` in step ``step``."""

    def __init__(self, step: int, node: int, config: ToyConfig = SMALL) -> None:
        super().__init__(config)
        self._step = step
        self._node = node

    def trace_leaves(self, step: int) -> list[bytes]:
        leaves = super().trace_leaves(step)
        if step == self._step:
            leaves[self._node] = random_hash("output")
        return leaves

    def state_leaves(self, step: int) -> list[bytes]:
        leaves = super().state_leaves(step)
        if step == self._step + 1:
            for q, binding in enumerate(self.program.bindings):
                if (binding.kind, binding.index) == (OperandKind.NODE, self._node):
                    leaves[q] = random_hash("output")
        return leaves
