"""Two state tensors of one shape change places: honest tensors under the wrong names."""

from __future__ import annotations

from protocol.dispute.toy import SMALL, ToyConfig, ToyExecution


class SwappedStates(ToyExecution):
    """After step ``step`` state tensors ``first`` and ``second`` hold each other's value."""

    def __init__(self, step: int, first: int, second: int, config: ToyConfig = SMALL) -> None:
        super().__init__(config)
        self._step = step
        self._other = {first: second, second: first}

    def compute_state(self, step: int, index: int) -> bytes:
        if step == self._step + 1:
            index = self._other.get(index, index)
        return super().compute_state(step, index)
