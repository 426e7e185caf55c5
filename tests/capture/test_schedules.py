"""Schedules: the functions, and PyTorch's scheduler objects, beside PyTorch's own training."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.optim import SGD, Adam, AdamW, RMSprop
from torch.optim import lr_scheduler as stock_schedulers

from protocol.capture.errors import CaptureError, UnsupportedOptimizer
from protocol.capture.schedules import (
    constant,
    cosine,
    course_of,
    linear,
    one_cycle,
    step_decay,
    warmup,
    warmup_cosine,
)
from tests.capture.agreement import assert_engines_agree
from tests.capture.fed import Fed, capture, stock, worst_difference

STEPS = 24
Attach = Callable[[torch.optim.Optimizer], Any]


def adamw(groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    first, second = groups
    return AdamW([first, {**second, "lr": 0.02}], lr=0.01, weight_decay=0.1)


def sgd(groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    return SGD(groups, lr=0.01, momentum=0.9)


def adam(groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    return Adam(groups, lr=0.01)


def _sequential(optimizer: torch.optim.Optimizer) -> Any:
    rise = stock_schedulers.LinearLR(optimizer, start_factor=0.1, total_iters=6)
    fall = stock_schedulers.CosineAnnealingLR(optimizer, T_max=STEPS - 6)
    return stock_schedulers.SequentialLR(optimizer, [rise, fall], milestones=[6])


def _chained(optimizer: torch.optim.Optimizer) -> Any:
    first = stock_schedulers.ConstantLR(optimizer, factor=0.5, total_iters=5)
    return stock_schedulers.ChainedScheduler(
        [first, stock_schedulers.ExponentialLR(optimizer, 0.9)], optimizer
    )


SCHEDULERS: dict[str, Attach] = {
    "lambda": lambda o: stock_schedulers.LambdaLR(o, [lambda s: 0.9**s, lambda s: 1 / (1 + s)]),
    "step": lambda o: stock_schedulers.StepLR(o, step_size=7, gamma=0.3),
    "cosine": lambda o: stock_schedulers.CosineAnnealingLR(o, T_max=STEPS, eta_min=1e-4),
    "linear": lambda o: stock_schedulers.LinearLR(o, start_factor=0.2, total_iters=10),
    "sequential": _sequential,
    "chained": _chained,
    "one cycle": lambda o: stock_schedulers.OneCycleLR(
        o, max_lr=[0.02, 0.05], total_steps=STEPS, cycle_momentum=False
    ),
    "one cycle, betas": lambda o: stock_schedulers.OneCycleLR(o, 0.02, total_steps=STEPS),
    "restarts": lambda o: stock_schedulers.CosineAnnealingWarmRestarts(o, T_0=5),
}


@pytest.mark.parametrize("case", SCHEDULERS)
def test_scheduler_object_trains_as_in_pytorch(case: str) -> None:
    attach = SCHEDULERS[case]
    captured = capture(adamw, STEPS, schedule=attach)
    assert worst_difference(captured, stock(adamw, STEPS, attach)) < 1e-5


@pytest.mark.parametrize("make", [sgd, adam])
def test_momentum_that_cycles_is_a_column(make: Callable) -> None:
    def attach(optimizer: torch.optim.Optimizer) -> Any:
        return stock_schedulers.OneCycleLR(optimizer, 0.02, total_steps=STEPS)

    captured = capture(make, STEPS, schedule=attach)
    assert worst_difference(captured, stock(make, STEPS, attach)) < 1e-5


def test_scheduler_steps_once_per_update_when_gradients_accumulate() -> None:
    attach = SCHEDULERS["step"]
    captured = capture(adamw, STEPS, schedule=attach, accumulate=3)
    assert worst_difference(captured, stock(adamw, STEPS, attach, 3), every=3) < 1e-5


def test_neither_the_scheduler_nor_the_optimizer_is_changed() -> None:
    model = Fed()
    optimizer = adamw(model.two_groups())
    scheduler = SCHEDULERS["one cycle, betas"](optimizer)
    before = copy.deepcopy((optimizer.state_dict(), scheduler.state_dict()))
    course = course_of(optimizer, scheduler, STEPS)
    assert course.cycles
    assert (optimizer.state_dict(), scheduler.state_dict()) == before
    assert all(p.grad is None for p in model.parameters())


def test_parameters_are_not_copied_for_the_scheduler() -> None:
    class Counted(torch.nn.Parameter):
        copies = 0

        def __deepcopy__(self, memo: dict) -> Any:
            Counted.copies += 1
            return super().__deepcopy__(memo)

    optimizer = SGD([Counted(torch.zeros(3))], lr=0.1)
    course_of(optimizer, SCHEDULERS["step"](optimizer), 10)
    assert Counted.copies == 0


def rates(schedule: Any, steps: int, groups: int = 1) -> list[list[float]]:
    parameters = [{"params": [torch.nn.Parameter(torch.zeros(1))]} for _ in range(groups)]
    course = course_of(SGD(parameters, lr=1.0), schedule, steps)
    return [[rate for rate, _ in row] for row in course.settings]


@pytest.mark.parametrize(
    ("own", "stock_one"),
    [
        (constant, lambda o: stock_schedulers.ConstantLR(o, factor=1.0)),
        (step_decay(7, 0.3), lambda o: stock_schedulers.StepLR(o, 7, 0.3)),
        (cosine(30, 0.1), lambda o: stock_schedulers.CosineAnnealingLR(o, 30, eta_min=0.1)),
        (linear(20, 0.5, 0.1), lambda o: stock_schedulers.LinearLR(o, 0.5, 0.1, total_iters=20)),
        (
            one_cycle(30),
            lambda o: stock_schedulers.OneCycleLR(o, 1.0, total_steps=30, cycle_momentum=False),
        ),
    ],
)
def test_function_gives_the_rates_of_pytorchs_scheduler(own: Any, stock_one: Attach) -> None:
    optimizer = SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    expected = course_of(optimizer, stock_one(optimizer), 30)
    np.testing.assert_allclose(
        rates(own, 30), [[r for r, _ in row] for row in expected.settings], rtol=1e-9, atol=1e-12
    )


def test_warmup_hands_over_to_a_schedule_that_begins_at_its_own_zero() -> None:
    joined = warmup(4, cosine(10))
    assert [joined(s) for s in range(4)] == [0.25, 0.5, 0.75, 1.0]
    assert [joined(4 + s) for s in range(5)] == [cosine(10)(s) for s in range(5)]
    assert [warmup_cosine(14, 4)(s) for s in range(14)] == pytest.approx(
        [joined(s) for s in range(14)]
    )


def test_each_group_may_have_a_schedule_of_its_own() -> None:
    assert rates([constant, linear(2)], 3, groups=2) == [[1, 1], [1, 0.5], [1, 0]]
    with pytest.raises(CaptureError, match=r"3 factors.*2 groups.*docs/CAPTURE\.md"):
        rates([constant] * 3, 3, groups=2)


def test_engines_agree_on_a_task_with_cycling_momentum() -> None:
    assert_engines_agree(capture(adamw, 4, schedule=SCHEDULERS["one cycle, betas"]))


@pytest.mark.parametrize(
    ("make", "attach", "error", "message"),
    [
        (adamw, stock_schedulers.ReduceLROnPlateau, CaptureError, "not known when"),
        (adamw, lambda _: SCHEDULERS["step"](sgd(Fed().two_groups())), CaptureError, "another"),
        (
            adamw,
            lambda o: stock_schedulers.OneCycleLR(o, 0.1, total_steps=5, cycle_momentum=False),
            CaptureError,
            r"refuses step 6.*number of updates",
        ),
        (
            lambda p: RMSprop(p, momentum=0.9),
            lambda o: stock_schedulers.OneCycleLR(o, 0.1, total_steps=STEPS),
            UnsupportedOptimizer,
            "cycle_momentum=False",
        ),
        (adamw, lambda _: lambda _: float("nan"), CaptureError, "rate nan at update 0"),
        (adamw, lambda o: SCHEDULERS["step"](o) and None, CaptureError, "initial_lr"),
    ],
)
def test_schedules_that_make_no_sense_are_refused(
    make: Any, attach: Attach, error: type, message: str
) -> None:
    with pytest.raises(error, match=message):
        capture(make, STEPS, schedule=attach)


def test_scheduler_that_has_run_is_refused() -> None:
    def attach(optimizer: torch.optim.Optimizer) -> Any:
        scheduler = SCHEDULERS["step"](optimizer)
        optimizer.step()
        scheduler.step()
        return scheduler

    with pytest.raises(CaptureError, match="stands at step 1"):
        capture(adamw, STEPS, schedule=attach)


@pytest.mark.parametrize(
    "make",
    [lambda: step_decay(0), lambda: linear(0), lambda: warmup(-1), lambda: one_cycle(3, 0.3)],
)
def test_functions_over_no_steps_are_refused(make: Callable) -> None:
    with pytest.raises(ValueError, match=r"sense|room"):
        make()
