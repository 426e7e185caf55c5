"""One element of a stored output is not what its fold gives; the fold itself is honest."""

from __future__ import annotations

from protocol.dispute.toy import SMALL, ToyConfig, ToyExecution
from tests.adversaries.lies import flipped


class WrongElement(ToyExecution):
    """Lies in element ``element`` of a node's stored output."""

    def __init__(
        self, step: int, node: int, element: int, config: ToyConfig = SMALL, *, byte: int = 0
    ) -> None:
        super().__init__(config)
        self._byte = byte
        self._lie = (step, node)
        self._element = element

    def compute_output(self, step: int, node: int) -> bytes:
        stored = super().compute_output(step, node)
        if (step, node) != self._lie:
            return stored
        return flipped(stored, self._element * self.node(node).dtype.width + self._byte)
