"""Adafactor (Shazeer and Stern, 2018) as ``torch.optim.Adafactor`` has it.

The second moment of a matrix is kept as its row and column means. Three numbers per parameter take
whole sums: its norm, the norm of its update, and (per matrix) the mean of the row means; they are
added as every float sum is (``lowering/reductions.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from protocol.capture.lowering.reductions import float_sum, keep_dims
from protocol.capture.updates.base import Group, Slot, Update, column_of, sum_of_squares
from protocol.capture.writing.values import Lowered, Shape, View, elements
from protocol.program.isa import DType


@dataclass(frozen=True, kw_only=True)
class Adafactor(Group):
    """Columns: weight of the new moment, greatest relative rate, 1 - rate * decay."""

    kind = "adafactor"

    moment_decay: float
    epsilons: tuple[float, float]
    clip: float

    @staticmethod
    def options(options: dict[str, Any]) -> dict[str, Any]:
        """PyTorch's beta2_decay, eps (the first defaults to the float's) and d."""
        least, scale = options["eps"]
        least = torch.finfo(torch.float32).eps if least is None else least
        return {
            "moment_decay": float(options["beta2_decay"]),
            "epsilons": (float(least), float(scale)),
            "clip": float(options["d"]),
        }

    def slots(self, shape: Shape) -> list[Slot]:
        """Row and column factors over the last two dimensions, or the whole of a vector."""
        if len(shape) < 2:
            return [Slot("variance", shape)]
        rows, columns = (*shape[:-1], 1), (*shape[:-2], 1, shape[-1])
        return [Slot("row_var", rows), Slot("col_var", columns)]

    def row(self, rate: float, update: int, momentum: float | None) -> list[float]:
        """What depends on the number of updates."""
        del momentum
        count = float(update + 1)
        return [
            count**self.moment_decay,
            min(rate, 1.0 / count**0.5),
            1.0 - rate * self.weight_decay,
        ]

    def write(self, update: Update, state: Sequence[View]) -> tuple[View, list[View]]:
        """The update is computed twice, in its norm and in the parameter: it is never stored."""
        if len(state) == 1:
            kept = [self._vector(update, state[0])]
            direction = self._direction(update, kept[0])
        else:
            kept = [self._factor(update, state[i], dim) for i, dim in enumerate((-1, -2))]
            direction = self._direction(update, *kept)
        b = update.fold()
        own = update.own(b)
        if self.weight_decay:
            own = b.mul(own, update.column(b, 2))
        change = update.load(b, direction)
        moved = b.fma(update.load(b, self._scale(update, direction)), change, own)
        return update.finish(b, moved, update.parameter, "param"), kept

    def _vector(self, update: Update, old: View) -> View:
        b = update.fold()
        gradient = update.load(b, update.gradient)
        before = update.load(b, old)
        change = b.sub(b.mul(gradient, gradient), before)
        kept = b.fma(update.column(b, 0), change, before)
        return update.finish(b, kept, old, "variance")

    def _factor(self, update: Update, old: View, dim: int) -> View:
        """The factor moves towards the mean of g g over ``dim``."""
        role = "row_var" if dim == -1 else "col_var"
        shape = update.parameter.shape
        over = len(shape) + dim
        total = float_sum(update.context(role), update.gradient, [over], square=True)
        b = update.fold(old.shape)
        mean = b.div(update.load(b, keep_dims(total, [over])), b.f32(float(shape[over])))
        before = update.load(b, old)
        kept = b.fma(update.column(b, 0), b.sub(mean, before), before)
        return update.finish(b, kept, old, role)

    def _direction(self, update: Update, *moment: View) -> Lowered:
        """The gradient over the root of its estimated second moment."""
        ctx = update.context("update")
        shape = update.parameter.shape
        least = self.epsilons[0]
        arguments = list(moment)
        if len(moment) == 2:
            over = len(shape) - 2
            total = float_sum(ctx, moment[0], [over])
            arguments.append(keep_dims(total, [over]))

        def emit(b: Any, v: Sequence[Any]) -> Any:
            estimate = v[1]
            if len(moment) == 2:
                mean = b.div(v[3], b.f32(float(shape[-2])))
                estimate = b.div(b.mul(v[1], v[2]), b.max(mean, b.f32(least)))
            root = b.sqrt(b.max(estimate, b.f32(least * least)))
            return b.mul(b.div(b.f32(1.0), root), v[0])

        return ctx.lazy(emit, update.gradient, *arguments, shape=shape, dtype=DType.F32)

    def _scale(self, update: Update, direction: Lowered) -> View:
        """-(size of the parameter) * (relative rate) / (how much the update is too large)."""
        ctx = update.context("scale")
        root = float(elements(update.parameter.shape)) ** 0.5
        own, change = (sum_of_squares(ctx, value) for value in (update.parameter, direction))
        b = update.fold(())
        size = b.div(b.sqrt(own.load(b, [])), b.f32(root))
        size = b.max(b.f32(self.epsilons[1]), size)
        rate = b.mul(size, column_of(update.row, self.first_column + 1).load(b, []))
        excess = b.max(b.f32(1.0), b.div(b.sqrt(change.load(b, [])), b.f32(root * self.clip)))
        return ctx.finish(b, b.neg(b.div(rate, excess)))
