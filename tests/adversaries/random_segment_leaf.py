"""One leaf of a segment's tree is only a hash: no state root can be shown for that step."""

from __future__ import annotations

from protocol.dispute.toy import SMALL, ToyConfig, ToyExecution
from tests.adversaries.lies import opaque


class RandomSegmentLeaf(ToyExecution):
    """Invents the leaf's hash for step ``step``."""

    def __init__(self, step: int, config: ToyConfig = SMALL) -> None:
        super().__init__(config)
        self._step = step

    def segment_leaves(self, segment: int) -> list[bytes]:
        leaves = super().segment_leaves(segment)
        at = self._step - (segment - 1) * self.interval
        if 0 <= at < len(leaves):
            leaves[at] = opaque("segment leaf")
        return leaves
