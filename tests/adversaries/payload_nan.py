"""One element is a NaN with a payload: arithmetic would never tell it from the canonical one."""

from __future__ import annotations

import struct

from protocol.dispute.toy import SMALL, ToyConfig, ToyExecution
from tests.adversaries.lies import with_accumulator

PAYLOAD_NAN = 0x7FC00001


class PayloadNan(ToyExecution):
    """Stores it as an f32 element, and ends the element's fold with it."""

    def __init__(self, step: int, node: int, element: int, config: ToyConfig = SMALL) -> None:
        super().__init__(config)
        self._lie = (step, node, element)

    def compute_output(self, step: int, node: int) -> bytes:
        stored = bytearray(super().compute_output(step, node))
        if (step, node) == self._lie[:2]:
            struct.pack_into("<I", stored, 4 * self._lie[2], PAYLOAD_NAN)
        return bytes(stored)

    def fold_leaves(self, step: int, node: int, element: int) -> list[bytes]:
        leaves = super().fold_leaves(step, node, element)
        if (step, node, element) == self._lie:
            leaves[-1] = with_accumulator(leaves[-1], PAYLOAD_NAN)
        return leaves
