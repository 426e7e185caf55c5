"""One accumulator of one fold has one bit wrong; everything after it is computed from there."""

from __future__ import annotations

from protocol.dispute.toy import SMALL, ToyConfig, ToyExecution, Words


class WrongArithmetic(ToyExecution):
    """Lies in the arithmetic of (step, node, element, term), by one ulp unless ``bit`` is given."""

    def __init__(
        self,
        step: int,
        node: int,
        element: int,
        term: int,
        config: ToyConfig = SMALL,
        *,
        bit: int = 1,
    ) -> None:
        super().__init__(config)
        self._bit = bit
        self._lie = (step, node, element, term)

    def term(
        self, step: int, node: int, element: int, term: int, previous: int
    ) -> tuple[int, Words]:
        accumulator, words = super().term(step, node, element, term, previous)
        is_lie = (step, node, element, term) == self._lie
        return (accumulator ^ self._bit if is_lie else accumulator), words
