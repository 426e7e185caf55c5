"""RMSprop, plain or centred, with or without momentum, as ``torch.optim.RMSprop``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from protocol.capture.updates.base import Group, Slot, Update
from protocol.capture.writing.values import Shape, View


@dataclass(frozen=True, kw_only=True)
class RmsProp(Group):
    """Column: -rate."""

    kind = "rmsprop"

    alpha: float
    epsilon: float
    momentum: float
    centered: bool

    @staticmethod
    def options(options: dict[str, Any]) -> dict[str, Any]:
        """Smoothing, epsilon, momentum and whether the variance is centred."""
        return {
            "alpha": float(options["alpha"]),
            "epsilon": float(options["eps"]),
            "momentum": float(options["momentum"]),
            "centered": bool(options["centered"]),
        }

    def slots(self, shape: Shape) -> list[Slot]:
        """The mean square, the mean if centred, the buffer if there is momentum."""
        roles = ["square_avg"]
        roles += ["grad_avg"] if self.centered else []
        roles += ["momentum_buffer"] if self.momentum else []
        return [Slot(role, shape) for role in roles]

    def row(self, rate: float, update: int, momentum: float | None) -> list[float]:
        """The rate alone."""
        del update, momentum
        return [-rate]

    def write(self, update: Update, state: Sequence[View]) -> tuple[View, list[View]]:
        """The centred variance is s - m m with a rounded product, as PyTorch computes it."""
        before = {slot.role: s for slot, s in zip(self.slots(()), state, strict=True)}
        b = update.fold()
        gradient = update.decayed_gradient(b)
        kept = b.mul(b.f32(self.alpha), update.load(b, before["square_avg"]))
        square = b.fma(b.mul(b.f32(1.0 - self.alpha), gradient), gradient, kept)
        after = [update.finish(b, square, before["square_avg"], "square_avg")]
        if self.centered:
            b = update.fold()
            mean = update.load(b, before["grad_avg"])
            change = b.sub(update.decayed_gradient(b), mean)
            mean = b.fma(b.f32(1.0 - self.alpha), change, mean)
            after.append(update.finish(b, mean, before["grad_avg"], "grad_avg"))
        b = update.fold()
        variance = update.load(b, after[0])
        if self.centered:
            mean = update.load(b, after[1])
            variance = b.sub(variance, b.mul(mean, mean))
        deviation = b.add(b.sqrt(variance), b.f32(self.epsilon))
        direction = b.div(update.decayed_gradient(b), deviation)
        if self.momentum:
            buffer = update.load(b, before["momentum_buffer"])
            direction = b.fma(b.f32(self.momentum), buffer, direction)
            after.append(update.finish(b, direction, before["momentum_buffer"], "momentum_buffer"))
            b = update.fold()
            direction = update.load(b, after[-1])
        moved = b.fma(update.column(b, 0), direction, update.own(b))
        return update.finish(b, moved, update.parameter, "param"), after
