"""Accumulation of gradients and moving averages of weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import SGD, Adafactor, AdamW

from protocol.capture.captured import load_into
from protocol.capture.errors import CaptureError
from protocol.capture.updates.updating import averaged
from tests.capture.agreement import assert_engines_agree
from tests.capture.fed import Fed, capture, stock, worst_difference
from tests.capture.running import states
from tests.capture.test_task import capture as capture_model
from tests.capture.test_task import mlp

TOLERANCE = 1e-5


def adamw(groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    return AdamW(groups, lr=0.01, weight_decay=0.1)


def dampened(groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    return SGD(groups, lr=0.01, momentum=0.9, dampening=0.5)


def adafactor(groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    return Adafactor(groups, lr=0.05)


@pytest.mark.parametrize("make", [adamw, dampened, adafactor])
@pytest.mark.parametrize("accumulate", [2, 5])
def test_accumulated_updates_are_those_of_torch(make: Any, accumulate: int) -> None:
    captured = capture(make, 20, accumulate=accumulate)
    expected = stock(make, 20, accumulate=accumulate)
    assert worst_difference(captured, expected, every=accumulate) < TOLERANCE


def test_between_updates_only_the_sum_of_gradients_moves() -> None:
    captured = capture(adamw, 6, accumulate=3, ema=0.9)
    before = dict(captured.state)
    for step, after in enumerate(states(captured)):
        for name, array in after.items():
            moved = not np.array_equal(array, before[name])
            if name.startswith("gradient."):
                assert moved, name
            elif name not in ("step", "loss"):
                assert moved == (step % 3 == 2), (step, name)
        before = after


def test_program_does_not_grow_with_the_number_of_micro_batches() -> None:
    sizes = [len(capture(adamw, 24, accumulate=k).program.nodes) for k in (2, 3, 12)]
    assert len(set(sizes)) == 1


def test_gradient_that_is_no_number_does_not_outlive_its_update() -> None:
    captured = capture_model(nn.Sequential(nn.Linear(6, 3)), accumulate=2, steps=6)
    data = dict(captured.data)
    spoiled = data["order"][0, 0]
    assert spoiled not in data["order"][2:]
    data["inputs"][spoiled] = np.nan
    sums = [after["gradient.0.weight"] for after in states(captured)]
    assert np.isnan(sums[0]).any()
    after = list(states(captured))
    assert np.isnan(after[1]["model.0.weight"]).any()  # as in PyTorch, the update takes it
    captured = capture_model(nn.Sequential(nn.Linear(6, 3)), accumulate=2, steps=6)
    for name, array in captured.state:
        if name.startswith("gradient."):
            array[...] = np.nan  # whatever stood there
    assert all(np.isfinite(a["gradient.0.weight"]).all() for a in states(captured))


def test_batch_statistics_follow_every_micro_batch() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))
    captured = capture_model(model, accumulate=3)
    counts = [int(after["model.1.num_batches_tracked"]) for after in states(captured)]
    assert counts == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("decay", [0.9, lambda update: min(0.9, (1 + update) / (10 + update))])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_average_follows_the_weights(decay: Any, accumulate: int) -> None:
    captured = capture(adamw, 12, ema=decay, accumulate=accumulate)
    expected = {n: p.detach().double().numpy().copy() for n, p in Fed().named_parameters()}
    for step, after in enumerate(states(captured)):
        if (step + 1) % accumulate == 0:
            update = step // accumulate
            share = 1 - (decay(update) if callable(decay) else decay)
            for name in expected:
                expected[name] += share * (after[f"model.{name}"] - expected[name])
        for name, value in expected.items():
            np.testing.assert_allclose(after[f"ema.{name}"], value, rtol=1e-5, atol=1e-7)


def test_average_of_decay_zero_is_the_weight_and_of_one_stays() -> None:
    for decay, reference in ((0.0, "model."), (1.0, None)):
        captured = capture(adamw, 3, ema=decay)
        first = dict(captured.state)
        *_, after = states(captured)
        for name in Fed().state_dict():
            other = after[reference + name] if reference else first[f"model.{name}"]
            np.testing.assert_allclose(after[f"ema.{name}"], other, rtol=1e-6, atol=1e-7)


def test_averages_load_into_a_plain_module_with_its_buffers() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))
    model[0].bias.requires_grad_(False)
    captured = capture_model(model, ema=0.5)
    *_, after = states(captured)
    load_into(model, averaged(after).items())
    np.testing.assert_array_equal(model[2].weight.detach().numpy(), after["ema.2.weight"])
    np.testing.assert_array_equal(model[0].bias.detach().numpy(), after["model.0.bias"])
    np.testing.assert_array_equal(model[1].running_mean.numpy(), after["model.1.running_mean"])


def test_state_without_averages_is_refused() -> None:
    with pytest.raises(CaptureError, match=r"no moving averages.*ema=<decay>.*docs/CAPTURE\.md"):
        averaged(dict(capture(adamw, 2).state))


def test_engines_agree_on_a_task_with_everything() -> None:
    model = mlp(0.1)
    optimizer = Adafactor(model.parameters(), lr=0.05, weight_decay=0.01)
    options: dict[str, Any] = {"steps": 4, "interval": 2, "accumulate": 2, "clip_norm": 0.1}
    task = assert_engines_agree(capture_model(model, optimizer=optimizer, ema=0.9, **options))
    names = [spec.name for spec in task.manifest.state]
    assert {"gradient.0.weight", "ema.0.weight", "optimizer.row_var.0.weight"} <= set(names)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"accumulate": 0}, "accumulate=0: it counts"),
        ({"accumulate": 1.5}, r"accumulate=1\.5: it counts"),
        ({"accumulate": True}, "accumulate=True: it counts"),
        ({"accumulate": 4}, r"6 steps are no multiple of accumulate=4.*last 2.*give e\.g\. 4"),
        ({"accumulate": 7}, r"give e\.g\. 7 steps"),
        ({"ema": 1.5}, r"decay 1\.5 at update 0, outside 0\.\.1"),
        ({"ema": lambda update: -float(update)}, r"decay -1\.0 at update 1.*docs/CAPTURE\.md"),
        ({"ema": float("nan")}, "decay nan"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict, message: str) -> None:
    with pytest.raises(CaptureError, match=message):
        capture(adamw, 6, **options)
