"""The root of one state is a hash out of thin air, in the log and in the segment alike."""

from __future__ import annotations

from protocol.dispute.toy import SMALL, ToyConfig, ToyExecution
from tests.adversaries.lies import random_hash


class RandomState(ToyExecution):
    """Invents the root of the state after step ``step``."""

    def __init__(self, step: int, config: ToyConfig = SMALL) -> None:
        super().__init__(config)
        self._step = step

    def state_root(self, step: int) -> bytes:
        if step == self._step + 1:
            return random_hash("state")
        return super().state_root(step)
