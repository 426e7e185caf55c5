"""Lion (Chen et al., "Symbolic Discovery of Optimization Algorithms", 2023, algorithm 2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from protocol.capture.updates.base import Group, Slot, Update
from protocol.capture.writing.values import Shape, View


@dataclass(frozen=True, kw_only=True)
class Lion(Group):
    """Columns: -rate, 1 - rate * decay."""

    kind = "lion"

    betas: tuple[float, float]

    @staticmethod
    def options(options: dict[str, Any]) -> dict[str, Any]:
        """Both betas."""
        return {"betas": (float(options["betas"][0]), float(options["betas"][1]))}

    def slots(self, shape: Shape) -> list[Slot]:
        """The mean of the gradients."""
        return [Slot("exp_avg", shape)]

    def row(self, rate: float, update: int, momentum: float | None) -> list[float]:
        """The rate and the decoupled decay."""
        del update, momentum
        return [-rate, 1.0 - rate * self.weight_decay]

    def write(self, update: Update, state: Sequence[View]) -> tuple[View, list[View]]:
        """The parameter moves by the sign of a blend with the mean of the step before."""
        first, second = self.betas
        b = update.fold()
        kept = b.mul(b.f32(first), update.load(b, state[0]))
        blend = b.fma(b.f32(1.0 - first), update.load(b, update.gradient), kept)
        negative = b.select(b.flt(blend, b.f32(0.0)), b.f32(-1.0), blend)
        sign = b.select(b.flt(b.f32(0.0), blend), b.f32(1.0), negative)
        own = update.own(b)
        if self.weight_decay:
            own = b.mul(own, update.column(b, 1))
        moved = b.fma(update.column(b, 0), sign, own)
        parameter = update.finish(b, moved, update.parameter, "param")
        b = update.fold()
        kept = b.mul(b.f32(second), update.load(b, state[0]))
        mean = b.fma(b.f32(1.0 - second), update.load(b, update.gradient), kept)
        return parameter, [update.finish(b, mean, state[0], "exp_avg")]
