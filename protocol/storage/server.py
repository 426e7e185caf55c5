"""A solver's own HTTP server: read-only, objects only, and no client can hold it up.

It runs in a thread of the agent's process. Everything it sends is public, and whoever reads checks
what came; so it needs neither accounts nor TLS (put a proxy in front for a name and a certificate).
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import Counter
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_exceptions import HttpProcessingError

from protocol.storage.errors import READ_MORE, StoreUnusable
from protocol.storage.objects import parse_path
from protocol.storage.store import ContentStore

log = logging.getLogger(__name__)

FOREVER: Final = "public, max-age=31536000, immutable"
"""An object's name is its hash: caches may keep it."""


@dataclass(frozen=True)
class ServerLimits:
    """What clients may cost the server.

    Attributes:
        concurrent: requests answered at a time; further ones get 503 and ``Retry-After``.
        per_client: the same for one address, with 429. Behind a proxy all have one address.
        connections: open connections; further ones are closed at once.
        connections_per_client: the same for one address.
        retry_s: what ``Retry-After`` says.
        header_s: seconds for a request's head, and for a connection without a request.
        write_s: seconds for an answer, and one more for each ``least_bytes_per_s`` bytes.
        least_bytes_per_s: the slowest reader that is waited for.
        object_bytes: larger objects are not served.
    """

    concurrent: int = 64
    per_client: int = 16
    connections: int = 512
    connections_per_client: int = 64
    retry_s: int = 1
    header_s: float = 15.0
    write_s: float = 30.0
    least_bytes_per_s: int = 1 << 17
    object_bytes: int = 1 << 32


@dataclass
class ServerCounters:
    """What happened since the start, for metrics."""

    requests: int = 0
    served: int = 0
    bytes_sent: int = 0
    missing: int = 0
    refused_request: int = 0
    refused_busy: int = 0
    refused_client: int = 0
    refused_connection: int = 0
    cut_slow: int = 0
    active: int = 0

    @property
    def refused(self) -> int:
        """Requests and connections that were turned away."""
        return (
            self.refused_request + self.refused_busy + self.refused_client + self.refused_connection
        )


