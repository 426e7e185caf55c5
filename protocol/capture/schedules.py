"""Learning-rate schedules: factors of the base rate, or PyTorch's own scheduler objects.

A factor is a function of the step, as ``LambdaLR`` takes. Schedulers are run at build time on a
copy of the optimiser's groups; what they set at each step is what the task commits to.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from protocol.capture.errors import CaptureError

Schedule = Callable[[int], float]
AnySchedule = Schedule | Sequence[Schedule] | LRScheduler
Settings = list[list[tuple[float, float | None]]]

_READ = "(docs/CAPTURE.md, Schedules)"
_LARGEST = 3.4028234663852886e38  # of float32


def constant(step: int) -> float:
    """The base rate at every step."""
    del step
    return 1.0


def step_decay(every: int, factor: float = 0.1) -> Schedule:
    """The rate times ``factor`` after each ``every`` steps, as ``StepLR``."""
    if every < 1:
        raise ValueError(f"a step decay every {every} steps makes no sense; give 1 or more")
    return lambda step: factor ** (step // every)


def linear(steps: int, start: float = 1.0, end: float = 0.0) -> Schedule:
    """A straight line from ``start`` at step 0 to ``end`` at ``steps``, constant afterwards."""
    if steps < 1:
        raise ValueError(f"a line over {steps} steps makes no sense; give 1 or more")
    return lambda step: start + (end - start) * min(step, steps) / steps


def cosine(steps: int, floor: float = 0.0) -> Schedule:
    """Half a cosine from 1 down to ``floor`` at ``steps``, as ``CosineAnnealingLR``."""
    return warmup_cosine(steps, 0, floor)


def warmup(steps: int, then: Schedule = constant) -> Schedule:
    """Linear warm-up over ``steps`` steps; then ``then``, counted from its own step 0."""
    if steps < 0:
        raise ValueError(f"warm-up of {steps} steps makes no sense; give 0 or more")
    return lambda step: (step + 1) / steps if step < steps else then(step - steps)


def warmup_cosine(steps: int, warmup: int, floor: float = 0.0) -> Schedule:
    """Linear warm-up over ``warmup`` steps, then half a cosine down to ``floor`` at ``steps``."""
    if not 0 <= warmup <= steps:
        raise ValueError(f"warm-up of {warmup} steps does not fit a run of {steps} steps")

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        progress = (step - warmup) / max(1, steps - warmup)
        return floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))

    return factor


def one_cycle(steps: int, rise: float = 0.3, start: float = 0.04, end: float = 4e-6) -> Schedule:
    """Half a cosine from ``start`` up to 1 over the share ``rise`` of a run, then down to ``end``.

    The defaults are ``OneCycleLR``'s, whose ``max_lr`` is then the optimiser's rate.
    """
    peak = rise * steps - 1
    if not 0 < peak < steps - 1:
        raise ValueError(f"a rise of {rise} of {steps} steps leaves no room to rise or to fall")

    def factor(step: int) -> float:
        low, progress = (start, step / peak) if step <= peak else (end, 0.0)
        if step > peak:
            progress = 1.0 - min(1.0, (step - peak) / (steps - 1 - peak))
        return low + (1.0 - low) * 0.5 * (1.0 - math.cos(math.pi * progress))

    return factor


@dataclass(frozen=True)
class Course:
    """Of each update and group: learning rate, and momentum where the schedule changes it."""

    settings: Settings

    @property
    def cycles(self) -> bool:
        """Does the momentum change?"""
        return any(momentum is not None for row in self.settings for _, momentum in row)


def course_of(
    optimizer: torch.optim.Optimizer, schedule: AnySchedule | None, updates: int
) -> Course:
    """What the schedule sets at each of ``updates`` updates.

    CaptureError for a scheduler of another optimiser, one that has run, one that needs losses, a
    number of factors that is not the groups', and a scheduler that was made but not passed.
    """
    if isinstance(schedule, LRScheduler):
        return _run(optimizer, schedule, updates)
    groups = getattr(optimizer, "param_groups", [])  # what is no optimiser is refused later
    if any("initial_lr" in group for group in groups):
        raise CaptureError(
            "the optimiser has a scheduler that the task would not follow: its groups hold "
            "initial_lr, but schedule is no scheduler; pass schedule=<the scheduler>, or make a "
            f"fresh optimiser {_READ}"
        )
    wrong = [one for one in _factors(schedule) if not callable(one) or isinstance(one, type)]
    if wrong:
        raise CaptureError(
            f"schedule is {wrong[0]!r}, expected a function of the number of the update, one such "
            f"function per group, or a scheduler object made with the optimiser {_READ}"
        )
    if isinstance(schedule, Sequence):
        factors = list(schedule)
    else:
        factors = [schedule or constant] * len(groups)
    if len(factors) != len(groups):
        raise CaptureError(
            f"schedule gives {len(factors)} factors but the optimiser has {len(groups)} groups; "
            f"give one function for all, or one per group {_READ}"
        )
    rates = [float(group["lr"]) for group in groups]
    settings: Settings = [
        [(rate * factor(update), None) for rate, factor in zip(rates, factors, strict=True)]
        for update in range(updates)
    ]
    return _checked(settings)


def _factors(schedule: object) -> list[Any]:
    """What should be functions; a text is one thing, not a sequence of them."""
    if schedule is None:
        return []
    is_several = isinstance(schedule, Sequence) and not isinstance(schedule, str)
    return list(schedule) if is_several else [schedule]  # type: ignore[call-overload]


def _run(optimizer: torch.optim.Optimizer, schedule: LRScheduler, updates: int) -> Course:
    """Step a copy of the scheduler; the parameters themselves are not copied."""
    if isinstance(schedule, ReduceLROnPlateau):
        raise CaptureError(
            "ReduceLROnPlateau sets rates by the losses of the run, which are not known when the "
            f"task is built; use a schedule that depends on the step only {_READ}"
        )
    if schedule.optimizer is not optimizer:
        raise CaptureError(
            f"the scheduler {type(schedule).__name__} belongs to another optimiser than the one "
            f"of the task; make it with the task's optimiser {_READ}"
        )
    if getattr(schedule, "last_epoch", 0) != 0:
        raise CaptureError(
            f"the scheduler {type(schedule).__name__} stands at step {schedule.last_epoch}, a task "
            f"starts at 0; make a fresh optimiser and scheduler {_READ}"
        )
    own = {id(p): p for group in optimizer.param_groups for p in group["params"]}
    twin = copy.deepcopy(schedule, memo=own)
    groups = twin.optimizer.param_groups
    rates, momenta = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no optimiser steps between: it is the point
        for update in range(updates):
            rates.append([float(group["lr"]) for group in groups])
            momenta.append([_momentum(group) for group in groups])
            if update + 1 < updates:
                _advance(twin, update)
    has_cycles = any(row != momenta[0] for row in momenta)
    return _checked(
        [
            [(rate, momentum if has_cycles else None) for rate, momentum in zip(*row, strict=True)]
            for row in zip(rates, momenta, strict=True)
        ]
    )


def _advance(schedule: LRScheduler, update: int) -> None:
    try:
        schedule.step()
    except ValueError as error:
        raise CaptureError(
            f"the scheduler {type(schedule).__name__} refuses step {update + 1}: {error}; give it "
            f"the number of updates that the task makes {_READ}"
        ) from error


def _momentum(group: dict[str, Any]) -> float | None:
    value = group["betas"][0] if "betas" in group else group.get("momentum")
    return None if value is None else float(value)


def _checked(settings: Settings) -> Course:
    for update, row in enumerate(settings):
        for rate, _ in row:
            if not abs(rate) <= _LARGEST:
                raise CaptureError(
                    f"the schedule gives the rate {rate} at update {update}, which is no finite "
                    f"float32; correct the schedule, or the optimiser's lr {_READ}"
                )
    return Course(settings)
