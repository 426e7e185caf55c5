"""One bad task must not stop the others, nor a lost race the agent.

What an agent does for one task, claim or dispute fails alone: the failure is logged and the same
thing is tried again later, from what the chain shows then. Only a chain that nobody answers for
stops them all: they wait for the same thing. What the agent's own machine or account lacks, room on
a disk or money for gas, is raised as well, after all others had their turn: it is the operator who
must hear of it.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterable
from typing import Final

from protocol.agents.bundle import TaskRefused
from protocol.agents.duties import Due
from protocol.agents.journal import SecondRootError
from protocol.agents.process.logs import log_context
from protocol.chain.endpoints import RpcUnreachable
from protocol.chain.outbox import AlreadyPending, InsufficientFunds
from protocol.chain.reverts import Reverted

log = logging.getLogger(__name__)

FIRST_DELAY_SECONDS: Final = 1
"""After a first failure, by the chain's time: the next block. Mostly somebody else was first."""

DELAY_FACTOR: Final = 4
MAX_DELAY_SECONDS: Final = 64

OWN_TROUBLE: Final = (InsufficientFunds, OSError, sqlite3.OperationalError)
"""No fault of what was tried: the agent's disk, store, journal or purse."""

REMEMBERED: Final = 1_024
"""Keys after which those that may be tried again are forgotten."""


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

        An agent that is killed (any BaseException that is no Exception) is not held up. Nor is one
        whose transaction is on its way: it did nothing now.

        Raises:
            RpcUnreachable: nobody answers for the chain; that is no fault of ``key``.
            InsufficientFunds, OSError, sqlite3.OperationalError: what the agent itself lacks;
                ``key`` waits as after any failure.
        """
        if self._now() < self._retry_at.get(key, 0):
            return False
        try:
            done = act()
        except RpcUnreachable:
            raise
        except OWN_TROUBLE:
            self._put_off(key)
            raise
        except AlreadyPending:
            return False
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
            if self._retry_at.get(key, 0) <= self._now():
                self._retry_at.pop(key, None)
            return done
        self._put_off(key)
        return False

    def make_all(self, dues: Iterable[Due], did: Callable[[], None] | None = None) -> bool:
        """Try all that is due, the tightest deadline first; whether anything was done.

        Args:
            dues: in any order.
            did: called after each that did something.

        Raises:
            RpcUnreachable: at once.
            InsufficientFunds, OSError, sqlite3.OperationalError: the first, after all were tried.
        """
        any_done = False
        trouble: Exception | None = None
        for due in sorted(dues, key=lambda due: due.deadline):
            try:
                done = self.carry_out(due)
            except RpcUnreachable:
                raise
            except OWN_TROUBLE as error:
                log.warning("0x%s: %s", due.key.hex(), error)
                trouble = trouble or error
                continue
            if done:
                any_done = True
                if did is not None:
                    did()
        if trouble is not None:
            raise trouble
        return any_done

    def carry_out(self, due: Due) -> bool:
        """As `make`, with what it is about in the log."""
        with log_context(**due.about):
            return self.make(due.key, due.act)

    def _put_off(self, key: bytes) -> None:
        """Wait longer than the last time."""
        delay = self._delay.get(key, FIRST_DELAY_SECONDS)
        self._delay[key] = min(delay * DELAY_FACTOR, MAX_DELAY_SECONDS)
        self.postpone(key, delay)

    def postpone(self, key: bytes, seconds: int) -> None:
        """Leave ``key`` alone for some seconds."""
        now = self._now()
        if len(self._retry_at) >= REMEMBERED:
            # Long enough after a retry was due, nobody has come back to it: it has ended.
            over = [k for k, at in self._retry_at.items() if at + MAX_DELAY_SECONDS < now]
            for old in over:
                del self._retry_at[old]
                self._delay.pop(old, None)
        self._retry_at[key] = now + seconds
