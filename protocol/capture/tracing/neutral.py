"""Settings of the calling process that must not show in a program, put aside while tracing."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel


@contextlib.contextmanager
def neutral_settings() -> Iterator[None]:
    """Hide the process's numeric settings from the trace and restore them afterwards.

    Autocast, the default dtype and device, inference mode, TF32, deterministic algorithms, anomaly
    detection, the choice of attention kernels, oneDNN and ``torch.compile``.
    """
    default = torch.get_default_dtype()
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.set_default_dtype(torch.float32)
    torch.use_deterministic_algorithms(False)
    try:
        with (
            torch.inference_mode(False),
            torch.autocast("cpu", enabled=False),
            torch.device("cpu"),
            torch.autograd.set_detect_anomaly(False),
            sdpa_kernel(SDPBackend.MATH),
            _without_mkldnn(),
            _without_compiler(),
        ):
            yield
    finally:
        torch.set_default_dtype(default)
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)


def plain_copy(tensor: torch.Tensor) -> torch.Tensor:
    """The values on the processor, without history; also of a tensor made in inference mode.

    Call it outside of inference mode: what is made there cannot be differentiated.
    """
    plain = tensor.detach().cpu().contiguous()
    return plain.clone() if plain.is_inference() else plain


def zeros_like_plain(tensor: torch.Tensor) -> torch.Tensor:
    """Zeros of the same shape and dtype on the processor, whatever the default device is."""
    return torch.zeros(tensor.shape, dtype=tensor.dtype, device="cpu")


@contextlib.contextmanager
def _without_mkldnn() -> Iterator[None]:
    """Keep fused oneDNN operators out of the graph; their TF32 warning is about other machines."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*TF32.*", category=UserWarning)
        with torch.backends.mkldnn.flags(enabled=False):
            yield


@contextlib.contextmanager
def _without_compiler() -> Iterator[None]:
    """Run a module that `torch.compile` has wrapped as it is written.

    Without the compiler there is none: it is not imported, which takes seconds.
    """
    config: Any = getattr(sys.modules.get("torch._dynamo"), "config", None)
    if config is None:
        yield
        return
    with config.patch(error_on_nested_fx_trace=False):
        yield
