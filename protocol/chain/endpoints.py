"""JSON-RPC over several endpoints: the first that answers is used, the others stand by.

An endpoint that fails, or whose answer has not the form that the method's answers have, is left for
the next one. A request that only reads is tried everywhere; so is a signed transaction, which means
the same wherever it arrives.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError
from web3.providers import HTTPProvider
from web3.providers.base import JSONBaseProvider
from web3.types import RPCEndpoint, RPCResponse

from protocol.chain.answers import require_answer
from protocol.chain.bounded import BoundedSession
from protocol.chain.errors import ChainError
from protocol.chain.urls import redact_url

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

# A busy or broken gateway answers something else than JSON, late, or never.
FAILURES = (requests.RequestException, OSError, HTTPError, ValueError)


class RpcUnreachable(ChainError, ConnectionError):
    """No endpoint answers."""

    def __init__(self, failures: Sequence[tuple[str, BaseException]]) -> None:
        super().__init__(
            "the chain cannot be reached",
            "; ".join(_told(failure) for failure in failures),
            "start the node, or name others with --rpc; what was begun goes on by itself",
        )


class Endpoints(JSONBaseProvider):
    """A web3 provider over one or more HTTP endpoints.

    Args:
        urls: in order of preference.
        timeout_s: for one request to one endpoint.
    """

    def __init__(self, urls: Sequence[str], timeout_s: float = 10.0) -> None:
        super().__init__()
        if not urls:
            raise ValueError("no JSON-RPC endpoint: name at least one")
        self.urls = tuple(urls)
        # A contract must not be able to make its reader fetch addresses (EIP-3668).
        self.global_ccip_read_enabled = False
        self.requests = 0
        # No retries of web3's own: the next endpoint is the retry, and the agent's loop the pause.
        self.providers = [_provider(url, timeout_s) for url in urls]
        self._current = 0

    def __str__(self) -> str:
        """For messages."""
        return ", ".join(map(redact_url, self.urls))

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """One request. RpcUnreachable."""

        def ask(provider: HTTPProvider) -> RPCResponse:
            response = provider.make_request(method, params)
            require_answer(method, response)
            return response

        return self._anywhere(ask)

    def make_batch_request(
        self, requests: list[tuple[RPCEndpoint, Any]]
    ) -> list[RPCResponse] | RPCResponse:
        """Several requests in one message. RpcUnreachable."""

        def ask(provider: HTTPProvider) -> list[RPCResponse] | RPCResponse:
            return _ask_at_once(provider, requests)

        return self._anywhere(ask)

    def leave(self, why: str) -> None:
        """Use the next endpoint from now on, if there is one; for a reason that people are told."""
        left, self._current = self._current, (self._current + 1) % len(self.providers)
        if left != self._current:
            there = redact_url(self.urls[self._current])
            log.warning("using %s now: %s: %s", there, redact_url(self.urls[left]), why)

    def _anywhere(self, ask: Callable[[HTTPProvider], Answer]) -> Answer:
        failures: list[tuple[str, BaseException]] = []
        for turn in range(len(self.providers)):
            index = (self._current + turn) % len(self.providers)
            self.requests += 1
            try:
                answer = ask(self.providers[index])
            except FAILURES as error:
                failures.append((self.urls[index], error))
                continue
            if index != self._current:
                log.warning(
                    "using %s now: %s",
                    redact_url(self.urls[index]),
                    "; ".join(map(_told, failures)),
                )
                self._current = index
            return answer
        raise RpcUnreachable(failures)


def _provider(url: str, timeout_s: float) -> HTTPProvider:
    return HTTPProvider(
        url,
        {"timeout": timeout_s},
        session=BoundedSession(timeout_s),
        exception_retry_configuration=None,
    )


def _ask_at_once(
    provider: HTTPProvider, asked: list[tuple[RPCEndpoint, Any]]
) -> list[RPCResponse] | RPCResponse:
    """The answers in the order of the questions; one answer: an error that is about all of them."""
    try:
        answers: Any = provider.make_batch_request(asked)
        if isinstance(answers, dict) and "error" in answers:
            require_answer(asked[0][0], answers)
            return cast("RPCResponse", answers)
        if not isinstance(answers, list) or len(answers) != len(asked):
            raise ValueError(f"no list of {len(asked)} answers: {str(answers)[:80]}")
        for (method, _), answer in zip(asked, answers, strict=True):
            require_answer(method, answer)
    except (TypeError, KeyError, AttributeError) as error:  # web3 sorts answers of any form
        raise ValueError(f"no list of {len(asked)} answers: {error!r}") from error
    return cast("list[RPCResponse]", answers)


def _told(failure: tuple[str, BaseException]) -> str:
    """The endpoint and the innermost cause, without the keys that URLs may hold."""
    url, error = failure
    cause: Any = error
    while cause.args and isinstance(cause.args[0], BaseException):
        cause = cause.args[0]
    reason = getattr(cause, "reason", cause)  # where urllib3 keeps it
    text = re.sub(r"<[^>]*>: |\w+\(.*\): ", "", str(reason)) or type(reason).__name__
    text = text.replace(url, redact_url(url)).replace(urlsplit(url).path or "//", "/…")
    return f"{redact_url(url)}: {text if len(text) <= 160 else text[:157] + '...'}"
