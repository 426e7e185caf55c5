"""A tensor that goes on after its end: every element is right, and so is the number of chunks."""

from __future__ import annotations

from protocol.dispute.toy import SMALL, ToyConfig, ToyExecution


class LongTensor(ToyExecution):
    """Appends four bytes to the last chunk of a node's output in step ``step``."""

    def __init__(self, step: int, node: int, config: ToyConfig = SMALL) -> None:
        super().__init__(config)
        self._lie = (step, node)

    def compute_output(self, step: int, node: int) -> bytes:
        stored = super().compute_output(step, node)
        return stored + bytes(4) if (step, node) == self._lie else stored
