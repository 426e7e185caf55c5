"""One checkpoint of the log is a hash out of thin air; the segment that leads to it is honest."""

from __future__ import annotations

from protocol.dispute.toy import SMALL, ToyConfig, ToyExecution
from tests.adversaries.lies import random_hash


class RandomCheckpoint(ToyExecution):
    """Invents checkpoint ``segment`` of the log."""

    def __init__(self, segment: int, config: ToyConfig = SMALL) -> None:
        super().__init__(config)
        self._segment = segment

    def log_leaves(self) -> list[bytes]:
        leaves = super().log_leaves()
        leaves[self._segment] = random_hash("checkpoint")
        return leaves
