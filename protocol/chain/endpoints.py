"""JSON-RPC over several endpoints: the first that answers is used, the others stand by.

An endpoint that fails is left for the next one. A request that only reads is tried everywhere; so
is a signed transaction, which means the same wherever it arrives.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
from web3.providers import HTTPProvider
from web3.providers.base import JSONBaseProvider
from web3.types import RPCEndpoint, RPCResponse

from protocol.chain.errors import ChainError
from protocol.chain.urls import redact_url

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

# What a busy or broken gateway answers in place of JSON.
_FAILURES = (requests.RequestException, ConnectionError, TimeoutError, ValueError)


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
        self.providers = [
            HTTPProvider(url, {"timeout": timeout_s}, exception_retry_configuration=None)
            for url in urls
        ]
        self._current = 0

    def __str__(self) -> str:
        """For messages."""
        return ", ".join(map(redact_url, self.urls))

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """One request. RpcUnreachable."""
        return self._anywhere(lambda provider: _answered(provider.make_request(method, params)))

    def make_batch_request(
        self, requests: list[tuple[RPCEndpoint, Any]]
    ) -> list[RPCResponse] | RPCResponse:
        """Several requests in one message. RpcUnreachable."""
        return self._anywhere(lambda provider: provider.make_batch_request(requests))

    def _anywhere(self, ask: Callable[[HTTPProvider], Answer]) -> Answer:
        failures: list[tuple[str, BaseException]] = []
        for turn in range(len(self.providers)):
            index = (self._current + turn) % len(self.providers)
            self.requests += 1
            try:
                answer = ask(self.providers[index])
            except _FAILURES as error:
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


def _answered(response: RPCResponse) -> RPCResponse:
    """The response, unless it is none: null, or a list where one answer belongs."""
    told: Any = response
    if not isinstance(told, dict) or not ({"result", "error"} & set(told)):
        raise ValueError(f"neither a result nor an error: {str(told)[:80]}")
    return response


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
