"""JSON-RPC over several endpoints: the first that answers is used, the others stand by.

An endpoint that fails is left for the next one. A request that only reads is tried everywhere; so
is a signed transaction, which means the same wherever it arrives.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import requests
from web3.providers import HTTPProvider
from web3.providers.base import JSONBaseProvider
from web3.types import RPCEndpoint, RPCResponse

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

# What a busy or broken gateway answers in place of JSON.
_FAILURES = (requests.RequestException, ConnectionError, TimeoutError, ValueError)


class RpcUnreachable(ConnectionError):
    """No endpoint answers."""

    def __init__(self, failures: Sequence[tuple[str, BaseException]]) -> None:
        tried = "; ".join(f"{url}: {_short(error)}" for url, error in failures)
        super().__init__(
            f"no JSON-RPC endpoint answers ({tried}); start the node, or name others with --rpc"
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
        return ", ".join(self.urls)

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
                log.warning("using %s: %s", self.urls[index], "; ".join(map(_told, failures)))
                self._current = index
            return answer
        raise RpcUnreachable(failures)


def _answered(response: RPCResponse) -> RPCResponse:
    """The response, unless it is none: null, or a list where one answer belongs."""
    if not isinstance(response, dict) or not ({"result", "error"} & set(response)):
        raise ValueError(f"neither a result nor an error: {str(response)[:80]}")
    return response


def _told(failure: tuple[str, BaseException]) -> str:
    return f"{failure[0]} failed: {_short(failure[1])}"


def _short(error: BaseException) -> str:
    """The cause without the client's own nesting."""
    text = str(error.__cause__ or error) or type(error).__name__
    return text if len(text) <= 160 else f"{text[:157]}..."
