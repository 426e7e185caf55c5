"""How models and losses are fed: one tensor, tensors by keyword, and losses of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from protocol.capture.captured import Captured
from protocol.capture.errors import CaptureError
from protocol.capture.task import task_from
from tests.capture.running import states

RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 6)).astype(np.float32)
SEEN = RNG.random((24, 6)) < 0.7
Y = RNG.integers(0, 3, 24)
ORDER = np.arange(24).reshape(3, 8)


@dataclass
class Output:
    """What models of libraries return."""

    scores: torch.Tensor
    loss: torch.Tensor | None = None


class Masked(nn.Module):
    """Takes keywords, one of them a mask, and computes its own loss if it is given labels."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 3)

    def forward(
        self, values: torch.Tensor, mask: torch.Tensor, labels: torch.Tensor | None = None
    ) -> Output:
        assert mask.dtype is torch.bool
        scores = self.linear(values.masked_fill(~mask, 0.5))
        return Output(scores, None if labels is None else F.cross_entropy(scores, labels))


def capture(loss: Any, data: Any, model: nn.Module | None = None) -> Captured:
    if model is None:
        torch.manual_seed(0)
        model = Masked()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return task_from(model, loss, optimizer, data, steps=3, interval=1, batch_size=8, order=ORDER)


def losses(captured: Captured) -> list[float]:
    return [state["loss"].item() for state in states(captured)]


def test_loss_of_the_model_itself_is_taken_when_none_is_given() -> None:
    captured = capture(None, {"values": X, "mask": SEEN, "labels": Y})
    assert [name for name, _ in captured.data][:3] == [
        "inputs.values",
        "inputs.mask",
        "inputs.labels",
    ]
    given = capture(lambda out, y: F.cross_entropy(out.scores, y), ({"values": X, "mask": SEEN}, Y))
    assert losses(captured) == losses(given)
    torch.manual_seed(0)
    model, batch = Masked(), slice(0, 8)
    stock = model(*(torch.from_numpy(a[batch]) for a in (X, SEEN, Y))).loss.item()
    assert losses(captured)[0] == pytest.approx(stock, rel=1e-6)


def test_loss_without_targets_sees_the_inputs() -> None:
    def weighted(out: Output, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return out.scores.square().sum(1).mul(batch["mask"].float().mean(1)).mean()

    by_inputs = capture(weighted, {"values": X, "mask": SEEN})
    by_targets = capture(weighted, ({"values": X, "mask": SEEN}, {"mask": SEEN}))
    assert losses(by_inputs) == losses(by_targets)


def test_bools_are_not_scaled_and_bytes_are() -> None:
    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(()))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (self.weight * x.float()).sum()

    bits = {"x": SEEN}
    assert losses(capture(None, bits, Sum()))[0] == SEEN[:8].sum()
    scaled = losses(capture(None, {"x": SEEN.astype(np.uint8)}, Sum()))[0]
    assert scaled == pytest.approx(SEEN[:8].sum() / 255, rel=1e-6)


@pytest.mark.parametrize(
    ("loss", "data", "message"),
    [
        (None, {"values": X, "mask": SEEN}, "output .Output. holds no loss"),
        (None, ({"values": X, "mask": SEEN}, Y), "targets but there is no loss"),
        (F.cross_entropy, X, r"data is ndarray; pass \(inputs, targets\)"),
        (F.cross_entropy, (X, SEEN, Y), "data is tuple of 3"),
        (F.cross_entropy, {}, "holds no arrays"),
        (None, {"values": X, "mask": SEEN[:7]}, "24 inputs.values but 7 inputs.mask"),
    ],
)
def test_data_that_does_not_fit_the_model_is_refused(loss: Any, data: Any, message: str) -> None:
    with pytest.raises(CaptureError, match=message):
        capture(loss, data)
