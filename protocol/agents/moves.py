"""Moves that were chosen, until their situation changes.

A transaction on its way is not seen on the chain yet. Whoever looks again meanwhile must send the
same bytes, also if files that a move was chosen by have come or gone; and not compute them again.
"""

from __future__ import annotations

from collections.abc import Callable, Container

from protocol.dispute.moves import PositionMove
from protocol.dispute.situation import Situation


class Moves:
    """One move for each dispute."""

    def __init__(self) -> None:
        self._chosen: dict[bytes, tuple[Situation, PositionMove]] = {}

    def of(
        self, dispute_id: bytes, situation: Situation, choose: Callable[[], PositionMove | None]
    ) -> PositionMove | None:
        """The move chosen in this situation, now or before; None if there is none."""
        before = self._chosen.get(dispute_id)
        if before is not None and before[0] == situation:
            return before[1]
        move = choose()
        if move is not None:
            self._chosen[dispute_id] = situation, move
        return move

    def forget(self, dispute_id: bytes) -> None:
        """Choose anew: the contract refused the move."""
        self._chosen.pop(dispute_id, None)

    def keep_only(self, disputes: Container[bytes]) -> None:
        """Forget all other disputes."""
        for dispute_id in [d for d in self._chosen if d not in disputes]:
            del self._chosen[dispute_id]
