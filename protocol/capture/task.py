"""From an ordinary PyTorch module, loss, optimiser and data to a task of training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import torch

from protocol.capture.assembly import Assembly, check_counts, tensors_of
from protocol.capture.captured import MODEL_PREFIX, Captured
from protocol.capture.data.batches import stored_order
from protocol.capture.data.columns import Batch
from protocol.capture.data.feeds import Loss, by_name, like, split_data
from protocol.capture.data.gathers import Ordered
from protocol.capture.data.shuffling import write_keyed_order
from protocol.capture.errors import Origin
from protocol.capture.initial.starting import Asked, Initial, initial_of
from protocol.capture.lowering.graph import lower_graph
from protocol.capture.schedules import AnySchedule
from protocol.capture.tracing.trace import JointGraph, trace_joint
from protocol.capture.updates.updating import Decay, Updating, updating_from
from protocol.capture.writing.values import View
from protocol.program.builder import FoldBuilder
from protocol.program.isa import DType

LOSS: Final = "loss"
"""The state tensor of the last step's loss."""


def task_from(
    model: torch.nn.Module,
    loss: Loss | None,
    optimizer: torch.optim.Optimizer,
    data: Any,
    *,
    steps: int,
    interval: int | None = None,
    batch_size: int,
    schedule: AnySchedule | None = None,
    seed: int = 0,
    name: str = "task",
    order: Any | None = None,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    accumulate: int = 1,
    ema: Decay | None = None,
    drawn: Asked | None = None,
) -> Captured:
    """Capture a run of ``steps`` steps from the model's present weights.

    ``data`` is (inputs, targets) with examples along the first dimension: f32, u8 (the model sees
    value / 255), integers, bools, or ``Images`` and ``Windows`` (of ``columns``); either may be
    arrays by name, inputs then being keywords of ``forward``. Arrays by name alone are inputs
    without targets. ``loss`` gets the model's output and the targets (or the inputs, if there are
    none); None takes the loss that the model computes itself, ``output.loss``. ``schedule`` gives
    a factor of the learning rate per update, one for all groups or one per group, as ``LambdaLR``
    does; or it is a scheduler of ``torch.optim.lr_scheduler`` made with ``optimizer``.
    ``interval`` is the steps per checkpoint; by default as many as make commitments about a
    hundredth of the time. ``order`` (i32 [steps, batch_size]) replaces the seeded random order;
    ``order="keyed"`` shuffles inside the program and stores none.
    The model is captured in its present mode (train or eval) and is not changed.

    ``clip_norm`` or ``clip_value`` clips the gradients as ``torch.nn.utils.clip_grad_norm_`` and
    ``clip_grad_value_`` do. With ``accumulate`` a step is one micro batch, and each update takes
    the mean gradient of so many. ``ema`` (a decay, or one per update) keeps a moving average of
    the trained parameters in the state tensors ``ema.<name>``; see ``updating.averaged``.

    ``drawn`` names parameters whose first values the program draws itself from ``seed``, whatever
    they are now: distributions by pattern of names (``{"*.weight": Normal(std=0.02)}``, the last
    that fits counts), or what ``drawing.drawing`` noted while the model was made.

    Raises UnsupportedOperator, UnsupportedDtype or UnsupportedOptimizer with the place and what
    to do about it.
    """
    check_counts(seed, interval, steps=steps, batch_size=batch_size)
    sides = split_data(data)
    batch = Batch(by_name(*sides))
    order = stored_order(order, steps, batch_size, batch.examples, seed)
    names = {id(p): n for n, p in model.named_parameters()}
    updating = updating_from(
        optimizer,
        names,
        steps,
        schedule=schedule,
        clip_norm=clip_norm,
        clip_value=clip_value,
        accumulate=accumulate,
        ema=ema,
    )
    initial = initial_of(model, drawn)
    tensors = initial.started(tensors_of(model))
    with batch.explaining():
        graph = trace_joint(model, loss, *like(*sides, batch.like(batch_size)))
    training = _Training(tensors, updating, graph, seed, initial)
    training.add_data(batch, order)
    return training.assembly.finish(
        training.write(batch, batch_size),
        name=name,
        steps=steps,
        interval=interval,
        batch_size=batch_size,
        loss=LOSS,
    )


class _Training:
    """What a task of training adds to an assembly: gradients, updates and the loss."""

    def __init__(
        self,
        tensors: dict[str, np.ndarray],
        updating: Updating,
        graph: JointGraph,
        seed: int,
        initial: Initial,
    ) -> None:
        self.graph = graph
        self.initial = initial
        self.updating = updating
        self.updated = [name for name in graph.with_gradient if name in updating.group_of]
        self.assembly = Assembly(seed, self._state(tensors))
        self.assembly.add_state(LOSS, np.zeros((), np.float32))

    def _state(self, tensors: dict[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
        """One state tensor after the other: large models do not fit into memory twice."""
        for name, array in tensors.items():
            yield MODEL_PREFIX + name, array
        for added in (self.updating.slots, self.updating.extras):
            for name in self.updated:
                yield from added(name, tensors[name])

    def add_data(self, batch: Batch, order: np.ndarray | None) -> None:
        """The data tensors: the batch's, the order of examples if it is stored, the schedule."""
        for name, array in batch.tensors():
            self.assembly.add_data(name, array)
        self.order = None if order is None else self.assembly.add_data("order", order)
        self.schedule = self.assembly.add_data("schedule", self.updating.table)

    def write(self, batch: Batch, batch_size: int) -> dict[str, View]:
        """Write the whole step; the new state tensors by name."""
        graph, assembly, writer = self.graph, self.assembly, self.assembly.writer
        averages = self.initial.write(assembly)
        order = self.order
        if order is None:
            order = write_keyed_order(writer, batch.examples, batch_size)
        fed = batch.write(Ordered(writer, order), assembly.data_view)
        model = [*graph.trainable, *graph.frozen, *graph.buffers]
        placeholders = [*(assembly.state_view(MODEL_PREFIX + n) for n in model), *fed]
        loss, *rest = lower_graph(graph.module, placeholders, writer, assembly.commit)
        gradients = dict(zip(graph.with_gradient, rest, strict=False))
        new = {LOSS: writer.stored(loss, DType.F32, (), Origin(LOSS))}
        for name, value in zip(graph.buffers, rest[len(gradients) :], strict=True):
            old = assembly.state_view(MODEL_PREFIX + name)
            new[MODEL_PREFIX + name] = writer.stored(value, old.dtype, old.shape, Origin(name))
        row = self._schedule_row()
        updated = {name: gradients[name] for name in self.updated}
        return new | self.updating.write(writer, row, assembly.state_view, updated, averages)

    def _schedule_row(self) -> View:
        writer, table = self.assembly.writer, self.schedule
        b = FoldBuilder(DType.F32, (table.shape[1],))
        step = writer.step.load(b, [])
        value = table.load(b, [b.word_of(step), b.out(0)])
        return writer.add(b.finish(value), Origin("schedule", "opt"), "row")
