"""The stores of others, and how each of them has behaved lately.

A store that failed or lied is asked after all others for a while, and with less patience. So one
that is down, slow or hostile costs little, and is still there when nobody else has an object.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, TypeVar

from protocol.storage.errors import ContentUnreachable, ContentWrong
from protocol.storage.limits import Limits
from protocol.storage.objects import Wanted
from protocol.storage.store import ContentStore

FIRST_BACKOFF_S: Final = 5.0
LONGEST_BACKOFF_S: Final = 600.0
LYING_COUNTS: Final = 4
"""A wrong object counts as this many failures: it is no accident of the network."""
LEAST_PATIENCE: Final = 1 / 16
MOST_SOURCES: Final = 1024

T = TypeVar("T")


class Source:
    """A store that is only read, with its record of failures."""

    def __init__(self, store: ContentStore, now: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._now = now
        self._failures = 0
        self._until = 0.0

    @property
    def label(self) -> str:
        """How people know it."""
        return self._store.label

    @property
    def backing_off(self) -> bool:
        """Whether it failed lately, so that others are asked first."""
        return self._now() < self._until

    @property
    def patience(self) -> float:
        """The part of the usual time that it is given: half as much after each failure."""
        return max(LEAST_PATIENCE, 0.5**self._failures)

    def fetch(self, wanted: Wanted[T]) -> tuple[bytes, T]:
        """Bytes and checked content of an object. ContentMissing, ContentWrong."""
        try:
            found = self._store.fetch(wanted, self.patience)
        except ContentUnreachable:
            self._fail(1)
            raise
        except ContentWrong:
            self._fail(LYING_COUNTS)
            raise
        self._failures = max(0, self._failures - 1)
        self._until = 0.0
        return found

    def _fail(self, count: int) -> None:
        self._failures = min(self._failures + count, 16)
        pause_s = FIRST_BACKOFF_S * 2.0 ** (self._failures - 1)
        self._until = self._now() + min(pause_s, LONGEST_BACKOFF_S)


class SourcePool:
    """One ``Source`` per address, so that what one task learned of a store holds for all."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._chosen: dict[str, Source] = {}
        self._announced: OrderedDict[str, Source] = OrderedDict()
        self._lock = threading.Lock()
        self._open: Callable[[str], ContentStore] | None = None

    def chosen(self, url: str) -> Source:
        """A source that this machine's operator named. StoreUnusable, AddressRefused."""
        with self._lock:
            if url not in self._chosen:
                self._chosen[url] = Source(ContentStore(url, self.limits))
            return self._chosen[url]

    def announced(self, url: str) -> Source:
        """A source that a stranger named: HTTP only. AddressRefused."""
        with self._lock:
            if url not in self._announced:
                self._announced[url] = Source(self._open_stranger(url))
                if len(self._announced) > MOST_SOURCES:
                    self._announced.popitem(last=False)
            self._announced.move_to_end(url)
            return self._announced[url]

    def _open_stranger(self, url: str) -> ContentStore:
        if self._open is None:
            # Imported here: aiohttp takes a while to import.
            from protocol.storage.http import Fetcher, HttpLocation

            fetcher = Fetcher(self.limits, allow_private=self.limits.allow_private)
            self._open = lambda address: ContentStore.at(HttpLocation(address, fetcher))
        return self._open(url)
