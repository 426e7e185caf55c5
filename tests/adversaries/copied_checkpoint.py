"""One checkpoint of the log repeats the one before it: a segment that was never trained."""

from __future__ import annotations

from protocol.dispute.toy import SMALL, ToyConfig, ToyExecution


class CopiedCheckpoint(ToyExecution):
    """Checkpoint ``segment`` is checkpoint ``segment - 1``, and so is every state between."""

    def __init__(self, segment: int, config: ToyConfig = SMALL) -> None:
        super().__init__(config)
        self._first = config.interval * (segment - 1)
        self._last = min(self._first + config.interval, config.steps)

    def compute_state(self, step: int, index: int) -> bytes:
        if self._first < step <= self._last:
            return self.state_tensor(self._first, index)
        return super().compute_state(step, index)
