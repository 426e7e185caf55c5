"""The loop of an agent that runs unattended: look, act, pause. What the world does does not end it.

A failure that may pass (node, store or disk) is told, waited out with growing pauses, and shows in
readiness. What fails for one task alone, a second root among it, is told and leaves the others be
(`attempts`). Anything else stops the agent, since going on could cost a stake.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import requests
from web3.exceptions import Web3Exception

from protocol.agents.process.logs import log_context
from protocol.chain.heads import Head, HeadNotTrusted
from protocol.chain.outbox import InsufficientFunds, Outcome
from protocol.training.stop import StopSignal

log = logging.getLogger(__name__)

MAX_PAUSE_S: Final = 30.0
"""Longest pause after failures: far below a clock's grace."""

PASSING: Final = (
    HeadNotTrusted,
    InsufficientFunds,
    ConnectionError,
    TimeoutError,
    OSError,  # a full disk among others
    sqlite3.OperationalError,  # the same, of the journal
    requests.RequestException,
    Web3Exception,
)
"""Failures that time, or the operator, may mend."""


class Agent(Protocol):
    """What the loop drives."""

    def tick(self) -> bool:
        """Do what is due; whether there was anything."""


class Guard(Protocol):
    """Says whether the chain can be acted on."""

    def check(self) -> Head:
        """The head, or an error."""


class Pump(Protocol):
    """Sees to transactions."""

    def pump(self) -> list[Outcome]:
        """What became of them since the last time."""


class Watcher(Protocol):
    """Hears how the loop goes; the telemetry."""

    def looked(self, head: Head) -> None:
        """The chain's head was read."""

    def became(self, outcome: Outcome) -> None:
        """A transaction was mined or lost its nonce."""

    def failed(self, error: Exception) -> None:
        """A round failed."""

    def progress(self) -> None:
        """A round was completed."""


class Daemon:
    """Drives one agent.

    Args:
        agent: what acts.
        guard: whether the chain can be acted on.
        outbox: its transactions.
        stop: the operator's wish.
        poll_s: pause between two looks when nothing is due.
        watcher: hears how it goes.
        chores: done after each round, when they think that it is time.
    """

    def __init__(
        self,
        agent: Agent,
        guard: Guard,
        outbox: Pump,
        stop: StopSignal,
        *,
        poll_s: float = 2.0,
        watcher: Watcher | None = None,
        chores: Sequence[Callable[[], None]] = (),
    ) -> None:
        self._agent = agent
        self._guard = guard
        self._outbox = outbox
        self._stop = stop
        self._poll_s = poll_s
        self._watcher = watcher
        self._chores = chores
        self._pause_s = 0.0

    def run(self, over: Callable[[], bool] = lambda: False) -> None:
        """Go on until the operator stops it, or ``over`` says so.

        Raises:
            WrongChain and whatever else no waiting mends.
        """
        while not self._stop() and not self._is_over(over):
            started = time.monotonic()
            acted = self._round()
            if self._pause_s:
                self._stop.wait(self._pause_s)
            elif not acted:
                self._stop.wait(max(0.0, self._poll_s - (time.monotonic() - started)))

    def _is_over(self, over: Callable[[], bool]) -> bool:
        try:
            return over()
        except PASSING:
            return False

    def _round(self) -> bool:
        """One look and whatever is due; whether there was anything. Sets the pause."""
        try:
            head = self._guard.check()
            if self._watcher is not None:
                self._watcher.looked(head)
            for outcome in self._outbox.pump():
                self._tell(outcome)
            acted = self._agent.tick()
            for chore in self._chores:
                chore()
        except PASSING as error:
            self._pause_s = min(max(self._pause_s * 2, self._poll_s), MAX_PAUSE_S)
            log.warning("trying again in %.1f s: %s", self._pause_s, error)
            if self._watcher is not None:
                self._watcher.failed(error)
            return False
        if self._pause_s:
            log.info("all is well again")
            self._pause_s = 0.0
        if self._watcher is not None:
            self._watcher.progress()
        return acted

    def _tell(self, outcome: Outcome) -> None:
        if self._watcher is not None:
            self._watcher.became(outcome)
        if outcome.mined is not None:
            with log_context(tx=outcome.mined.tx_hash):
                log.info(
                    "%s with nonce %d mined in block %d, %d gas",
                    *(outcome.intent.label, outcome.intent.nonce),
                    *(outcome.mined.block_number, outcome.mined.gas_used),
                )
