"""Errors of the chain's side, in the four parts that people are told."""

from __future__ import annotations

from typing import Final

READ: Final = "docs/operate/errors.md#chain"


class ChainError(RuntimeError):
    """The chain, a node, an account or a deployment cannot be used as asked.

    Attributes:
        what: what happened.
        why: why, with the value found and the one expected.
        todo: what to do.
        read: where to read about it.
    """

    def __init__(self, what: str, why: str, todo: str, read: str = READ) -> None:
        super().__init__(f"{what}: {why}; {todo}")
        self.what = what
        self.why = why
        self.todo = todo
        self.read = read
