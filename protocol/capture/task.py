"""From an ordinary PyTorch module, loss, optimiser and data to a program and its tensors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from protocol.capture.batches import as_stored, stored_order
from protocol.capture.columns import Batch, Gather
from protocol.capture.copies import without_copies
from protocol.capture.errors import CaptureError, Origin
from protocol.capture.feeds import Loss, by_name, like, split_data
from protocol.capture.lowering.graph import lower_graph
from protocol.capture.schedules import AnySchedule
from protocol.capture.shuffling import write_keyed_order
from protocol.capture.trace import JointGraph, trace_joint
from protocol.capture.updating import MODEL_PREFIX, Decay, Updating, updating_from
from protocol.capture.values import View
from protocol.capture.writer import Writer
from protocol.program.builder import FoldBuilder
from protocol.program.estimate import default_interval
from protocol.program.isa import DType
from protocol.program.node import Binding, Node, Operand, OperandKind, Program, TensorSpec
from protocol.program.validate import validate_program

_DTYPES = {
    np.dtype(np.float32): DType.F32,
    np.dtype(np.int32): DType.I32,
    np.dtype(np.uint8): DType.U8,
}

Tensors = list[tuple[str, np.ndarray]]


@dataclass(frozen=True)
class Captured:
    """A captured training run: everything that a task commits to.

    ``state`` and ``data`` are in program order; ``origins`` has one text per node;
    ``loss_state`` is the state tensor that holds the last step's loss.
    """

    name: str
    program: Program
    state: Tensors
    data: Tensors
    origins: list[str]
    loss_state: int
    steps: int
    interval: int
    batch_size: int
    seed: int

    def parts(self) -> dict[str, Any]:
        """The arguments of ``protocol.training.task.Task.create``."""
        return {
            "name": self.name,
            "seed": self.seed,
            "steps": self.steps,
            "interval": self.interval,
            "program": self.program,
            "state": list(zip(self.state_specs(), (a for _, a in self.state), strict=True)),
            "data": list(zip(self.data_specs(), (a for _, a in self.data), strict=True)),
            "origins": self.origins,
            "loss_state": self.loss_state,
        }

    def data_specs(self) -> list[TensorSpec]:
        """Name, dtype and shape of each data tensor."""
        return _specs(self.data)

    def state_specs(self) -> list[TensorSpec]:
        """Name, dtype and shape of each state tensor."""
        return _specs(self.state)


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

    Raises UnsupportedOperator, UnsupportedDtype or UnsupportedOptimizer with the place and what
    to do about it.
    """
    if not 0 <= seed < 1 << 63:
        raise CaptureError(f"seed {seed} must lie in 0..2^63-1")
    counts: dict[str, Any] = {"steps": steps, "batch_size": batch_size}  # of people's own files
    for what, count in counts.items():
        if not isinstance(count, int) or count < 1:
            raise CaptureError(f"{what} is {count!r}, expected a whole number of at least 1")
    if interval is not None and not 1 <= interval <= steps:
        raise CaptureError(f"interval {interval} must lie in 1..{steps}, the number of steps")
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
    for kind, tensors in (
        ("parameter", model.named_parameters()),
        ("buffer", model.named_buffers()),
    ):
        for tensor_name, tensor in tensors:
            as_stored(tensor, f"{kind} {tensor_name}")
    graph = trace_joint(model, loss, *like(*sides, batch.like(batch_size)))
    capture = _Capture(model, updating, graph, seed)
    capture.data = [
        *batch.tensors(),
        *([] if order is None else [("order", order)]),
        ("schedule", updating.table),
    ]
    capture.write(batch, batch_size)
    captured = Captured(
        name=name,
        program=capture.program,
        state=capture.state,
        data=capture.used_data,
        origins=capture.origins,
        loss_state=capture.index["loss"],
        steps=steps,
        interval=default_interval(capture.program, steps) if interval is None else interval,
        batch_size=batch_size,
        seed=seed,
    )
    validate_program(captured.program, captured.data_specs(), captured.origins)
    return captured


def load_into(model: torch.nn.Module, state: Iterable[tuple[str, np.ndarray]]) -> None:
    """Copy final state tensors (names as in ``Captured.state``) into a plain module."""
    arrays = {n.removeprefix(MODEL_PREFIX): a for n, a in state if n.startswith(MODEL_PREFIX)}
    own = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    missing, extra = sorted(own.keys() - arrays.keys()), sorted(arrays.keys() - own.keys())
    if missing or extra:
        raise CaptureError(
            f"the state does not belong to this model: missing {missing}, left over {extra}"
        )
    with torch.no_grad():
        for name, tensor in own.items():
            if tuple(arrays[name].shape) != tuple(tensor.shape):
                raise CaptureError(
                    f"{name} has shape {tuple(tensor.shape)}, the state {arrays[name].shape}"
                )
            tensor.copy_(torch.from_numpy(np.array(arrays[name])))


