"""Learning-rate schedules: a factor of the base rate for each step, as ``LambdaLR`` takes."""

from __future__ import annotations

import math
from collections.abc import Callable

Schedule = Callable[[int], float]


def constant(step: int) -> float:
    """The base rate at every step."""
    del step
    return 1.0


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
