"""Our side of a row: its program, made by capture as training makes it, run by StepRunner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from protocol.capture.captured import Captured
from protocol.capture.errors import Origin
from protocol.capture.lowering.graph import lower_graph
from protocol.capture.schedules import course_of
from protocol.capture.task import task_from
from protocol.capture.tracing.trace import trace_joint
from protocol.capture.updates.optimizers import read_groups, schedule_table, write_update
from protocol.capture.writing.values import View
from protocol.capture.writing.writer import Writer
from protocol.kernels import Executor
from protocol.program.builder import FoldBuilder
from protocol.program.isa import DType
from protocol.program.node import Binding, Operand, OperandKind, Program, TensorSpec
from protocol.program.validate import validate_program
from protocol.training import StepRunner
from scripts.bench.stock import update_tensors
from scripts.bench.work import Operator, Training, Update, Work

UPDATES = 256  # rows of the schedule of a lone optimiser


def session(work: Work, threads: int) -> ProgramSession:
    """The work as a program, ready to be called."""
    if isinstance(work, Operator):
        return _operator(work, threads)
    if isinstance(work, Update):
        return _update(work, threads)
    return _training(work, threads)


class ProgramSession:
    """One call is one step of a program; ``shown`` are the state tensors that are its results."""

    def __init__(
        self,
        program: Program,
        state: Sequence[np.ndarray],
        data: Sequence[np.ndarray],
        shown: Sequence[int],
        threads: int,
        limit: int | None = None,
    ) -> None:
        self.threads = threads
        self.program = program
        self.limit = limit
        self._initial, self._data, self._shown = list(state), list(data), list(shown)
        self._runner = StepRunner(program, Executor(threads))
        self.restart()

    def restart(self) -> None:
        """Back to the initial state."""
        self.done = 0
        self.state: list[np.ndarray] = [array.copy() for array in self._initial]

    def begin(self) -> None:
        """Start over at the end of the run."""
        if self.done == self.limit:
            self.restart()

    def call(self) -> None:
        """One step; the state before it is given up."""
        self.state = self._runner.run(self.done, self.state, self._data, consume=True)
        self.done += 1

    def results(self) -> list[np.ndarray]:
        """What the calls made, in the order of the other side's results."""
        return [self.state[index] for index in self._shown]


class _Probe(torch.nn.Module):
    """An operator on buffers, its outputs kept in buffers."""

    def __init__(self, work: Operator) -> None:
        super().__init__()
        self._function = work.function
        self.unused = torch.nn.Parameter(torch.zeros(()))
        inputs = [torch.from_numpy(np.ascontiguousarray(a)) for a in work.inputs]
        with torch.no_grad():
            outputs = _as_tuple(work.function(*inputs))
        self.names = [f"in{i}" for i in range(len(inputs))]
        self.kept = [f"out{i}" for i in range(len(outputs))]
        for name, tensor in zip(self.names, inputs, strict=True):
            self.register_buffer(name, tensor)
        for name, tensor in zip(self.kept, outputs, strict=True):
            self.register_buffer(name, torch.zeros_like(tensor).contiguous())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """A loss that capture accepts; its gradient is pruned."""
        outputs = self._function(*(getattr(self, name) for name in self.names))
        for name, tensor in zip(self.kept, _as_tuple(outputs), strict=True):
            getattr(self, name).copy_(tensor)
        return self.unused * x