class _Capture:
    """The state and data of one capture while its program is written."""

    def __init__(
        self,
        model: torch.nn.Module,
        updating: Updating,
        graph: JointGraph,
        seed: int,
    ) -> None:
        self.graph = graph
        self.updating = updating
        self.state: Tensors = []
        self.data: Tensors = []
        self.used_data: Tensors = []
        self.index: dict[str, int] = {}
        self.program = Program((), ())
        self.origins: list[str] = []
        parameters, buffers = dict(model.named_parameters()), dict(model.named_buffers())
        for kind, tensors in (("parameter", parameters), ("buffer", buffers)):
            for name, tensor in tensors.items():
                self._add_state(MODEL_PREFIX + name, as_stored(tensor, f"{kind} {name}"))
        for name in self._updated():
            for key, array in updating.slots(name, self._array(name)):
                self._add_state(key, array)
        for name in self._updated():
            for key, array in updating.extras(name, self._array(name)):
                self._add_state(key, array)
        self._add_state("step", np.zeros((), np.int32))
        self._add_state("loss", np.zeros((), np.float32))
        self.writer = Writer(seed, self._state("step"))

    def write(self, batch: Batch, batch_size: int) -> None:
        """Write the whole step and bind every state tensor."""
        new: dict[str, View] = {}
        graph, writer = self.graph, self.writer
        is_stored = any(name == "order" for name, _ in self.data)
        order = (
            self._data("order")
            if is_stored
            else write_keyed_order(writer, batch.examples, batch_size)
        )
        fed = batch.write(Gather(writer, order), self._data)
        model = [*graph.trainable, *graph.frozen, *graph.buffers]
        placeholders = [*(self._state(MODEL_PREFIX + n) for n in model), *fed]
        loss, *rest = lower_graph(graph, placeholders, writer, self._commit)
        gradients = dict(zip(graph.with_gradient, rest, strict=False))
        buffers = rest[len(gradients) :]
        new["loss"] = writer.stored(loss, DType.F32, (), Origin("loss"))
        for name, value in zip(graph.buffers, buffers, strict=True):
            key = MODEL_PREFIX + name
            spec = self._state(key)
            new[key] = writer.stored(value, spec.dtype, spec.shape, Origin(name))
        row = self._schedule_row()
        updated = {name: gradients[name] for name in self._updated()}
        new.update(self.updating.write(writer, row, self._state, updated))
        b = FoldBuilder(DType.I32, ())
        advanced = b.iadd(writer.step.load(b, []), b.i32(1))
        new["step"] = writer.add(b.finish(advanced), Origin("step", "opt"), "step + 1")
        self._bind(new)

    def _bind(self, new: dict[str, View]) -> None:
        """Bindings, without the nodes and data tensors that nothing needs."""
        roots = {v.operand.index for v in new.values() if v.operand.kind is OperandKind.NODE}
        self.writer.nodes = without_copies(self.writer.nodes, roots)
        nodes, self.origins, number = self.writer.pruned(roots)
        bindings = []
        for name, _ in self.state:
            source = new.get(name, self._state(name)).operand
            index = number[source.index] if source.kind is OperandKind.NODE else source.index
            bindings.append(Binding(source.kind, index, source.dtype, source.shape))
        used = sorted({o.index for n in nodes for o in n.operands if o.kind is OperandKind.DATA})
        place = {old: at for at, old in enumerate(used)}
        self.used_data = [self.data[old] for old in used]
        self.program = Program(tuple(_with_data(node, place) for node in nodes), tuple(bindings))

    def _updated(self) -> list[str]:
        """Parameters that get a gradient and stand in the optimiser."""
        return [name for name in self.graph.with_gradient if name in self.updating.group_of]

    def _commit(self, constant: torch.Tensor) -> View:
        """A data tensor with the values of a constant in the graph."""
        name = f"constant.{len(self.data)}"
        self.data.append((name, as_stored(constant, name)))
        return self._data(name)

    def _schedule_row(self) -> View:
        table = self._data("schedule")
        b = FoldBuilder(DType.F32, (table.shape[1],))
        step = self.writer.step.load(b, [])
        value = table.load(b, [b.word_of(step), b.out(0)])
        return self.writer.add(b.finish(value), Origin("schedule", "opt"), "row")

    def _add_state(self, name: str, array: np.ndarray) -> None:
        self.index[name] = len(self.state)
        self.state.append((name, array.copy()))

    def _array(self, parameter: str) -> np.ndarray:
        return self.state[self.index[MODEL_PREFIX + parameter]][1]

    def _state(self, name: str) -> View:
        index = self.index[name]
        return _whole(OperandKind.STATE, index, self.state[index][1])

    def _data(self, name: str) -> View:
        index = [n for n, _ in self.data].index(name)
        return _whole(OperandKind.DATA, index, self.data[index][1])


def _whole(kind: OperandKind, index: int, array: np.ndarray) -> View:
    return View.whole(Operand(kind, index, _DTYPES[array.dtype], array.shape))


def _specs(tensors: Tensors) -> list[TensorSpec]:
    return [TensorSpec(name, _DTYPES[array.dtype], array.shape) for name, array in tensors]


def _with_data(node: Node, place: dict[int, int]) -> Node:
    return replace(
        node,
        operands=tuple(
            replace(o, index=place[o.index]) if o.kind is OperandKind.DATA else o
            for o in node.operands
        ),
    )
