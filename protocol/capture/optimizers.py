"""SGD, Adam and AdamW as folds; everything that depends on the step stands in a table.

Learning rates and bias corrections are computed in double, rounded once and committed as the data
tensor ``schedule`` (a row per step): f32 ``1 - beta ** t`` inside the program would be ten times
less accurate, and every schedule is the same program.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from protocol.capture.errors import Origin, UnsupportedOptimizer
from protocol.capture.schedules import Schedule
from protocol.capture.values import View
from protocol.capture.writer import Writer
from protocol.program.body import Value
from protocol.program.builder import FoldBuilder
from protocol.program.isa import DType

ROLES = {
    "sgd": ("momentum_buffer",),
    "adam": ("exp_avg", "exp_avg_sq"),
    "adamw": ("exp_avg", "exp_avg_sq"),
}


@dataclass(frozen=True)
class Group:
    """One parameter group: hyperparameters as Python doubles, and its columns in the table."""

    kind: str
    rate: float
    weight_decay: float
    momentum: float = 0.0
    dampening: float = 0.0
    nesterov: bool = False
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    first_column: int = 0

    @property
    def roles(self) -> tuple[str, ...]:
        """Names of the state tensors that each parameter gets, as PyTorch calls them."""
        if self.kind == "sgd" and self.momentum == 0.0:
            return ()
        return ROLES[self.kind]

    def row(self, rate: float, step: int) -> list[float]:
        """This group's columns at ``step`` (0-based) for the learning rate ``rate``."""
        if self.kind == "sgd":
            # PyTorch's first momentum step takes the gradient undamped.
            return [-rate, 1.0 if step == 0 else 1.0 - self.dampening]
        first = 1.0 - self.betas[0] ** (step + 1)
        second = 1.0 - self.betas[1] ** (step + 1)
        return [-rate / first, 1.0 / second**0.5, 1.0 - rate * self.weight_decay]


def read_groups(
    optimizer: torch.optim.Optimizer, names: dict[int, str]
) -> tuple[list[Group], dict[str, int]]:
    """Groups of a stock optimiser and the group of each parameter name.

    ``names`` maps ``id(parameter)`` to its name in the model. UnsupportedOptimizer for other
    optimisers and for options that have no lowering.
    """
    kinds = {torch.optim.SGD: "sgd", torch.optim.Adam: "adam", torch.optim.AdamW: "adamw"}
    kind = kinds.get(type(optimizer))
    if kind is None:
        raise UnsupportedOptimizer(
            f"optimiser {type(optimizer).__name__} has no lowering; use one of "
            "torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW"
        )
    if optimizer.state:
        raise UnsupportedOptimizer(
            "the optimiser already holds state of earlier steps; make a fresh one for the capture"
        )
    groups, group_of, column = [], {}, 0
    for number, options in enumerate(optimizer.param_groups):
        for option in ("amsgrad", "maximize", "differentiable"):
            if options.get(option):
                raise UnsupportedOptimizer(
                    f"option {option}=True of {type(optimizer).__name__} has no lowering; "
                    "leave it False"
                )
        group = _group(kind, options, column)
        column += len(group.row(0.0, 0))
        groups.append(group)
        for parameter in options["params"]:
            name = names.get(id(parameter))
            if name is None:
                raise UnsupportedOptimizer(
                    f"group {number} of the optimiser holds a tensor of shape "
                    f"{tuple(parameter.shape)} that is not a parameter of the model"
                )
            group_of[name] = number
    return groups, group_of


def _group(kind: str, options: dict[str, Any], column: int) -> Group:
    rate, decay = float(options["lr"]), float(options["weight_decay"])
    if kind == "sgd":
        return Group(
            kind,
            rate,
            decay,
            momentum=float(options["momentum"]),
            dampening=float(options["dampening"]),
            nesterov=bool(options["nesterov"]),
            first_column=column,
        )
    betas = (float(options["betas"][0]), float(options["betas"][1]))
    if options.get("decoupled_weight_decay"):
        kind = "adamw"
    return Group(kind, rate, decay, betas=betas, epsilon=float(options["eps"]), first_column=column)