def _as_tuple(value: Any) -> tuple[torch.Tensor, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (value,)


def _operator(work: Operator, threads: int) -> ProgramSession:
    probe = _Probe(work)
    number = torch.zeros(())
    graph = trace_joint(probe, lambda out, _: out, number, number)
    state = [tensor.numpy() for _, tensor in probe.named_buffers()]
    views = [_state(index, array) for index, array in enumerate(state)]
    scalar = View.whole(Operand(OperandKind.STATE, len(state), DType.F32, ()))
    writer = Writer(0, scalar)
    _, _, *after = lower_graph(
        graph.module, [scalar, *views, scalar, scalar], writer, _no_constants
    )
    inputs = len(probe.names)
    new = [
        writer.stored(value, DType.F32, view.shape, Origin("output"))
        for value, view in zip(after[inputs:], views[inputs:], strict=True)
    ]
    program = _bound(writer, [*views[:inputs], *new], [])
    return ProgramSession(program, state, [], range(inputs, len(state)), threads)


def _no_constants(constant: torch.Tensor) -> View:
    raise ValueError(f"an operator of the table may not need a constant of {constant.shape}")


def _state(index: int, array: np.ndarray) -> View:
    return View.whole(Operand(OperandKind.STATE, index, DType.F32, array.shape))


def _bound(writer: Writer, after: Sequence[View], data: Sequence[TensorSpec]) -> Program:
    """The validated program whose step leads to the state ``after``."""
    roots = {v.operand.index for v in after if v.operand.kind is OperandKind.NODE}
    nodes, origins, number = writer.pruned(roots)
    bindings = []
    for view in after:
        o = view.operand
        index = number[o.index] if o.kind is OperandKind.NODE else o.index
        bindings.append(Binding(o.kind, index, o.dtype, o.shape))
    program = Program(tuple(nodes), tuple(bindings))
    validate_program(program, data, origins)
    return program


def _update(work: Update, threads: int) -> ProgramSession:
    parts = [update_tensors(number, shape) for number, shape in enumerate(work.shapes)]
    parameters = [torch.nn.Parameter(torch.from_numpy(value)) for value, _ in parts]
    names = {id(p): str(number) for number, p in enumerate(parameters)}
    optimizer = torch.optim.AdamW(parameters)
    groups, _ = read_groups(optimizer, names)
    table = schedule_table(groups, course_of(optimizer, None, UPDATES))
    state: list[np.ndarray] = [np.zeros((), np.int32)]
    step = View.whole(Operand(OperandKind.STATE, 0, DType.I32, ()))
    writer = Writer(0, step)
    row = _schedule_row(writer, step, table)
    after = [_advanced(writer, step)]
    for number, (value, gradient) in enumerate(parts):
        first = len(state)
        state += [value, gradient, np.zeros_like(value), np.zeros_like(value)]
        own, given, *slots = (_state(first + i, state[first + i]) for i in range(4))
        moved, kept = write_update(writer, groups[0], str(number), row, own, given, slots)
        after += [moved, given, *kept]
    program = _bound(writer, after, [TensorSpec("schedule", DType.F32, table.shape)])
    return ProgramSession(program, state, [table], range(1, len(state), 4), threads, UPDATES)


def _schedule_row(writer: Writer, step: View, table: np.ndarray) -> View:
    source = View.whole(Operand(OperandKind.DATA, 0, DType.F32, table.shape))
    b = FoldBuilder(DType.F32, (table.shape[1],))
    value = source.load(b, [b.word_of(step.load(b, [])), b.out(0)])
    return writer.add(b.finish(value), Origin("schedule", "opt"), "row")


def _advanced(writer: Writer, step: View) -> View:
    b = FoldBuilder(DType.I32, ())
    value = b.iadd(step.load(b, []), b.i32(1))
    return writer.add(b.finish(value), Origin("step", "opt"), "step + 1")


def capture(work: Training) -> Captured:
    """The task that a requester would post for this training."""
    model = work.model()
    return task_from(
        model,
        work.loss,
        torch.optim.AdamW(model.parameters(), lr=work.rate),
        work.data,
        steps=work.steps,
        interval=work.steps,
        batch_size=work.order.shape[1],
        order=work.order,
    )


def _training(work: Training, threads: int) -> ProgramSession:
    captured = capture(work)
    names = [name for name, _ in captured.state]
    model = work.model()
    floats = [
        name
        for kind in (model.named_parameters, model.named_buffers)
        for name, tensor in kind()
        if tensor.is_floating_point()
    ]
    shown = [captured.loss_state, *(names.index(f"model.{name}") for name in floats)]
    state, data = ([array for _, array in part] for part in (captured.state, captured.data))
    return ProgramSession(captured.program, state, data, shown, threads, work.steps)
