"""Writes that can be taken back: what a chain takes back, its readers must too. No I/O."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping, MutableSet
from functools import partial
from typing import Any, Final, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")

Undo = list[Callable[[], object]]
"""Inverses of writes, in the order of the writes."""

_ABSENT: Final = object()


class Changes:
    """Writes to tables, sets and records, each with its inverse."""

    def __init__(self) -> None:
        self._inverses: Undo = []

    def take(self) -> Undo:
        """The inverses of everything written since the last time; dropping them makes it final."""
        taken, self._inverses = self._inverses, []
        return taken

    def put(self, table: MutableMapping[Key, Value], key: Key, value: Value) -> None:
        """``table[key] = value``."""
        before: Any = table.get(key, _ABSENT)
        if before is _ABSENT:
            self._inverses.append(partial(table.pop, key))
        else:
            self._inverses.append(partial(table.__setitem__, key, before))
        table[key] = value

    def drop(self, table: MutableMapping[Key, Any], key: Key) -> None:
        """Take ``key`` out of the table, if it is there."""
        if key in table:
            self._inverses.append(partial(table.__setitem__, key, table.pop(key)))

    def add(self, members: MutableSet[Value], member: Value) -> None:
        """Put a member into a set."""
        if member not in members:
            members.add(member)
            self._inverses.append(partial(members.remove, member))

    def discard(self, members: MutableSet[Value], member: Value) -> None:
        """Take a member out of a set, if it is there."""
        if member in members:
            members.remove(member)
            self._inverses.append(partial(members.add, member))

    def assign(self, record: object, **values: Any) -> None:
        """Set attributes of a record."""
        for name, value in values.items():
            self._inverses.append(partial(setattr, record, name, getattr(record, name)))
            setattr(record, name, value)


def undo(inverses: Undo) -> None:
    """Take back what was written, the newest first."""
    while inverses:
        inverses.pop()()
