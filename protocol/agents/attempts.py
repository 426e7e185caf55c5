"""One bad task must not stop the others, nor a lost race the agent.

What an agent does for one task, claim or dispute fails alone: the failure is logged and the same
thing is tried again later, from what the chain shows then.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from protocol.agents.bundle import TaskRefused
from protocol.agents.journal import SecondRootError
from protocol.chain.reverts import Reverted

log = logging.getLogger(__name__)

FIRST_DELAY_SECONDS: Final = 1
"""After a first failure, by the chain's time: the next block. Mostly somebody else was first."""

DELAY_FACTOR: Final = 4
MAX_DELAY_SECONDS: Final = 64


class Attempts:
    """Tries things, and waits longer after each failure.

    Args:
        now: the chain's time, seconds.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._retry_at: dict[bytes, int] = {}
        self._delay: dict[bytes, int] = {}

    def make(self, key: bytes, act: Callable[[], bool]) -> bool:
        """Whether ``act`` did something for ``key``; False if it failed, or waits after failures.

        An agent that is killed (any BaseException that is no Exception) is not held up.
        """
        if self._now() < self._retry_at.get(key, 0):
            return False
        try:
            done = act()
        except Reverted as refusal:
            log.warning("0x%s: %s; looking again in a moment", key.hex(), refusal)
        except TaskRefused as refusal:
            log.warning("0x%s: %s", key.hex(), refusal)
        except SecondRootError as error:
            log.critical("0x%s: %s", key.hex(), error)
        except Exception:
            log.exception("0x%s: left alone for now", key.hex())
        else:
            self._delay.pop(key, None)
            return done
        delay = self._delay.get(key, FIRST_DELAY_SECONDS)
        self._delay[key] = min(delay * DELAY_FACTOR, MAX_DELAY_SECONDS)
        self.postpone(key, delay)
        return False

    def postpone(self, key: bytes, seconds: int) -> None:
        """Leave ``key`` alone for some seconds."""
        self._retry_at[key] = self._now() + seconds
