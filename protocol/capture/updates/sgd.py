"""SGD with momentum, dampening, Nesterov's form and L2 decay, as ``torch.optim.SGD``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from protocol.capture.updates.base import Group, Slot, Update
from protocol.capture.writing.values import Shape, View
from protocol.program.body import Value
from protocol.program.builder import FoldBuilder


@dataclass(frozen=True, kw_only=True)
class Sgd(Group):
    """Columns: -rate, what the gradient is damped by, and the momentum if it cycles."""

    kind = "sgd"
    may_cycle = True

    momentum: float
    dampening: float
    nesterov: bool

    @staticmethod
    def options(options: dict[str, Any]) -> dict[str, Any]:
        """Momentum, dampening and Nesterov's form."""
        return {
            "momentum": float(options["momentum"]),
            "dampening": float(options["dampening"]),
            "nesterov": bool(options["nesterov"]),
        }

    def slots(self, shape: Shape) -> list[Slot]:
        """The momentum buffer, if there is momentum."""
        has_buffer = self.momentum or self.cycles
        return [Slot("momentum_buffer", shape)] if has_buffer else []

    def row(self, rate: float, update: int, momentum: float | None) -> list[float]:
        """PyTorch's first momentum step takes the gradient undamped."""
        row = [-rate, 1.0 if update == 0 else 1.0 - self.dampening]
        return [*row, float(momentum or 0.0)] if self.cycles else row

    def write(self, update: Update, state: Sequence[View]) -> tuple[View, list[View]]:
        """Buffer = momentum * buffer + g; p -= rate * buffer (or g + momentum * buffer)."""
        if not state:
            b = update.fold()
            moved = b.fma(update.column(b, 0), update.decayed_gradient(b), update.own(b))
            return update.finish(b, moved, update.parameter, "param"), []
        b = update.fold()
        gradient = update.decayed_gradient(b)
        if self.dampening:
            gradient = b.mul(gradient, update.column(b, 1))
        kept = b.fma(self._momentum(update, b), update.load(b, state[0]), gradient)
        buffer = update.finish(b, kept, state[0], "momentum_buffer")
        b = update.fold()
        direction = update.load(b, buffer)
        if self.nesterov:
            momentum = self._momentum(update, b)
            direction = b.fma(momentum, direction, update.decayed_gradient(b))
        moved = b.fma(update.column(b, 0), direction, update.own(b))
        return update.finish(b, moved, update.parameter, "param"), [buffer]

    def _momentum(self, update: Update, b: FoldBuilder) -> Value:
        return update.column(b, 2) if self.cycles else b.f32(self.momentum)
