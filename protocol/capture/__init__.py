"""Capture: PyTorch module, loss and optimiser to a program of folds.

`task_from`, `inference_from` and `decode_from` are the ways in. They are loaded when first asked
for: torch takes seconds to import, and not everybody who imports something of this package needs
it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from protocol.capture.captured import Captured, load_into, outputs_of
    from protocol.capture.decoding import decode_from, sequences_of
    from protocol.capture.inference import inference_from
    from protocol.capture.task import task_from

__all__ = [
    "Captured",
    "decode_from",
    "inference_from",
    "load_into",
    "outputs_of",
    "sequences_of",
    "task_from",
]

_HOMES = {
    "Captured": "captured",
    "decode_from": "decoding",
    "inference_from": "inference",
    "load_into": "captured",
    "outputs_of": "captured",
    "sequences_of": "decoding",
    "task_from": "task",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
