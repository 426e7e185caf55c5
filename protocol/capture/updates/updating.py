"""What happens between a step's gradients and its new state.

In this order: gradients of several steps are accumulated, their mean is clipped, the optimiser
moves the parameters, and the moving average follows them. With accumulation a step is one micro
batch; a column of the table says at which steps the update is applied, another where a new sum of
gradients begins. The program does not grow with their number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from protocol.capture.captured import MODEL_PREFIX
from protocol.capture.errors import CaptureError, Origin
from protocol.capture.schedules import AnySchedule, course_of
from protocol.capture.updates.base import Group, column_of
from protocol.capture.updates.clipping import Clipping
from protocol.capture.updates.optimizers import read_groups, schedule_table, write_update
from protocol.capture.writing.values import Lowered, View
from protocol.capture.writing.writer import Writer
from protocol.program.builder import FoldBuilder
from protocol.program.isa import DType

OPTIMIZER_PREFIX = "optimizer."
GRADIENT_PREFIX = "gradient."
AVERAGE_PREFIX = "ema."

Decay = float | Callable[[int], float]


@dataclass(frozen=True)
class Updating:
    """The optimiser's groups and what surrounds them; ``table`` is the data tensor ``schedule``."""

    groups: list[Group]
    group_of: dict[str, int]
    table: np.ndarray
    clipping: Clipping = field(default_factory=Clipping)
    accumulate: int = 1
    has_average: bool = False

    def slots(self, name: str, parameter: np.ndarray) -> list[tuple[str, np.ndarray]]:
        """Name and first value of each state tensor that goes with an updated parameter."""
        group = self.groups[self.group_of[name]]
        return [
            (_slot(slot.role, name), np.full(slot.shape, slot.initial, np.float32))
            for slot in group.slots(parameter.shape)
        ]

    def extras(self, name: str, parameter: np.ndarray) -> list[tuple[str, np.ndarray]]:
        """The sum of gradients and the moving average, if the task has them."""
        extras = []
        if self.accumulate > 1:
            extras.append((GRADIENT_PREFIX + name, np.zeros_like(parameter)))
        if self.has_average:
            extras.append((AVERAGE_PREFIX + name, parameter.copy()))
        return extras

    def write(
        self,
        writer: Writer,
        row: View,
        state: Callable[[str], View],
        gradients: Mapping[str, Lowered],
        averages: Mapping[str, Lowered] | None = None,
    ) -> dict[str, View]:
        """Write the updates of the parameters in ``gradients``; the new state tensors by name.

        ``averages`` stand for moving averages, by the name of the parameter.
        """
        new: dict[str, View] = {}
        columns = row.shape[0]
        average = columns - 1 if self.has_average else None
        apply = None
        if self.accumulate > 1:
            apply = columns - 2 - self.has_average
            for name, gradient in gradients.items():
                key = GRADIENT_PREFIX + name
                new[key] = _accumulated(writer, name, row, apply + 1, state(key), gradient)
            gradients = {name: new[GRADIENT_PREFIX + name] for name in gradients}
        changed = self.clipping.write(writer, gradients, 1.0 / self.accumulate)
        for name in gradients:
            gradient = changed[name] if changed else writer.view(gradients[name])
            group = self.groups[self.group_of[name]]
            own = state(MODEL_PREFIX + name)
            slots = [_slot(slot.role, name) for slot in group.slots(own.shape)]
            kept = [state(slot) for slot in slots]
            parameter, after = write_update(writer, group, name, row, own, gradient, kept, apply)
            new[MODEL_PREFIX + name] = parameter
            new.update(zip(slots, after, strict=True))
            if average is not None:
                key = AVERAGE_PREFIX + name
                old = (averages or {}).get(name) or state(key)
                new[key] = _averaged(writer, name, row, average, apply, old, parameter)
        return new


