"""Capture: PyTorch module, loss and optimiser to a program of folds.

`task_from` is the way in. It is loaded when it is first asked for: torch takes seconds to import,
and not everybody who imports something of this package needs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from protocol.capture.task import Captured, load_into, task_from

__all__ = ["Captured", "load_into", "task_from"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from protocol.capture import task

    return getattr(task, name)
