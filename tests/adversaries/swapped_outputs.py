"""The trace lists two nodes' outputs in each other's place, and the state follows it."""

from __future__ import annotations

from protocol.dispute.toy import SMALL, ToyConfig, ToyExecution
from protocol.program.node import OperandKind


class SwappedOutputs(ToyExecution):
    """In step ``step`` nodes ``first`` and ``second``, of one size, carry each other's output."""

    def __init__(self, step: int, first: int, second: int, config: ToyConfig = SMALL) -> None:
        super().__init__(config)
        self._step = step
        self._other = {first: second, second: first}

    def trace_leaves(self, step: int) -> list[bytes]:
        leaves = super().trace_leaves(step)
        if step != self._step:
            return leaves
        return [leaves[self._other.get(node, node)] for node in range(len(leaves))]

    def compute_state(self, step: int, index: int) -> bytes:
        binding = self.program.bindings[index]
        if step == self._step + 1 and binding.kind is OperandKind.NODE:
            return self.node_output(step - 1, self._other.get(binding.index, binding.index))
        return super().compute_state(step, index)