def updating_from(
    optimizer: torch.optim.Optimizer,
    names: dict[int, str],
    steps: int,
    *,
    schedule: AnySchedule | None = None,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    accumulate: int = 1,
    ema: Decay | None = None,
) -> Updating:
    """Read the optimiser and the options of ``task_from``. CaptureError for what makes no sense."""
    if type(accumulate) is not int or accumulate < 1:
        raise CaptureError(
            f"accumulate={accumulate!r}: it counts the micro batches of an update; give a whole "
            "number from 1 (docs/CAPTURE.md, Updates)"
        )
    if steps % accumulate:
        raise CaptureError(
            f"{steps} steps are no multiple of accumulate={accumulate}: the gradients of the last "
            f"{steps % accumulate} would never be applied; a step is one micro batch, so give "
            f"e.g. {steps - steps % accumulate or accumulate} steps (docs/CAPTURE.md, Updates)"
        )
    updates = steps // accumulate
    course = course_of(optimizer, schedule, updates)
    groups, group_of = read_groups(optimizer, names, course.cycles)
    table = np.repeat(schedule_table(groups, course), accumulate, axis=0)
    phase = np.arange(steps) % accumulate
    columns: list[Any] = []
    if accumulate > 1:
        columns = [phase == accumulate - 1, phase == 0]
    if ema is not None:
        columns.append(np.repeat(_weights(ema, updates), accumulate))
    table = np.column_stack([table, *columns]).astype(np.float32)
    clipping = Clipping(clip_norm, clip_value)
    return Updating(groups, group_of, table, clipping, accumulate, ema is not None)


def averaged(state: Mapping[str, Any]) -> dict[str, Any]:
    """The state with each parameter replaced by its moving average, for ``load_into``.

    Parameters that are not trained, and buffers, have no average and stay. CaptureError if the
    state holds no averages.
    """
    own = {n.removeprefix(AVERAGE_PREFIX): a for n, a in state.items() if _is_average(n)}
    if not own:
        raise CaptureError(
            "the state holds no moving averages: none of its tensors is called ema.<name>; "
            "give ema=<decay> to task_from (docs/CAPTURE.md, Updates)"
        )
    models = {n: a for n, a in state.items() if n.startswith(MODEL_PREFIX)}
    return models | {MODEL_PREFIX + name: array for name, array in own.items()}


def _is_average(name: str) -> bool:
    return name.startswith(AVERAGE_PREFIX)


def _slot(role: str, name: str) -> str:
    return f"{OPTIMIZER_PREFIX}{role}.{name}"


def _weights(ema: Decay, updates: int) -> list[float]:
    """Weight of the new parameter at each update: 1 - decay, in double."""
    if not (callable(ema) or isinstance(ema, int | float)):
        raise CaptureError(
            f"ema is {ema!r}, expected a decay from 0 to 1, or a function of the number of the "
            "update that gives one (docs/CAPTURE.md, Updates)"
        )
    decays = [float(ema(u)) if callable(ema) else float(ema) for u in range(updates)]
    for update, decay in enumerate(decays):
        if not (math.isfinite(decay) and 0.0 <= decay <= 1.0):
            raise CaptureError(
                f"ema gives the decay {decay} at update {update}, outside 0..1; usual ones are "
                "0.99 to 0.9999 (docs/CAPTURE.md, Updates)"
            )
    return [1.0 - decay for decay in decays]


def _accumulated(
    writer: Writer, name: str, row: View, first: int, old: View, gradient: Lowered
) -> View:
    """The sum so far: the first micro batch replaces what was there, even if that is no number."""
    b = FoldBuilder(DType.F32, old.shape)
    own = writer.emit(b, gradient)
    is_first = b.flt(b.f32(0.0), column_of(row, first).load(b, []))
    result = b.select(is_first, own, b.add(writer.emit(b, old), own))
    return writer.add(b.finish(result), Origin(name, "opt"), "gradient.sum")


def _averaged(
    writer: Writer,
    name: str,
    row: View,
    column: int,
    apply: int | None,
    old: Lowered,
    parameter: View,
) -> View:
    """The average moves by (1 - decay) of its distance to the parameter."""
    b = FoldBuilder(DType.F32, old.shape)
    average = writer.emit(b, old)
    change = b.sub(writer.emit(b, parameter), average)
    result = b.fma(column_of(row, column).load(b, []), change, average)
    if apply is not None:
        is_applied = b.flt(b.f32(0.0), column_of(row, apply).load(b, []))
        result = b.select(is_applied, result, average)
    return writer.add(b.finish(result), Origin(name, "opt"), "ema")
