"""What all optimisers share: a parameter group, and the writing of one parameter's update.

An update is pointwise wherever it can be: one node per state tensor and one for the parameter,
each reading its own element, so that an executor overwrites the tensor in place.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from protocol.capture.errors import Origin
from protocol.capture.lowering.context import Context
from protocol.capture.lowering.reductions import float_sum
from protocol.capture.writing.values import Lazy, Lowered, Shape, View, reshaped
from protocol.capture.writing.writer import Writer
from protocol.program.body import Value
from protocol.program.builder import FoldBuilder
from protocol.program.isa import DType


@dataclass(frozen=True)
class Slot:
    """A state tensor that a parameter gets: PyTorch's name for it, its shape and first value."""

    role: str
    shape: Shape
    initial: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Group(ABC):
    """One parameter group: hyperparameters as Python doubles, and its columns in the table.

    ``cycles``: the momentum (or first beta) changes from step to step and stands in the table's
    last column of the group, not in the program.
    """

    kind: ClassVar[str]
    may_cycle: ClassVar[bool] = False

    rate: float
    weight_decay: float
    maximize: bool = False
    cycles: bool = False
    first_column: int = 0

    @staticmethod
    @abstractmethod
    def options(options: dict[str, Any]) -> dict[str, Any]:
        """This kind's own fields from a group of PyTorch's ``param_groups``."""

    @abstractmethod
    def slots(self, shape: Shape) -> list[Slot]:
        """The state tensors of a parameter of ``shape``."""

    @abstractmethod
    def row(self, rate: float, update: int, momentum: float | None) -> list[float]:
        """The group's columns at ``update`` (0-based) for this learning rate and momentum."""

    @abstractmethod
    def write(self, update: Update, state: Sequence[View]) -> tuple[View, list[View]]:
        """Write the folds; returns the new parameter and its new state tensors."""


class PlaceContext(Context):
    """What lowering helpers need when no graph node is being lowered."""

    def __init__(self, writer: Writer, place: Origin, label: str) -> None:
        self.writer = writer
        self._place, self._label = place, label

    @property
    def origin(self) -> Origin:
        """Where the folds belong."""
        return self._place

    @property
    def operator(self) -> str:
        """What their origins call them."""
        return self._label


def sum_of_squares(ctx: Context, value: Lowered) -> View:
    """A scalar: the sum of the squares of all elements, in the order of every float sum."""
    if not value.shape:
        flat = reshaped(value, (1,))
        assert flat is not None  # a scalar needs no copy
        value = flat
    return float_sum(ctx, value, range(len(value.shape)), square=True)


class Update:
    """One parameter's update while it is written.

    ``row`` is the step's row of the schedule table. With an ``apply`` column every tensor keeps
    its value at the steps where that column is 0.
    """

    def __init__(
        self,
        writer: Writer,
        group: Group,
        name: str,
        row: View,
        parameter: View,
        gradient: Lowered,
        apply: int | None = None,
    ) -> None:
        self.writer, self.group, self.row, self.parameter = writer, group, row, parameter
        self.origin = Origin(name, "opt")
        self.apply = apply
        self.gradient = gradient
        if group.maximize:
            ctx = self.context("gradient")
            self.gradient = ctx.lazy(
                lambda b, v: b.neg(v[0]), gradient, shape=parameter.shape, dtype=DType.F32
            )

    def fold(self, shape: Shape | None = None) -> FoldBuilder:
        """A pointwise node of the parameter's shape, or of another."""
        return FoldBuilder(DType.F32, self.parameter.shape if shape is None else shape)

    def own(self, b: FoldBuilder) -> Value:
        """The parameter's element."""
        return self.load(b, self.parameter)

    def load(self, b: FoldBuilder, value: Lowered) -> Value:
        """The element of ``value``, broadcast to the fold's shape."""
        return self.writer.emit(b, value)

    def decayed_gradient(self, b: FoldBuilder) -> Value:
        """The gradient with L2 decay: ``g + decay * p``."""
        gradient = self.load(b, self.gradient)
        if not self.group.weight_decay:
            return gradient
        return b.fma(b.f32(self.group.weight_decay), self.own(b), gradient)

    def decayed(self) -> Lowered:
        """The decayed gradient as an expression that waits for its consumer."""
        if not self.group.weight_decay:
            return self.gradient
        decay = self.group.weight_decay
        return self.context("gradient").lazy(
            lambda b, v: b.fma(b.f32(decay), v[1], v[0]),
            self.gradient,
            self.parameter,
            shape=self.parameter.shape,
            dtype=DType.F32,
        )

    def column(self, b: FoldBuilder, column: int) -> Value:
        """The group's column of the table's row."""
        return column_of(self.row, self.group.first_column + column).load(b, [])

    def finish(self, b: FoldBuilder, result: Value, old: View, role: str) -> View:
        """Write the node whose value takes the place of the state tensor ``old``."""
        if self.apply is not None:
            is_applied = b.flt(b.f32(0.0), column_of(self.row, self.apply).load(b, []))
            result = b.select(is_applied, result, self.load(b, old))
        return self.writer.add(b.finish(result), self.origin, f"{self.group.kind}.{role}")

    def context(self, role: str) -> PlaceContext:
        """For reductions and expressions."""
        return PlaceContext(self.writer, self.origin, f"{self.group.kind}.{role}")


def column_of(row: View, column: int) -> View:
    """One number of the step's row."""
    return row.select(0, column)


def scaled(ctx: Context, value: Lowered, factor: View) -> Lazy:
    """``value * factor`` with a scalar factor, waiting for its consumer."""
    return ctx.lazy(
        lambda b, v: b.mul(v[0], v[1]), value, factor, shape=value.shape, dtype=DType.F32
    )
