"""Capture: from an ordinary PyTorch module to a program of folds.

`task_from`, `inference_from` and `decode_from` are the ways in; beside them is what their arguments
and results need. All is loaded when first asked for: torch takes seconds to import, and not
everybody who imports something of this package needs it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from protocol.capture.captured import Captured, load_into, outputs_of
    from protocol.capture.data.columns import Images, Windows, next_tokens
    from protocol.capture.data.sources import load_columns
    from protocol.capture.inference.caches import KeyValueCache
    from protocol.capture.inference.decoding import decode_from, sequences_of
    from protocol.capture.inference.scoring import inference_from
    from protocol.capture.initial.distributions import Constant, Normal, TruncatedNormal, Uniform
    from protocol.capture.initial.drawing import drawing
    from protocol.capture.initial.starting import drawn_values, initial_state
    from protocol.capture.initial.weights import load_weights
    from protocol.capture.task import task_from
    from protocol.capture.updates.updating import averaged

__all__ = [
    "Captured",
    "Constant",
    "Images",
    "KeyValueCache",
    "Normal",
    "TruncatedNormal",
    "Uniform",
    "Windows",
    "averaged",
    "decode_from",
    "drawing",
    "drawn_values",
    "inference_from",
    "initial_state",
    "load_columns",
    "load_into",
    "load_weights",
    "next_tokens",
    "outputs_of",
    "sequences_of",
    "task_from",
]

_HOMES = {
    "Captured": "captured",
    "Constant": "initial.distributions",
    "Images": "data.columns",
    "KeyValueCache": "inference.caches",
    "Normal": "initial.distributions",
    "TruncatedNormal": "initial.distributions",
    "Uniform": "initial.distributions",
    "Windows": "data.columns",
    "averaged": "updates.updating",
    "decode_from": "inference.decoding",
    "drawing": "initial.drawing",
    "drawn_values": "initial.starting",
    "inference_from": "inference.scoring",
    "initial_state": "initial.starting",
    "load_columns": "data.sources",
    "load_into": "captured",
    "load_weights": "initial.weights",
    "next_tokens": "data.columns",
    "outputs_of": "captured",
    "sequences_of": "inference.decoding",
    "task_from": "task",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
