"""Adam (L2 decay) and AdamW (decoupled decay), with amsgrad, as in ``torch.optim``.

m += (1 - b1)(g - m); v = b2 v + (1 - b2) g g; p -= rate * m^ / (sqrt(v^) + eps). Bias corrections
are computed in double and committed in the table: f32 ``1 - beta ** t`` inside the program would be
ten times less accurate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from protocol.capture.updates.base import Group, Slot, Update
from protocol.capture.writing.values import Shape, View
from protocol.program.body import Value
from protocol.program.builder import FoldBuilder


@dataclass(frozen=True, kw_only=True)
class Adam(Group):
    """Columns: -rate / bias, 1 / sqrt(bias), 1 - rate * decay, and 1 - beta1 if it cycles."""

    kind = "adam"
    may_cycle = True

    betas: tuple[float, float]
    epsilon: float
    amsgrad: bool

    @staticmethod
    def options(options: dict[str, Any]) -> dict[str, Any]:
        """Betas, epsilon and amsgrad."""
        return {
            "betas": (float(options["betas"][0]), float(options["betas"][1])),
            "epsilon": float(options["eps"]),
            "amsgrad": bool(options["amsgrad"]),
        }

    def slots(self, shape: Shape) -> list[Slot]:
        """Both moments, and the largest second one for amsgrad."""
        roles = ["exp_avg", "exp_avg_sq", *(["max_exp_avg_sq"] if self.amsgrad else [])]
        return [Slot(role, shape) for role in roles]

    def row(self, rate: float, update: int, momentum: float | None) -> list[float]:
        """PyTorch corrects by the first beta of this step, also where that changes."""
        beta = self.betas[0] if momentum is None else momentum
        first = 1.0 - beta ** (update + 1)
        second = 1.0 - self.betas[1] ** (update + 1)
        row = [-rate / first, 1.0 / second**0.5, 1.0 - rate * self.weight_decay]
        return [*row, 1.0 - beta] if self.cycles else row

    def write(self, update: Update, state: Sequence[View]) -> tuple[View, list[View]]:
        """A node for each moment and one for the parameter."""
        b = update.fold()
        mean = update.load(b, state[0])
        change = b.sub(self._gradient(update, b), mean)
        weight = update.column(b, 3) if self.cycles else b.f32(1.0 - self.betas[0])
        exp_avg = update.finish(b, b.fma(weight, change, mean), state[0], "exp_avg")
        b = update.fold()
        gradient = self._gradient(update, b)
        kept = b.mul(b.f32(self.betas[1]), update.load(b, state[1]))
        square = b.fma(b.mul(b.f32(1.0 - self.betas[1]), gradient), gradient, kept)
        exp_avg_sq = update.finish(b, square, state[1], "exp_avg_sq")
        moments = [exp_avg, exp_avg_sq]
        if self.amsgrad:
            b = update.fold()
            largest = b.max(update.load(b, state[2]), update.load(b, exp_avg_sq))
            moments.append(update.finish(b, largest, state[2], "max_exp_avg_sq"))
        b = update.fold()
        root = b.sqrt(update.load(b, moments[-1]))
        denominator = b.fma(root, update.column(b, 1), b.f32(self.epsilon))
        ratio = b.div(update.load(b, exp_avg), denominator)
        own = update.own(b)
        if self.kind == "adamw" and self.weight_decay:
            own = b.mul(own, update.column(b, 2))
        moved = b.fma(update.column(b, 0), ratio, own)
        return update.finish(b, moved, update.parameter, "param"), moments

    def _gradient(self, update: Update, b: FoldBuilder) -> Value:
        return update.decayed_gradient(b)


@dataclass(frozen=True, kw_only=True)
class AdamW(Adam):
    """Adam whose decay shrinks the parameter and leaves the gradient alone."""

    kind = "adamw"

    def _gradient(self, update: Update, b: FoldBuilder) -> Value:
        return update.load(b, update.gradient)
