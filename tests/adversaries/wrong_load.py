"""One load of one term reads what its operand does not hold; the arithmetic is right."""

from __future__ import annotations

from protocol.dispute.judge import ReferenceJudge
from protocol.dispute.toy import SMALL, ToyExecution, Words


class WrongLoad(ToyExecution):
    """Lies in load ``load`` of (step, node, element, term)."""

    def __init__(
        self, step: int, node: int, element: int, term: int, load: int, *, bits: int = 0x00300000
    ) -> None:
        # High mantissa bits by default, so that rounding does not hide the lie.
        super().__init__(SMALL)
        self._bits = bits
        self._lie = (step, node, element, term)
        self._load = load

    def term(
        self, step: int, node: int, element: int, term: int, previous: int
    ) -> tuple[int, Words]:
        accumulator, words = super().term(step, node, element, term, previous)
        if (step, node, element, term) == self._lie:
            words[self._load] ^= self._bits
            data = self.program_leaves()[node]
            accumulator = ReferenceJudge().arithmetic(data, element, term, previous, words)
        return accumulator, words
