"""An agent's own store in front of everybody else's."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeVar

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
from protocol.storage.sources import Source, SourcePool
from protocol.storage.store import ContentStore, ObjectStore

log = logging.getLogger(__name__)

T = TypeVar("T")

Announced = Callable[[], Iterable[str]]
"""The addresses announced on chain by those whom a task concerns, as they are now."""


class LayeredStore(ObjectStore):
    """Writes to its own store; reads from its own, then from others.

    Args:
        own: where everything is written.
        pool: opens the stores of others and remembers how they behaved.
        read: addresses that the operator chose, asked in this order.
        announced: addresses that strangers announced, asked after those.
        keep: whether what was fetched and checked is put into ``own``.

    Raises:
        StoreUnusable: an address in ``read`` cannot be opened.
        AddressRefused: an address in ``read`` is not opened.
    """

    def __init__(
        self,
        own: ContentStore,
        pool: SourcePool,
        read: Sequence[str] = (),
        announced: Announced = tuple,
        *,
        keep: bool = True,
    ) -> None:
        self.own = own
        self._pool = pool
        self._read = [pool.chosen(url) for url in read]
        self._announced = announced
        self._keep = keep

    def also(self, announced: Announced) -> LayeredStore:
        """The same store, which also reads from stores that are announced for one task.

        What is learned of each address (that it is down, or lies) is shared.
        """
        other = LayeredStore(self.own, self._pool, keep=self._keep)
        other._read = self._read
        before = self._announced
        other._announced = lambda: [*before(), *announced()]
        return other

    def write(self, kind: str, name: bytes, data: bytes) -> None:
        """Store an object in the own store. StoreUnusable."""
        self.own.write(kind, name, data)

    def find(self, wanted: Wanted[T]) -> T:
        """The checked content of an object, from the first store that has it.

        Raises:
            ContentMissing: no store has it; the message says of each why not.
        """
        why: list[str] = []
        try:
            return self.own.find(wanted)
        except (ContentMissing, ContentWrong) as error:
            why.append(_reason(self.own.label, error))
            if _is_trouble(error):
                log.warning(
                    "the own store is damaged or cannot be read, others are asked: %s", error
                )
        for source in self._sources(why):
            known = source.backing_off
            try:
                data, content = source.fetch(wanted)
            except (ContentMissing, ContentWrong) as error:
                why.append(_reason(source.label, error))
                if _is_trouble(error):
                    # Once for a while: whoever makes trouble must not fill the log with it.
                    level = logging.DEBUG if known else logging.WARNING
                    log.log(level, "another store is asked first for a while: %s", why[-1])
                continue
            self._keep_copy(wanted, data)
            return content
        listed = "".join(f"\n  {line}" for line in why)
        raise ContentMissing(
            f"no store has {wanted}:{listed}\nname another store to read from, or wait until one "
            f"of these has it; see {READ_MORE}"
        )

    def _sources(self, why: list[str]) -> list[Source]:
        """Whom to ask, in this order; of an address that is not opened, the reason in ``why``."""
        found = {source.label: source for source in self._read}
        try:
            urls = list(dict.fromkeys(islice(self._announced(), 10 * self._pool.limits.sources)))
        # The list comes from the chain, which may be down; the sources that are known still count.
        except Exception as error:  # noqa: BLE001
            log.warning("announced stores are not known now: %s", error)
            why.append(f"announced stores: not known now ({error})")
            urls = []
        for url in urls[: self._pool.limits.sources]:
            try:
                source = self._pool.announced(url)
            except AddressRefused as error:
                why.append(str(error))
            else:
                found.setdefault(source.label, source)
        return sorted(found.values(), key=lambda source: source.backing_off)  # stable

    def _keep_copy(self, wanted: Wanted[T], data: bytes) -> None:
        if not self._keep:
            return
        try:
            self.own.write(wanted.kind, wanted.name, data)
        except StoreUnusable as error:
            log.warning("what was fetched is used, but not kept: %s", error)


def open_store(
    own: str | Path,
    read: Sequence[str] = (),
    limits: Limits | None = None,
    announced: Announced = tuple,
    *,
    keep: bool = True,
) -> LayeredStore:
    """The store of an agent, as all commands build it.

    Args:
        own: a folder or URL that it writes to; made if it is not there.
        read: stores that it also reads from, in this order.
        limits: on what is fetched.
        announced: addresses announced on chain, asked last; ``LayeredStore.also`` adds those of a
            task.
        keep: whether to keep copies of what was fetched.

    Raises:
        StoreUnusable: ``own`` cannot be written, or a package is not installed.
        AddressRefused: an address in ``read`` is not opened.
    """
    limits = limits or Limits()
    store = ContentStore(own, limits)
    store.open()
    return LayeredStore(store, SourcePool(limits), read, announced, keep=keep)


def _is_trouble(error: Exception) -> bool:
    """Whether it is more than that the store does not have the object."""
    return isinstance(error, ContentWrong | ContentUnreachable)


def _reason(label: str, error: Exception) -> str:
    """One line on why a store did not give an object."""
    if isinstance(error, ContentWrong):
        return f"{label} lies, or is damaged: {error}"
    return str(error) if label in str(error) else f"{label}: {error}"
