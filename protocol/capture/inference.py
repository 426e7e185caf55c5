"""From a PyTorch module and inputs to a task that computes its outputs, with nothing trained.

Step s takes the examples s*B .. s*B + B - 1 and puts what the model says of them into the rows of
the state tensors ``outputs.<name>``. The weights are data, so that a checkpoint hashes only what
the run computes; buffers that forward changes are state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import torch

from protocol.capture.assembly import Assembly, check_counts, tensors_of
from protocol.capture.captured import MODEL_PREFIX, Captured
from protocol.capture.columns import Batch
from protocol.capture.errors import CaptureError, Origin
from protocol.capture.feeds import by_name, like
from protocol.capture.gathers import InTurn
from protocol.capture.lowering.graph import lower_graph
from protocol.capture.trace import ForwardGraph, trace_forward
from protocol.capture.values import STORED, View
from protocol.program.builder import FoldBuilder
from protocol.program.isa import DType

OUTPUT_PREFIX: Final = "outputs."
"""What begins the names of the state tensors that hold a row for each example."""

Output = Callable[[Any, Any], Any]


def inference_from(
    model: torch.nn.Module,
    data: Any,
    *,
    batch_size: int,
    output: Output | None = None,
    interval: int | None = None,
    seed: int = 0,
    name: str = "inference",
) -> Captured:
    """Capture the model's outputs for all examples of ``data``, ``batch_size`` at a step.

    ``data`` holds inputs only: an array with examples along the first dimension, or arrays by the
    keywords of ``forward``, each as ``task_from`` takes them. ``output`` gets (the model's output,
    the inputs) and returns one tensor, or tensors by name, with examples along the first dimension;
    without it the model's output is that, or its ``logits``. The last batch is filled up with zeros
    whose outputs are dropped. The model is captured in its present mode and is not changed:
    call ``model.eval()`` first.

    Raises UnsupportedOperator or UnsupportedDtype with the place and what to do about it, and
    CaptureError for data and outputs that do not fit.
    """
    batch = Batch(by_name(data, None))
    check_counts(seed, interval=None, steps=1, batch_size=batch_size)
    steps = -(-batch.examples // batch_size)
    check_counts(seed, interval, steps=steps, batch_size=batch_size)
    tensors = tensors_of(model)

    def compute(
        forward: Callable[..., Any], fed: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        inputs, _ = like(data, None, fed)
        said = forward(**inputs) if isinstance(inputs, Mapping) else forward(inputs)
        return _by_name(said if output is None else output(said, inputs), batch_size)

    graph = trace_forward(model, compute, batch.like(batch_size))
    rows = _rows_of(graph, batch.examples)
    changed = [(MODEL_PREFIX + n, tensors[n]) for n in graph.changed]
    assembly = Assembly(seed, [*rows, *changed])
    placeholders = [
        assembly.state_view(MODEL_PREFIX + n)
        if n in graph.changed
        else assembly.add_data(MODEL_PREFIX + n, tensors[n])
        for n in (*graph.parameters, *graph.buffers)
    ]
    for data_name, array in batch.tensors():
        assembly.add_data(data_name, array)
    fed = batch.write(InTurn(assembly.writer, batch_size), assembly.data_view)
    said = lower_graph(graph.module, [*placeholders, *fed], assembly.writer, assembly.commit)
    new: dict[str, View] = {}
    for (row, _), value in zip(rows, said, strict=False):
        new[row] = _write_rows(assembly, row, assembly.writer.view(value), batch_size)
    for n, value in zip(graph.buffers, said[len(rows) :], strict=True):
        if n in graph.changed:
            old = assembly.state_view(MODEL_PREFIX + n)
            new[MODEL_PREFIX + n] = assembly.writer.stored(value, old.dtype, old.shape, Origin(n))
    return assembly.finish(new, name=name, steps=steps, interval=interval, batch_size=batch_size)


def _by_name(said: Any, batch_size: int) -> dict[str, torch.Tensor]:
    """The outputs by name: a tensor alone is ``output``. CaptureError for what has no rows."""
    if isinstance(said, Mapping) and "logits" in said:
        said = said["logits"]
    named = {"output": said} if isinstance(said, torch.Tensor) else said
    if not isinstance(named, Mapping) or not named:
        raise CaptureError(
            f"the model's output is {type(said).__name__}; pass output=, a function of (the "
            "model's output, the inputs) that returns a tensor or tensors by name"
        )
    for name, tensor in named.items():
        if not isinstance(tensor, torch.Tensor) or tensor.shape[:1] != (batch_size,):
            got = tuple(tensor.shape) if isinstance(tensor, torch.Tensor) else type(tensor).__name__
            raise CaptureError(
                f"output {name} is {got}, expected a tensor of ({batch_size}, ...), a row for each "
                "example; pass output= to choose and reshape what is to be kept"
            )
    return dict(named)


def _rows_of(graph: ForwardGraph, examples: int) -> list[tuple[str, np.ndarray]]:
    """State tensors of zeros, a row for each example."""
    kinds = {DType.F32: np.float32, DType.I32: np.int32, DType.U8: np.uint8}
    sources = list(graph.module.graph.nodes)[-1].args[0]
    rows = []
    for name, source in zip(graph.outputs, sources, strict=False):
        value = source.meta["val"]
        shape = (examples, *(int(d) for d in value.shape[1:]))
        rows.append((OUTPUT_PREFIX + name, np.zeros(shape, kinds[STORED[value.dtype]])))
    return rows


def _write_rows(assembly: Assembly, name: str, batch: View, batch_size: int) -> View:
    """The state tensor with the rows of this step's batch replaced."""
    writer, rows = assembly.writer, assembly.state_view(name)
    b = FoldBuilder(rows.dtype, rows.shape)
    step = writer.step.load(b, [])
    rest = [b.out(i) for i in range(1, len(rows.shape))]
    first = b.imul(step, b.i32(batch_size))
    place = b.isub(b.coordinate(0), first)
    mine = b.iult(place, b.i32(batch_size))
    fresh = batch.load(b, [b.out(0) + b.word_of(step) * -batch_size, *rest])
    value = b.select(mine, fresh, rows.load(b, [b.out(0), *rest]))
    return writer.add(b.finish(value), Origin(name), "rows")
