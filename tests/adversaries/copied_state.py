"""The state after a step is the state before it: a step that never happened."""

from __future__ import annotations

from protocol.dispute.toy import SMALL, ToyConfig, ToyExecution


class CopiedState(ToyExecution):
    """Skips step ``step``, though its trace is honest."""

    def __init__(self, step: int, config: ToyConfig = SMALL) -> None:
        super().__init__(config)
        self._step = step

    def compute_state(self, step: int, index: int) -> bytes:
        if step == self._step + 1:
            return self.state_tensor(step - 1, index)
        return super().compute_state(step, index)
