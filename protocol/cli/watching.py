"""Follows disputes as they are played."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from protocol.cli.moves import Follower, Moves
from protocol.cli.output import say
from protocol.dispute.state import is_final

if TYPE_CHECKING:
    from protocol.cli.live import Live
    from protocol.cli.moves import Move


class WatchTimeout(Exception):
    """The dispute had not ended when the time was over."""


def follow(
    live: Live,
    dispute_id: bytes | None,
    *,
    poll_s: float,
    timeout_s: float | None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Move]:
    """Yield the moves of one dispute, those made already first, until it ends; or of all disputes.

    Args:
        live: the deployment.
        dispute_id: which dispute; None: all, from now on.
        poll_s: pause between two looks.
        timeout_s: stop after this time; None: never.
        clock: seconds; for tests.
        sleep: waits; for tests.

    Raises:
        WatchTimeout: one dispute was watched, and has not ended in time.
        RpcUnreachable: nobody answers.
    """
    end = None if timeout_s is None else clock() + timeout_s
    follower = Follower(live)
    told: set[tuple[bytes, int]] = set()
    if dispute_id is not None:
        record = live.reader.book.disputes[dispute_id]
        for move in Moves(live).of(record, follower.block):
            told.add((move.transaction, move.block))
            yield move
            if move.state is not None and is_final(move.state):
                return
    while True:
        news, replaced = follower.news()
        if replaced:
            say("blocks were replaced: moves of the new ones are told again")
        for move in news:
            if dispute_id not in (None, move.dispute_id):
                continue
            if (move.transaction, move.block) in told:
                continue
            yield move
            if dispute_id is not None and move.state is not None and is_final(move.state):
                return
        if end is not None and clock() >= end:
            if dispute_id is None:
                return
            raise WatchTimeout
        sleep(poll_s)