def schedule_table(groups: Sequence[Group], schedule: Schedule, steps: int) -> np.ndarray:
    """f32 [steps, columns]: each group's columns, computed in double and rounded once."""
    rows = [
        [value for group in groups for value in group.row(group.rate * schedule(step), step)]
        for step in range(steps)
    ]
    return np.asarray(rows, dtype=np.float64).astype(np.float32)


def write_update(
    writer: Writer,
    group: Group,
    name: str,
    row: View,
    parameter: View,
    gradient: View,
    state: Sequence[View],
) -> tuple[View, list[View]]:
    """Write one parameter's update; returns the new parameter and its new state tensors."""
    update = _Update(writer, group, Origin(name, "opt"), row, parameter, gradient)
    if group.kind == "sgd":
        return update.sgd(state)
    return update.adam(state)


@dataclass
class _Update:
    writer: Writer
    group: Group
    origin: Origin
    row: View
    parameter: View
    gradient: View

    def sgd(self, state: Sequence[View]) -> tuple[View, list[View]]:
        if not self.group.roles:
            b = self._fold()
            moved = b.fma(self._column(b, 0), self._decayed_gradient(b), self._own(b))
            return self._finish(b, moved, "sgd.param"), []
        momentum = self.group.momentum
        b = self._fold()
        gradient = self._decayed_gradient(b)
        if self.group.dampening:
            gradient = b.mul(gradient, self._column(b, 1))
        kept = b.fma(b.f32(momentum), self._load(b, state[0]), gradient)
        buffer = self._finish(b, kept, "sgd.momentum_buffer")
        b = self._fold()
        direction = self._load(b, buffer)
        if self.group.nesterov:
            direction = b.fma(b.f32(momentum), direction, self._decayed_gradient(b))
        moved = b.fma(self._column(b, 0), direction, self._own(b))
        return self._finish(b, moved, "sgd.param"), [buffer]

    def adam(self, state: Sequence[View]) -> tuple[View, list[View]]:
        """Mean m += (1 - b1)(g - m); v = b2 v + (1 - b2) g g; p -= rate * m^ / (sqrt(v^) + eps)."""
        kind = self.group.kind
        first, second = self.group.betas
        b = self._fold()
        mean = self._load(b, state[0])
        change = b.sub(self._adam_gradient(b), mean)
        exp_avg = self._finish(b, b.fma(b.f32(1.0 - first), change, mean), f"{kind}.exp_avg")
        b = self._fold()
        gradient = self._adam_gradient(b)
        kept = b.mul(b.f32(second), self._load(b, state[1]))
        square = b.fma(b.mul(b.f32(1.0 - second), gradient), gradient, kept)
        exp_avg_sq = self._finish(b, square, f"{kind}.exp_avg_sq")
        b = self._fold()
        root = b.sqrt(self._load(b, exp_avg_sq))
        denominator = b.fma(root, self._column(b, 1), b.f32(self.group.epsilon))
        ratio = b.div(self._load(b, exp_avg), denominator)
        own = self._own(b)
        if kind == "adamw" and self.group.weight_decay:
            own = b.mul(own, self._column(b, 2))
        moved = b.fma(self._column(b, 0), ratio, own)
        return self._finish(b, moved, f"{kind}.param"), [exp_avg, exp_avg_sq]

    def _adam_gradient(self, b: FoldBuilder) -> Value:
        return (
            self._load(b, self.gradient)
            if self.group.kind == "adamw"
            else self._decayed_gradient(b)
        )

    def _decayed_gradient(self, b: FoldBuilder) -> Value:
        gradient = self._load(b, self.gradient)
        if not self.group.weight_decay:
            return gradient
        return b.fma(b.f32(self.group.weight_decay), self._own(b), gradient)

    def _fold(self) -> FoldBuilder:
        return FoldBuilder(DType.F32, self.parameter.shape)

    def _own(self, b: FoldBuilder) -> Value:
        return self._load(b, self.parameter)

    def _load(self, b: FoldBuilder, view: View) -> Value:
        return view.load(b, [b.out(i) for i in range(len(b.shape))])

    def _column(self, b: FoldBuilder, column: int) -> Value:
        return self.row.select(0, self.group.first_column + column).load(b, [])

    def _finish(self, b: FoldBuilder, result: Value, operator: str) -> View:
        return self.writer.add(b.finish(result), self.origin, operator)
