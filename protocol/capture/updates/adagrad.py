"""Adagrad with decay of the rate, as ``torch.optim.Adagrad``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from protocol.capture.updates.base import Group, Slot, Update
from protocol.capture.writing.values import Shape, View


@dataclass(frozen=True, kw_only=True)
class Adagrad(Group):
    """Column: -rate / (1 + update * rate decay)."""

    kind = "adagrad"

    rate_decay: float
    initial: float
    epsilon: float

    @staticmethod
    def options(options: dict[str, Any]) -> dict[str, Any]:
        """Decay of the rate, first value of the sums, epsilon."""
        return {
            "rate_decay": float(options["lr_decay"]),
            "initial": float(options["initial_accumulator_value"]),
            "epsilon": float(options["eps"]),
        }

    def slots(self, shape: Shape) -> list[Slot]:
        """The sum of squares."""
        return [Slot("sum", shape, self.initial)]

    def row(self, rate: float, update: int, momentum: float | None) -> list[float]:
        """The decayed rate."""
        del momentum
        return [-rate / (1.0 + update * self.rate_decay)]

    def write(self, update: Update, state: Sequence[View]) -> tuple[View, list[View]]:
        """Sum += g g; p -= rate * g / (sqrt(sum) + eps)."""
        b = update.fold()
        gradient = update.decayed_gradient(b)
        total = b.fma(gradient, gradient, update.load(b, state[0]))
        squares = update.finish(b, total, state[0], "sum")
        b = update.fold()
        deviation = b.add(b.sqrt(update.load(b, squares)), b.f32(self.epsilon))
        ratio = b.div(update.decayed_gradient(b), deviation)
        moved = b.fma(update.column(b, 0), ratio, update.own(b))
        return update.finish(b, moved, update.parameter, "param"), [squares]
