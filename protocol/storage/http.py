"""Objects on somebody's HTTP server, which may do anything to whoever reads from it.

No redirect is followed, nothing is unpacked, no cookie is kept, no proxy is used. At most the bytes
asked for are read, within a time that only arriving bytes prolong.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from concurrent.futures import Future
from concurrent.futures import TimeoutError as WaitedTooLong
from typing import Final

import aiohttp
import fsspec.asyn
from aiohttp.abc import AbstractResolver
from aiohttp.resolver import ThreadedResolver

from protocol.storage.address import GuardedResolver, checked_url
from protocol.storage.errors import (
    READ_MORE,
    AddressRefused,
    ContentMissing,
    ContentUnreachable,
    ContentWrong,
    StoreUnusable,
)
from protocol.storage.limits import Limits
from protocol.storage.objects import Wanted

PIECE_BYTES: Final = 1 << 16
MAX_HEADER_BYTES: Final = 8190
SHORTEST_RETRY_S: Final = 0.1
LONGEST_RETRY_S: Final = 5.0
"""A busy server is asked again, but does not choose when."""


class Fetcher:
    """The connections of one reader: shared limits, and one rule about private addresses."""

    def __init__(self, limits: Limits, *, allow_private: bool) -> None:
        self.limits = limits
        self.allow_private = allow_private
        self._session: aiohttp.ClientSession | None = None
        self._all = threading.BoundedSemaphore(limits.concurrent)
        self._per_host: dict[str, threading.BoundedSemaphore] = {}
        self._lock = threading.Lock()

    def fetch(self, url: str, host: str, wanted: Wanted[object], patience: float) -> bytes:
        """The bytes at ``url``, unchecked. ContentMissing, ContentWrong if there are too many."""
        loop = fsspec.asyn.get_loop()
        with self._lock:
            half = max(1, self.limits.concurrent // 2)
            own = self._per_host.setdefault(host, threading.BoundedSemaphore(half))
        with own, self._all:
            running: Future[bytes] = asyncio.run_coroutine_threadsafe(
                self._within_limits(url, wanted, patience), loop
            )
            try:
                # The coroutine keeps its own time; this holds even if the loop is stuck.
                return running.result(self.limits.wall_s(wanted.most_bytes) + 5.0)
            except WaitedTooLong as error:
                raise ContentUnreachable("no answer", timed_out=True) from error
            finally:
                running.cancel()

    async def _within_limits(self, url: str, wanted: Wanted[object], patience: float) -> bytes:
        start = asyncio.get_running_loop().time()
        allowed_s = self.limits.fetch_s * patience
        received = bytearray()
        try:
            async with asyncio.timeout_at(start + allowed_s) as clock:
                while (again_s := await self._try(url, wanted, received, clock)) is not None:
                    await asyncio.sleep(again_s)
        except TimeoutError as error:
            spent = asyncio.get_running_loop().time() - start
            raise ContentUnreachable(
                f"{len(received):,} bytes came in {spent:.1f} s, then it was given up: allowed are "
                f"{allowed_s:.1f} s and a second per {self.limits.least_bytes_per_s:,} bytes",
                timed_out=True,
            ) from error
        except (ContentMissing, ContentWrong):
            raise
        except AddressRefused as error:
            raise ContentUnreachable(str(error)) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise ContentUnreachable(f"{type(error).__name__}: {str(error)[:300]}") from error
        return bytes(received)

    async def _try(
        self, url: str, wanted: Wanted[object], received: bytearray, clock: asyncio.Timeout
    ) -> float | None:
        """Ask once. Fills ``received``, or says after how many seconds to ask again."""
        async with self._open_session().get(url, allow_redirects=False) as response:
            if response.status in (429, 503):
                return _retry_s(response)
            self._check_head(response, wanted)
            while piece := await response.content.read(
                min(PIECE_BYTES, wanted.most_bytes + 1 - len(received))
            ):
                received += piece
                self._check_size(wanted, len(received))
                when = clock.when()
                if when is not None:
                    clock.reschedule(when + len(piece) / self.limits.least_bytes_per_s)
        return None

    def _check_head(self, response: aiohttp.ClientResponse, wanted: Wanted[object]) -> None:
        if response.status in (404, 410):
            raise ContentMissing(f"no {wanted} there")
        if response.status != 200:
            redirect = " (redirects are not followed)" if 300 <= response.status < 400 else ""
            raise ContentUnreachable(f"it answered {response.status}{redirect}, expected 200")
        coding = response.headers.get("Content-Encoding", "identity")
        if coding != "identity":
            raise ContentUnreachable(f"it sent {coding[:40]!r}, asked for were plain bytes")
        if response.content_length is not None:
            self._check_size(wanted, response.content_length)

    def _check_size(self, wanted: Wanted[object], nbytes: int) -> None:
        wanted.check_size(nbytes)
        most = self.limits.object_bytes
        if nbytes > most:
            raise ContentMissing(f"{wanted} has more than the {most:,} bytes that are fetched")

    def _open_session(self) -> aiohttp.ClientSession:
        """Runs on the loop; the session lives as long as this object."""
        if self._session is None:
            resolver: AbstractResolver
            resolver = ThreadedResolver() if self.allow_private else GuardedResolver()
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    resolver=resolver, use_dns_cache=False, limit=self.limits.concurrent
                ),
                timeout=aiohttp.ClientTimeout(total=None, connect=self.limits.connect_s),
                headers={"Accept-Encoding": "identity", "User-Agent": "pinpoint"},
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                read_bufsize=PIECE_BYTES,
                max_line_size=MAX_HEADER_BYTES,
                max_field_size=MAX_HEADER_BYTES,
                trust_env=False,
            )
            weakref.finalize(self, _close, self._session, asyncio.get_running_loop())
        return self._session


class HttpLocation:
    """A store's objects below an ``http(s)://`` address; read-only. AddressRefused."""

    def __init__(self, address: str, fetcher: Fetcher) -> None:
        url = checked_url(address, allow_private=fetcher.allow_private)
        self._fetcher = fetcher
        self._host = f"{url.host}:{url.port}"
        self.label = str(url).rstrip("/")

    def open(self) -> None:
        """StoreUnusable: it cannot be written."""
        raise self._unusable("anything")

    def read(self, wanted: Wanted[object], patience: float = 1.0) -> bytes:
        """The bytes, unchecked. ContentMissing, ContentWrong if there are too many."""
        try:
            return self._fetcher.fetch(f"{self.label}/{wanted.path}", self._host, wanted, patience)
        except ContentUnreachable as error:
            raise ContentUnreachable(
                f"cannot read {wanted} from {self.label}: {error}", timed_out=error.timed_out
            ) from error
        except ContentMissing as error:
            raise ContentMissing(f"{error}: {self.label}") from error

    def write(self, kind: str, name: bytes, data: bytes) -> None:  # noqa: ARG002
        """StoreUnusable: others' servers are only read."""
        raise self._unusable(f"{kind} {name.hex()}")

    def _unusable(self, what: str) -> StoreUnusable:
        return StoreUnusable(
            0,
            f"cannot write {what} to {self.label}: a store behind HTTP is only read; name a folder "
            f"to write to, and this one to read from; see {READ_MORE}",
        )


def _retry_s(response: aiohttp.ClientResponse) -> float:
    stated = response.headers.get("Retry-After", "")
    seconds = float(stated) if stated.isdecimal() and len(stated) < 9 else 1.0
    return min(max(seconds, SHORTEST_RETRY_S), LONGEST_RETRY_S)


def _close(session: aiohttp.ClientSession, loop: asyncio.AbstractEventLoop) -> None:
    if not loop.is_closed() and loop.is_running():
        asyncio.run_coroutine_threadsafe(session.close(), loop)
