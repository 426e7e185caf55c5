"""The operator's wish to stop, by signals."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

log = logging.getLogger(__name__)

NAP_S: Final = 0.1
"""How soon a pause notices the wish."""


class StopSignal:
    """A first SIGINT or SIGTERM is a wish; a second is carried out at once."""

    def __init__(self) -> None:
        # A plain flag: a signal's handler may interrupt anything, also whoever holds a lock.
        self._is_wished = False

    def __call__(self) -> bool:
        """Whether to stop."""
        return self._is_wished

    def set(self) -> None:
        """Wish to stop."""
        self._is_wished = True

    def wait(self, seconds: float) -> bool:
        """Pause, or return soon when the wish comes; whether it came."""
        end = time.monotonic() + seconds
        while not self._is_wished and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, NAP_S))
        return self._is_wished

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Listen to SIGINT and SIGTERM while within."""
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        for number in before:
            signal.signal(number, self._on_signal)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if self._is_wished:
            log.warning("stopped at once by a second %s", name)
            os._exit(128 + number)
        self._is_wished = True  # before anything else: the second may come at any moment
        log.info("%s: stopping after this step; once more stops at once", name)
