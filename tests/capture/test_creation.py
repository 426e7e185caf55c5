"""Ranges, with steps that are whole and not, and of both signs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.capture.running import run_operator

X = np.zeros((7, 2), np.float32)


@pytest.mark.parametrize(
    "bounds",
    [
        (7,),
        (1.0, 8.0),
        (7, 0, -1),
        (0, 3.5, 0.5),
        (-0.3, 0.39, 0.1),
        (1e6, 1e6 + 0.7, 0.1),
        (0.7, 0, -0.1),
        (-3.0, 4.0),
        (16777210, 16777217),
    ],
)
def test_range_is_that_of_torch(bounds: tuple[float, ...]) -> None:
    outcome = run_operator(lambda x: x + torch.arange(*bounds, dtype=torch.float32)[:, None], X)
    own, stock = outcome.output
    exact = np.float64(bounds[0] if len(bounds) > 1 else 0) + np.arange(7) * (
        bounds[2] if len(bounds) > 2 else 1
    )
    np.testing.assert_array_equal(own[:, 0], own[:, 1])
    step = np.spacing(np.float32(np.abs(exact).max()))  # also where the range crosses 0
    assert (np.abs(own[:, 0] - exact) <= step).all()
    assert (np.abs(own[:, 0].astype(np.float64) - stock[:, 0]) <= step).all()
