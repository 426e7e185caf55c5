"""Why the model refuses a move: by the name of the contract's custom error."""

from __future__ import annotations

from typing import Any


class Refusal(Exception):
    """The move is not allowed here; nothing has changed.

    Attributes:
        reason: name of the Solidity custom error.
        values: what the error would say, in its order where that is cheap to know.
    """

    def __init__(self, reason: str, *values: Any) -> None:
        self.reason = reason
        self.values = values
        super().__init__(f"{reason}({', '.join(map(str, values))})")


def require(condition: bool, reason: str, *values: Any) -> None:
    """Refuse with ``reason`` unless ``condition`` holds."""
    if not condition:
        raise Refusal(reason, *values)
