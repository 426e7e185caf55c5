"""Clipping by value and by the global norm, beside ``torch.nn.utils`` and on special values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_, clip_grad_value_
from torch.optim import SGD, AdamW

from protocol.capture.errors import CaptureError
from protocol.capture.task import task_from
from protocol.program.node import OperandKind
from tests.capture.agreement import assert_engines_agree
from tests.capture.fed import Fed, capture, gradients, stock, worst_difference
from tests.capture.running import states
from tests.capture.test_task import capture as capture_model
from tests.capture.test_task import mlp

STEPS = 20
TOLERANCE = 1e-5


def momentum(groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    return SGD(groups, lr=0.05, momentum=0.9)


def global_norms(steps: int) -> np.ndarray:
    return np.linalg.norm(gradients(steps).astype(np.float64), axis=1)


def test_norm_clips_as_torch_does_above_and_below_the_limit() -> None:
    limit = float(np.median(global_norms(STEPS)))  # half of the steps are clipped
    captured = capture(momentum, STEPS, clip_norm=limit)
    expected = stock(momentum, STEPS, clip=lambda p: clip_grad_norm_(p, limit))
    assert worst_difference(captured, expected) < TOLERANCE
    assert worst_difference(captured, stock(momentum, STEPS)) > 0.01


def test_norm_far_above_all_gradients_changes_no_bit() -> None:
    plain, clipped = (
        list(states(capture(momentum, 5, **options))) for options in ({}, {"clip_norm": 1e6})
    )
    for one, other in zip(plain, clipped, strict=True):
        for name in one:
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def test_value_clips_as_torch_does() -> None:
    captured = capture(momentum, STEPS, clip_value=0.5)
    expected = stock(momentum, STEPS, clip=lambda p: clip_grad_value_(p, 0.5))
    assert worst_difference(captured, expected) < TOLERANCE
    assert worst_difference(captured, stock(momentum, STEPS)) > 0.01


def test_clipping_meets_the_mean_of_accumulated_gradients() -> None:
    limit = float(np.median(global_norms(STEPS))) / 2
    for options, clip in (
        ({"clip_norm": limit}, lambda p: clip_grad_norm_(p, limit)),
        ({"clip_value": 0.3}, lambda p: clip_grad_value_(p, 0.3)),
    ):
        captured = capture(momentum, STEPS, accumulate=4, **options)
        expected = stock(momentum, STEPS, accumulate=4, clip=clip)
        assert worst_difference(captured, expected, every=4) < TOLERANCE


def test_norm_of_many_parameters_is_summed_in_a_tree() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(*(m for _ in range(20) for m in (nn.Linear(6, 6), nn.Tanh())))
    captured = capture_model(model, clip_norm=0.01)
    clips = [o for o in captured.origins if "clip" in o]
    assert sum("clip.sum" in o for o in clips) == 3 + 1  # 40 gradients: 16 + 16 + 8, then these
    assert sum("clip.scale" in o for o in clips) == 1
    first = next(iter(states(captured)))
    moved = [
        (first[n].astype(np.float64) - a) / 0.1 for n, a in captured.state if n.startswith("model.")
    ]
    norm = math.sqrt(sum(float((m**2).sum()) for m in moved))
    assert norm == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_gradient_that_is_no_number_spoils_all_parameters_as_in_torch(value: float) -> None:
    inputs = gradients(1)
    inputs[0, 40] = value  # in the bias
    model, twin = Fed(), Fed()
    captured = task_from(
        model,
        lambda out, _: out,
        SGD(model.parameters(), lr=0.1),
        (inputs, np.zeros(1, np.int32)),
        steps=1,
        interval=1,
        batch_size=1,
        clip_norm=1.0,
    )
    optimizer = SGD(twin.parameters(), lr=0.1)
    twin(torch.from_numpy(inputs)).backward()
    clip_grad_norm_(twin.parameters(), 1.0)
    optimizer.step()
    (after,) = states(captured)
    for name, parameter in twin.named_parameters():
        np.testing.assert_allclose(after[f"model.{name}"], parameter.detach().numpy(), rtol=1e-5)


def test_scale_is_taken_in_by_the_updates_and_costs_no_copy_of_the_gradients() -> None:
    plain, clipped = (capture(momentum, 2, **o) for o in ({}, {"clip_norm": 1.0}))
    large = [
        [n for n in c.program.nodes if len(n.shape) > 1 and n.domain == ()]
        for c in (plain, clipped)
    ]
    assert len(large[0]) == len(large[1])


def test_frozen_and_unlisted_parameters_are_left_out_of_the_norm() -> None:
    model = mlp()
    model[0].weight.requires_grad_(False)
    optimizer = SGD([model[3].weight], lr=0.1)
    captured = capture_model(model, optimizer=optimizer, clip_norm=1e-3)
    first = next(iter(states(captured)))
    before = dict(captured.state)
    moved = (first["model.3.weight"].astype(np.float64) - before["model.3.weight"]) / 0.1
    assert np.linalg.norm(moved) == pytest.approx(1e-3, rel=1e-2)


def test_engines_agree_on_a_clipped_task() -> None:
    options: dict[str, Any] = {"steps": 4, "interval": 2, "clip_norm": 0.05}
    model = mlp(0.1)
    task = assert_engines_agree(
        capture_model(model, optimizer=AdamW(model.parameters(), lr=0.01), **options)
    )
    assert all(b.kind is OperandKind.NODE for b in task.program.bindings)
    assert_engines_agree(capture_model(mlp(), steps=4, interval=2, clip_value=0.01))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clip_norm": 1.0, "clip_value": 1.0}, r"clip_norm=1\.0 and clip_value=1\.0.*one of them"),
        ({"clip_norm": 0.0}, r"clip_norm=0\.0 is no limit"),
        ({"clip_value": -1.0}, r"clip_value=-1\.0 is no limit"),
        ({"clip_norm": math.inf}, "clip_norm=inf is no limit"),
        ({"clip_norm": math.nan}, r"clip_norm=nan is no limit.*docs/CAPTURE\.md"),
    ],
)
def test_limits_that_make_no_sense_are_refused(options: dict, message: str) -> None:
    with pytest.raises(CaptureError, match=message):
        capture(momentum, 2, **options)
