"""Whether what an endpoint says of the chain's end can be acted on.

A node can lag, stop, or lie. What it says is believed only while its latest block is fresh by this
machine's clock, not far below one that was seen before, and while all endpoints that answer tell
one and the same chain. Otherwise the agent goes on looking, at the next endpoint if there is one,
sends nothing new, and says that it is not ready: a wrong move is worse than a late one, and clocks
have a grace.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from web3.providers import HTTPProvider

from protocol.chain.endpoints import FAILURES, Endpoints
from protocol.chain.errors import ChainError
from protocol.chain.urls import redact_url

log = logging.getLogger(__name__)

MAX_AGE_S: Final = 180
"""A head older than this is that of a node which does not follow the chain."""

MAX_AHEAD_S: Final = 60
"""A head later than this machine's clock: one of the two is wrong."""

MAX_BACK: Final = 128
"""Blocks: a head so far below one that was seen is no reorganisation, it is another chain's."""

DEPTH: Final = 6
"""Blocks below the lower head at which endpoints are compared; above they may honestly differ."""


class HeadNotTrusted(ChainError):
    """What the endpoints say of the latest block cannot be acted on."""


@dataclass(frozen=True)
class Head:
    """The latest block of an endpoint. Time in seconds since 1970."""

    number: int
    block_hash: str
    time_s: int


class HeadGuard:
    """Looks at the heads of all endpoints.

    Args:
        endpoints: whose.
        max_age_s: how old a head may be; 0: any age (chains that mine only transactions).
        max_ahead_s: how far ahead of the clock; 0: any (devnets that travel in time).
        max_back: how many blocks below the highest head that was seen; 0: any number.
        clock: seconds since 1970; for tests.
    """

    def __init__(
        self,
        endpoints: Endpoints,
        *,
        max_age_s: int = MAX_AGE_S,
        max_ahead_s: int = MAX_AHEAD_S,
        max_back: int = MAX_BACK,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._endpoints = endpoints
        self.max_age_s = max_age_s
        self._max_ahead_s = max_ahead_s
        self._max_back = max_back
        self._clock = clock
        self._highest = 0

    def check(self) -> Head:
        """The head of the endpoint in use.

        Raises:
            HeadNotTrusted: too old, from the future or far below an earlier one: then the next look
                is at the next endpoint; or endpoints tell different chains.
            RpcUnreachable: nobody answers.
        """
        try:
            head = self._look()
        except HeadNotTrusted as error:
            self._endpoints.leave(error.what)
            raise
        if len(self._endpoints.providers) > 1:
            self._require_agreement()
        self._highest = max(self._highest, head.number)
        return head

    def _look(self) -> Head:
        answer = self._endpoints.make_request("eth_getBlockByNumber", ["latest", False])  # type: ignore[arg-type]
        head = _head(answer)
        if head is None:
            raise HeadNotTrusted(
                "the endpoint has no latest block", str(answer)[:200], "use another with --rpc"
            )
        self._require_fresh(head)
        self._require_near(head)
        return head

    def _require_fresh(self, head: Head) -> None:
        age = self._clock() - head.time_s
        if self.max_age_s and age > self.max_age_s:
            raise HeadNotTrusted(
                "the endpoint does not follow the chain",
                f"its latest block {head.number} is {age:.0f} s old, at most {self.max_age_s} s "
                "are believed",
                "wait until it has caught up, or name another with --rpc",
            )
        if self._max_ahead_s and -age > self._max_ahead_s:
            raise HeadNotTrusted(
                "the endpoint's time is not this machine's",
                f"its latest block {head.number} is {-age:.0f} s in the future, at most "
                f"{self._max_ahead_s} s are believed",
                "set this machine's clock (NTP), or name another endpoint with --rpc",
            )

    def _require_near(self, head: Head) -> None:
        if self._max_back and head.number < self._highest - self._max_back:
            raise HeadNotTrusted(
                "the endpoint has gone back",
                f"its latest block is {head.number}, {self._highest} was seen before, at most "
                f"{self._max_back} blocks less are believed",
                "wait until it has caught up, or name another with --rpc; if the chain itself was "
                "taken back so far, start the agent again",
            )

    def _require_agreement(self) -> None:
        """All endpoints that answer must have the same block a little below the lowest head."""
        heads: list[tuple[HTTPProvider, Head]] = []
        for provider in self._endpoints.providers:
            head = _head(_ask(provider, ["latest", False]))
            if head is not None:
                heads.append((provider, head))
        common = max(min((head.number for _, head in heads), default=0) - DEPTH, 0)
        told: dict[str, str] = {}
        for provider, _ in heads:
            block = _head(_ask(provider, [hex(common), False]))
            if block is not None:
                told[block.block_hash] = redact_url(str(provider.endpoint_uri))
        if len(told) > 1:
            raise HeadNotTrusted(
                "the endpoints tell different chains",
                f"block {common} is "
                + ", ".join(f"{block_hash} by {url}" for block_hash, url in told.items()),
                "find out which one lies or is on a branch, and leave it out of --rpc",
            )


def _ask(provider: HTTPProvider, params: list[Any]) -> Any:
    """A block; None if the endpoint does not answer, which is `Endpoints`' concern."""
    try:
        return provider.make_request("eth_getBlockByNumber", params)
    except FAILURES as error:
        log.debug("%s does not answer: %s", redact_url(str(provider.endpoint_uri)), error)
        return None


def _head(answer: Any) -> Head | None:
    try:
        block = answer["result"]
        return Head(int(block["number"], 16), str(block["hash"]), int(block["timestamp"], 16))
    except (TypeError, KeyError, ValueError):
        return None
