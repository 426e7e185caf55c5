"""One chunk of a node's output is a hash out of thin air."""

from __future__ import annotations

from protocol.dispute.toy import SMALL, ToyConfig, ToyExecution
from protocol.dispute.trees import PartialTensor
from tests.adversaries.lies import opaque


class RandomChunk(ToyExecution):
    """Invents chunk ``chunk`` of the output of ``node`` in step ``step``."""

    def __init__(self, step: int, node: int, chunk: int, config: ToyConfig = SMALL) -> None:
        super().__init__(config)
        self._lie = (step, node)
        self._chunk = chunk

    def compute_output(self, step: int, node: int) -> bytes:
        stored = super().compute_output(step, node)
        if (step, node) != self._lie:
            return stored
        return PartialTensor(stored, {self._chunk: opaque("chunk")})
