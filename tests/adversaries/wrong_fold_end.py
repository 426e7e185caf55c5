"""A fold whose terms are all honest but the last accumulator, which is the false element's."""

from __future__ import annotations

from tests.adversaries.lies import with_accumulator
from tests.adversaries.wrong_element import WrongElement


class WrongFoldEnd(WrongElement):
    """Backs a false element with a fold that jumps to it in its last term."""

    def fold_leaves(self, step: int, node: int, element: int) -> list[bytes]:
        leaves = super().fold_leaves(step, node, element)
        width = self.node(node).dtype.width
        at = element * width
        stored = self.node_output(step, node)[at : at + width]
        leaves[-1] = with_accumulator(leaves[-1], int.from_bytes(stored, "little"))
        return leaves
