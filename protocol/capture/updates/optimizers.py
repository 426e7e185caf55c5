"""Optimisers as folds; everything that depends on the step stands in a table.

Learning rates and bias corrections are computed in double, rounded once and committed as the data
tensor ``schedule`` (a row per step): every schedule is the same program. ``updates/`` has one file
per optimiser.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from protocol.capture.errors import UnsupportedOptimizer
from protocol.capture.optim import Lion
from protocol.capture.schedules import Course
from protocol.capture.updates import adafactor, adagrad, adam, lion, rmsprop, sgd
from protocol.capture.updates.base import Group, Update
from protocol.capture.writing.values import Lowered, View
from protocol.capture.writing.writer import Writer

KINDS: dict[type[torch.optim.Optimizer], type[Group]] = {
    torch.optim.SGD: sgd.Sgd,
    torch.optim.Adam: adam.Adam,
    torch.optim.AdamW: adam.AdamW,
    torch.optim.RMSprop: rmsprop.RmsProp,
    torch.optim.Adagrad: adagrad.Adagrad,
    torch.optim.Adafactor: adafactor.Adafactor,
    Lion: lion.Lion,
}


def read_groups(
    optimizer: torch.optim.Optimizer, names: dict[int, str], cycles: bool = False
) -> tuple[list[Group], dict[str, int]]:
    """Groups of a stock optimiser and the group of each parameter name.

    ``names`` maps ``id(parameter)`` to its name in the model; ``cycles``: the schedule changes the
    momentum. UnsupportedOptimizer for other optimisers and for options that have no lowering.
    """
    kind = KINDS.get(type(optimizer))
    if kind is None:
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise UnsupportedOptimizer(
                f"the optimiser is {type(optimizer).__name__}, expected one of torch.optim; to "
                "compute outputs without training use inference_from (docs/CAPTURE.md)"
            )
        known = ", ".join(_full_name(one) for one in KINDS)
        raise UnsupportedOptimizer(
            f"optimiser {type(optimizer).__name__} has no lowering; use one of {known} "
            "(docs/CAPTURE.md, What is supported)"
        )
    if _has_stepped(optimizer):
        raise UnsupportedOptimizer(
            "the optimiser already holds state of earlier steps; make a fresh one for the capture"
        )
    hooks = (optimizer._optimizer_step_pre_hooks, optimizer._optimizer_step_post_hooks)
    if any(hooks):
        raise UnsupportedOptimizer(
            f"{type(optimizer).__name__} has hooks of its steps, which a program would not run; "
            "remove them: clipping and moving averages are arguments of task_from "
            "(docs/CAPTURE.md, Updates)"
        )
    if cycles and not kind.may_cycle:
        raise UnsupportedOptimizer(
            f"the schedule changes the momentum of {type(optimizer).__name__}, which only SGD, "
            "Adam and AdamW can follow; pass cycle_momentum=False to the scheduler "
            "(docs/CAPTURE.md, Schedules)"
        )
    groups: list[Group] = []
    group_of: dict[str, int] = {}
    column = 0
    for number, options in enumerate(optimizer.param_groups):
        if options.get("differentiable"):
            raise UnsupportedOptimizer(
                f"option differentiable=True of {type(optimizer).__name__} has no lowering; "
                "leave it False"
            )
        group = replace(_group(kind, options, cycles), first_column=column)
        column += len(group.row(0.0, 0, None))
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


def _full_name(kind: type[torch.optim.Optimizer]) -> str:
    home = "protocol.capture.optim" if kind is Lion else "torch.optim"
    return f"{home}.{kind.__name__}"


def _has_stepped(optimizer: torch.optim.Optimizer) -> bool:
    """Adagrad has state from its construction on: there the count of its steps decides."""
    if isinstance(optimizer, torch.optim.Adagrad):
        return any(float(state["step"]) > 0 for state in optimizer.state.values())
    return bool(optimizer.state)


def _group(kind: type[Group], options: dict[str, Any], cycles: bool) -> Group:
    if kind is adam.Adam and options.get("decoupled_weight_decay"):
        kind = adam.AdamW
    return kind(
        rate=float(options["lr"]),
        weight_decay=float(options["weight_decay"]),
        maximize=bool(options.get("maximize", False)),
        cycles=cycles,
        **kind.options(options),
    )


def schedule_table(groups: Sequence[Group], course: Course) -> np.ndarray:
    """f32 [updates, columns]: each group's columns, computed in double and rounded once."""
    rows = [
        [
            value
            for group, (rate, momentum) in zip(groups, settings, strict=True)
            for value in group.row(rate, update, momentum)
        ]
        for update, settings in enumerate(course.settings)
    ]
    return np.asarray(rows, dtype=np.float64).astype(np.float32)


def write_update(
    writer: Writer,
    group: Group,
    name: str,
    row: View,
    parameter: View,
    gradient: Lowered,
    state: Sequence[View],
    apply: int | None = None,
) -> tuple[View, list[View]]:
    """Write one parameter's update; returns the new parameter and its new state tensors.

    ``apply`` is a column of the table: where it is 0 everything keeps its value.
    """
    update = Update(writer, group, name, row, parameter, gradient, apply)
    return group.write(update, state)
