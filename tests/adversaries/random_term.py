"""One leaf of a fold is a hash out of thin air, in a fold that ends at a wrong element."""

from __future__ import annotations

from protocol.dispute.execution import Opaque
from protocol.dispute.toy import SMALL, ToyConfig
from tests.adversaries.lies import opaque, with_accumulator
from tests.adversaries.wrong_element import WrongElement


class RandomTerm(WrongElement):
    """Invents leaf ``term`` of the fold of (step, node, element)."""

    def __init__(
        self, step: int, node: int, element: int, term: int, config: ToyConfig = SMALL
    ) -> None:
        # A high mantissa bit of an f32, so that rounding does not hide the lie.
        super().__init__(step, node, element, config, byte=2)
        self._target = (step, node, element)
        self._term = term

    def fold_leaves(self, step: int, node: int, element: int) -> list[bytes]:
        leaves = super().fold_leaves(step, node, element)
        if (step, node, element) == self._target:
            width = self.node(node).dtype.width
            at = element * width
            stored = self.node_output(step, node)[at : at + width]
            leaves[-1] = with_accumulator(leaves[-1], int.from_bytes(stored, "little"))
            leaves[self._term] = Opaque(opaque("term"))
        return leaves
