"""The figures about subnormal numbers are of subnormal numbers, on both sides."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from scripts.bench import subnormals

LEAST_NORMAL = np.finfo(np.float32).tiny


def results(name: str, kind: int) -> np.ndarray:
    """The absolute results of a work: 0 ordinary, 1 subnormal."""
    work = subnormals.works()[name][kind]
    outputs = work.function(*(torch.from_numpy(each) for each in work.inputs))
    return np.abs(outputs.numpy())


@pytest.mark.parametrize("name", subnormals.works())
def test_results_are_subnormal_where_the_table_says_so(name: str) -> None:
    assert (results(name, 0) >= LEAST_NORMAL).mean() > 0.99
    tiny = results(name, 1)
    assert (tiny < LEAST_NORMAL).mean() > 0.98
    assert (tiny > 0).mean() > 0.95


def test_both_sides_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subnormals, "SECONDS", 0.0)
    monkeypatch.setattr(subnormals, "SHAPE", (8, 8))
    for side in subnormals.SIDES:
        found = subnormals.seconds(side)
        assert set(found) == set(subnormals.works())
        assert all(plain > 0 and slow > 0 for plain, slow in found.values())