@dataclass
class ContentServer:
    """Serves the objects of a folder: ``/<kind>/<xx>/<64 hex digits>``, and ``/healthz``.

    Attributes:
        folder: an own store's folder; others may write to it at the same time.
        host: the address to listen at.
        port: 0 picks one.
        limits: what clients may cost.
        counters: what happened so far.

    Raises:
        StoreUnusable: the store is not a folder.
    """

    folder: str | Path
    host: str = "127.0.0.1"
    port: int = 0
    limits: ServerLimits = field(default_factory=ServerLimits)
    counters: ServerCounters = field(default_factory=ServerCounters)

    def __post_init__(self) -> None:
        objects = ContentStore(self.folder).folder
        if objects is None:
            raise StoreUnusable(
                0,
                f"cannot serve {self.folder}: only a folder is served; write to a folder, or let "
                f"others read that store where it is; see {READ_MORE}",
            )
        self._objects = objects
        self._clients: Counter[str] = Counter()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    @property
    def running(self) -> bool:
        """Whether it listens."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def url(self) -> str:
        """Where it listens; after ``start`` with the port that was picked."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def start(self) -> None:
        """Listen, and return when it does. StoreUnusable if the address is taken."""
        if self._thread is not None:
            return
        started: Future[int] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run(started)), name="content-server", daemon=True
        )
        self._thread.start()
        try:
            self.port = started.result()
        except (OSError, OverflowError) as error:
            self._thread.join()
            self._thread = None
            raise StoreUnusable(
                getattr(error, "errno", None) or 0,
                f"cannot serve the store at {self.url}: {error}; choose another "
                f"address or port, or end the program that listens there; see {READ_MORE}",
            ) from error

    def stop(self) -> None:
        """Stop listening, cut what is still being sent, and end the thread."""
        if self._thread is None or self._loop is None or self._stop is None:
            return
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._thread = None

    def __enter__(self) -> ContentServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def _run(self, started: Future[int]) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        guarded = _Guarded(self)
        runner = web.ServerRunner(guarded, handle_signals=False, shutdown_timeout=0.2)
        await runner.setup()
        try:
            site = web.TCPSite(runner, self.host, self.port, backlog=128)
            await site.start()
            port: int = runner.addresses[0][1]
        except (OSError, OverflowError) as error:  # overflow: of a port that is none
            await runner.cleanup()
            started.set_exception(error)
            return
        started.set_result(port)
        await self._stop.wait()
        await runner.cleanup()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request, if there is room for it."""
        self.counters.requests += 1
        client = request.remote or ""
        if request.path == "/healthz":
            return self._health()
        if self.counters.active >= self.limits.concurrent:
            self.counters.refused_busy += 1
            return self._later(503, "busy")
        if self._clients[client] >= self.limits.per_client:
            self.counters.refused_client += 1
            return self._later(429, "too many requests at a time from this address")
        self.counters.active += 1
        self._clients[client] += 1
        try:
            return await self._serve(request)
        finally:
            self.counters.active -= 1
            self._clients[client] -= 1
            if not self._clients[client]:
                del self._clients[client]

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD"):
            return self._refuse(405, "only GET and HEAD", {"Allow": "GET, HEAD"})
        # The path as it was sent: nothing that decodes to an object's path is one.
        parsed = parse_path(request.raw_path.removeprefix("/"))
        if parsed is None:
            return self._refuse(404, "objects are at /<kind>/<xx>/<64 hex digits>")
        path = self._objects.path(*parsed)
        try:
            size = path.stat().st_size
        except OSError:
            self.counters.missing += 1
            return web.Response(status=404, text="no such object\n")
        if size > self.limits.object_bytes:
            return self._refuse(413, f"larger than the {self.limits.object_bytes} bytes served")
        headers = {"Cache-Control": FOREVER, "Content-Type": "application/octet-stream"}
        return await self._send(request, _File(path, headers=headers), size)

    async def _send(
        self, request: web.BaseRequest, response: _File, size: int
    ) -> web.StreamResponse:
        """Send a file within its time. A client that reads too slowly is cut off."""
        allowed_s = self.limits.write_s + size / self.limits.least_bytes_per_s
        try:
            async with asyncio.timeout(allowed_s):
                await response.prepare(request)
                await response.write_eof()
        except TimeoutError:
            self.counters.cut_slow += 1
            log.info("%s reads too slowly and is cut off", request.remote)
            if request.transport is not None:
                request.transport.abort()
            return response
        except ConnectionError:
            return response  # the client went away
        self.counters.served += 1
        if request.method == "GET" and response.status in (200, 206):
            self.counters.bytes_sent += response.content_length or 0
        return response

    def _health(self) -> web.Response:
        if self._objects.root.is_dir():
            return web.Response(text="ok\n")
        return web.Response(status=503, text=f"no folder at {self._objects.root.name}\n")

    def _refuse(self, status: int, why: str, headers: dict[str, str] | None = None) -> web.Response:
        self.counters.refused_request += 1
        response = web.Response(status=status, text=f"{why}\n", headers=headers)
        response.force_close()
        return response

    def _later(self, status: int, why: str) -> web.Response:
        headers = {"Retry-After": str(self.limits.retry_s)}
        response = web.Response(status=status, text=f"{why}\n", headers=headers)
        response.force_close()
        return response


def _requests_log() -> logging.Logger:
    """Where aiohttp tells of errors, but not of what is no HTTP: anyone can send that."""
    requests = logging.getLogger(f"{__name__}.requests")

    def is_ours(record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))

    if not requests.filters:
        requests.addFilter(is_ours)
    return requests


class _File(web.FileResponse):
    """A file that is sent while its request still counts; aiohttp's second call does nothing."""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        return None if self.prepared else await super().prepare(request)


class _Guarded(web.Server):
    """aiohttp's server with a limit on open connections."""

    def __init__(self, content: ContentServer) -> None:
        super().__init__(
            content.answer,
            handler_cancellation=True,  # a client that went away makes room at once
            access_log=None,
            logger=_requests_log(),
            keepalive_timeout=content.limits.header_s,
            lingering_time=0.0,
            max_line_size=1024,
            max_field_size=4096,
            read_bufsize=1 << 14,
        )
        self._content = content
        self._from: Counter[str] = Counter()
        self._peers: dict[web.RequestHandler, str] = {}

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """As aiohttp calls it; a connection too many is closed."""
        super().connection_made(handler, transport)
        peer = str((transport.get_extra_info("peername") or [""])[0])
        self._peers[handler] = peer
        self._from[peer] += 1
        limits = self._content.limits
        if (
            len(self._peers) > limits.connections
            or self._from[peer] > limits.connections_per_client
        ):
            self._content.counters.refused_connection += 1
            transport.abort()

    def connection_lost(
        self, handler: web.RequestHandler, exc: BaseException | None = None
    ) -> None:
        """As aiohttp calls it."""
        super().connection_lost(handler, exc)
        peer = self._peers.pop(handler, None)
        if peer is not None:
            self._from[peer] -= 1
            if not self._from[peer]:
                del self._from[peer]
