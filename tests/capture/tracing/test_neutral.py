"""Settings of the process: whatever they are, the same program."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from protocol.capture.captured import Captured
from protocol.capture.task import task_from

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 4)).astype(np.float32)
Y = RNG.integers(0, 3, 12)


class Scaled(nn.Module):
    """A layer, a constant that forward makes, and attention: what settings could change."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.linear(x) * torch.tensor(0.5) + torch.zeros(3)
        return torch.nn.functional.scaled_dot_product_attention(h, h, h)


def build() -> nn.Module:
    torch.manual_seed(0)
    return Scaled()


def capture(model: nn.Module) -> Captured:
    return task_from(
        model,
        nn.CrossEntropyLoss(),
        torch.optim.SGD(model.parameters(), lr=0.1),
        (X, Y),
        steps=2,
        interval=1,
        batch_size=4,
    )


@contextlib.contextmanager
def setting(change: Callable[[Any], None], value: Any, before: Any) -> Iterator[None]:
    change(value)
    try:
        yield
    finally:
        change(before)


def tf32(value: bool) -> None:
    with _unfrozen_flags():
        torch.backends.cuda.matmul.allow_tf32 = value
        torch.backends.cudnn.allow_tf32 = value


def fp32_precision(value: str) -> None:
    with _unfrozen_flags():
        torch.backends.fp32_precision = value


def _unfrozen_flags() -> AbstractContextManager[Any]:
    """torch's own test helpers, which other tests of this process import, freeze these flags."""
    return getattr(torch.backends, "__allow_nonbracketed_mutation")()


SETTINGS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "autocast in half": lambda: torch.autocast("cpu", dtype=torch.float16),
    "autocast enabled": lambda: setting(
        lambda on: torch.set_autocast_enabled("cpu", on), True, False
    ),
    "double by default": lambda: setting(
        torch.set_default_dtype, torch.float64, torch.get_default_dtype()
    ),
    "bfloat16 by default": lambda: setting(
        torch.set_default_dtype, torch.bfloat16, torch.get_default_dtype()
    ),
    "matmul precision": lambda: setting(
        torch.set_float32_matmul_precision, "medium", torch.get_float32_matmul_precision()
    ),
    "tf32": lambda: setting(tf32, True, False),
    "fp32 precision": lambda: setting(fp32_precision, "tf32", torch.backends.fp32_precision),
    "deterministic": lambda: setting(torch.use_deterministic_algorithms, True, False),
    "inference mode": torch.inference_mode,
    "no grad": torch.no_grad,
    "anomaly detection": lambda: torch.autograd.detect_anomaly(check_nan=True),
    "device of the context": lambda: torch.device("meta"),
    "device by default": lambda: setting(torch.set_default_device, "meta", None),
    "no subnormals": lambda: setting(torch.set_flush_denormal, True, False),
}


@pytest.fixture(scope="module")
def plain() -> Captured:
    return capture(build())


@pytest.mark.filterwarnings("ignore:Anomaly Detection")
@pytest.mark.parametrize("name", SETTINGS)
def test_program_under_a_setting_of_the_process_is_the_same(name: str, plain: Captured) -> None:
    model = build()
    with SETTINGS[name]():
        captured = capture(model)
    assert captured.program == plain.program
    assert captured.origins == plain.origins
    for (one, own), (other, stock) in zip(
        [*captured.state, *captured.data], [*plain.state, *plain.data], strict=True
    ):
        assert one == other
        assert own.dtype == stock.dtype
        assert own.tobytes() == stock.tobytes()


def test_model_that_was_made_in_inference_mode_is_captured_as_any(plain: Captured) -> None:
    with torch.inference_mode():
        model = build()
    assert capture(model).program == plain.program


def test_model_that_is_compiled_is_captured_as_it_is_written() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
    plain = capture(model).program
    model.compile(backend="eager")
    assert capture(model).program == plain
