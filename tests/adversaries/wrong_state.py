"""One state tensor after a step is not the output that its binding names."""

from __future__ import annotations

from protocol.dispute.toy import SMALL, ToyConfig, ToyExecution
from tests.adversaries.lies import flipped


class WrongState(ToyExecution):
    """Lies in state tensor ``index`` after step ``step``."""

    def __init__(self, step: int, index: int, config: ToyConfig = SMALL) -> None:
        super().__init__(config)
        self._lie = (step + 1, index)

    def compute_state(self, step: int, index: int) -> bytes:
        stored = super().compute_state(step, index)
        return flipped(stored, 0) if (step, index) == self._lie else stored
