"""Whether what an endpoint says of the chain's end can be acted on.

A node can lag, stop, or lie. What it says is believed only while its latest block is fresh by this
machine's clock, and while all endpoints that answer tell one and the same chain. Otherwise the
agent goes on looking, sends nothing new, and says that it is not ready: a wrong move is worse than
a late one, and clocks have a grace.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import requests
from web3.providers import HTTPProvider

from protocol.chain.endpoints import Endpoints
from protocol.chain.errors import ChainError
from protocol.chain.urls import redact_url

log = logging.getLogger(__name__)

MAX_AGE_S: Final = 180
"""A head older than this is that of a node which does not follow the chain."""

MAX_AHEAD_S: Final = 60
"""A head later than this machine's clock: one of the two is wrong."""

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
        clock: seconds since 1970; for tests.
    """

    def __init__(
        self,
        endpoints: Endpoints,
        *,
        max_age_s: int = MAX_AGE_S,
        max_ahead_s: int = MAX_AHEAD_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._endpoints = endpoints
        self._max_age_s = max_age_s
        self._max_ahead_s = max_ahead_s
        self._clock = clock

    def check(self) -> Head:
        """The head of the endpoint in use.

        Raises:
            HeadNotTrusted: too old, from the future, or endpoints tell different chains.
            RpcUnreachable: nobody answers.
        """
        answer = self._endpoints.make_request("eth_getBlockByNumber", ["latest", False])  # type: ignore[arg-type]
        head = _head(answer)
        if head is None:
            raise HeadNotTrusted(
                "the endpoint has no latest block", str(answer)[:200], "use another with --rpc"
            )
        self._require_fresh(head)
        if len(self._endpoints.providers) > 1:
            self._require_agreement()
        return head

    def _require_fresh(self, head: Head) -> None:
        age = self._clock() - head.time_s
        if self._max_age_s and age > self._max_age_s:
            raise HeadNotTrusted(
                "the endpoint does not follow the chain",
                f"its latest block {head.number} is {age:.0f} s old, at most {self._max_age_s} s "
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
    except (requests.RequestException, OSError, ValueError) as error:
        log.debug("%s does not answer: %s", redact_url(str(provider.endpoint_uri)), error)
        return None


def _head(answer: Any) -> Head | None:
    try:
        block = answer["result"]
        return Head(int(block["number"], 16), str(block["hash"]), int(block["timestamp"], 16))
    except (TypeError, KeyError, ValueError):
        return None
