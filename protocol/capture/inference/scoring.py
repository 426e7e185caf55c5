"""From a PyTorch module and inputs to a task that computes its outputs, with nothing trained.

Step s takes the examples s*B .. s*B + B - 1 and puts what the model says of them into the rows of
the state tensors ``outputs.<name>``. The weights are data, so that a checkpoint hashes only what
the run computes; buffers that forward changes are state.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import torch

from protocol.capture.assembly import Assembly, check_counts, tensors_of
from protocol.capture.captured import MODEL_PREFIX, OUTPUT_PREFIX, Captured
from protocol.capture.data.columns import Batch
from protocol.capture.data.feeds import by_name, like
from protocol.capture.data.gathers import InTurn
from protocol.capture.errors import CaptureError, Origin, UnsupportedDtype
from protocol.capture.lowering.graph import lower_graph
from protocol.capture.tracing.trace import ForwardGraph, run_on_fakes, trace_forward
from protocol.capture.writing.values import STORED, View
from protocol.program.builder import FoldBuilder
from protocol.program.isa import DType
from protocol.program.manifest import TENSOR_NAME
from protocol.program.validate import MAX_ELEMENTS

Output = Callable[[Any, Any], Any]

_KINDS: Final = {DType.F32: np.float32, DType.I32: np.int32, DType.U8: np.uint8}
_READ: Final = "(docs/CAPTURE.md, Inference)"


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
    whose outputs are dropped. The model is captured in its present mode and is not changed: call
    ``model.eval()`` first. There is a warning where the mode of training makes a difference.

    Raises UnsupportedOperator or UnsupportedDtype with the place and what to do about it, and
    CaptureError for data and outputs that do not fit.
    """
    batch = _batch_of(data)
    check_counts(seed, interval=None, steps=1, batch_size=batch_size)
    steps = -(-batch.examples // batch_size)
    check_counts(seed, interval, steps=steps, batch_size=batch_size)
    tensors = tensors_of(model)

    def compute(
        forward: Callable[..., Any], fed: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        inputs, _ = like(data, None, fed)
        said = forward(**inputs) if isinstance(inputs, Mapping) else forward(inputs)
        said = said if output is None else output(said, inputs)
        return _by_name(said, examples=len(next(iter(fed.values()))))

    with batch.explaining():
        graph = trace_forward(model, compute, batch.like(batch_size))
    run_on_fakes(model, compute, batch.like(batch_size + 1))
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
    if model.training:
        _warn_of_training(graph, assembly.writer.draws)
    return assembly.finish(new, name=name, steps=steps, interval=interval, batch_size=batch_size)


def _batch_of(data: Any) -> Batch:
    """The inputs as columns. CaptureError for targets beside them, and for no examples."""
    if isinstance(data, tuple | list):
        raise CaptureError(
            f"data is a {type(data).__name__} of {len(data)}, expected the inputs alone: an array, "
            f"or arrays by the keywords of forward; leave out the targets {_READ}"
        )
    batch = Batch(by_name(data, None))
    if batch.examples == 0:
        raise CaptureError(
            "data holds a single number, expected examples along a first dimension; for one "
            f"example give it as array[None] {_READ}"
        )
    return batch


def _by_name(said: Any, examples: int) -> dict[str, torch.Tensor]:
    """The outputs by name: a tensor alone is ``output``. CaptureError for what has no rows."""
    if isinstance(said, Mapping) and "logits" in said:
        said = said["logits"]
    named = {"output": said} if isinstance(said, torch.Tensor) else said
    if not isinstance(named, Mapping) or not named:
        empty = "an empty " if isinstance(named, Mapping) else ""
        raise CaptureError(
            f"the model's output is {empty}{type(said).__name__}, expected a tensor or tensors by "
            "name; pass output=, a function of (the model's output, the inputs) that returns them "
            f"{_READ}"
        )
    for name, tensor in named.items():
        if not isinstance(name, str) or not TENSOR_NAME.fullmatch(OUTPUT_PREFIX + name):
            raise CaptureError(
                f"an output has the name {str(name)[:80]!r}, expected {TENSOR_NAME.pattern} after "
                f"{OUTPUT_PREFIX!r}; rename it in output= {_READ}"
            )
        if not isinstance(tensor, torch.Tensor) or tensor.shape[:1] != (examples,):
            got = tuple(tensor.shape) if isinstance(tensor, torch.Tensor) else type(tensor).__name__
            raise CaptureError(
                f"output {name} of a batch of {examples} examples is {got}, expected a tensor of "
                f"({examples}, ...), a row for each; pass output= to choose and reshape what is to "
                f"be kept {_READ}"
            )
        if tensor.dtype not in STORED:
            kind = str(tensor.dtype).removeprefix("torch.")
            raise UnsupportedDtype(
                f"output {name}",
                kind,
                f"convert it in output=, or the model with model.float() {_READ}",
            )
    return dict(named)


def _rows_of(graph: ForwardGraph, examples: int) -> list[tuple[str, np.ndarray]]:
    """State tensors of zeros, a row for each example."""
    sources = list(graph.module.graph.nodes)[-1].args[0]
    rows = []
    for name, source in zip(graph.outputs, sources, strict=False):
        value = source.meta["val"]
        shape = (examples, *(int(d) for d in value.shape[1:]))
        if not 1 <= math.prod(shape) <= MAX_ELEMENTS:
            raise CaptureError(
                f"output {name} of {examples} examples has shape {shape}, {math.prod(shape)} "
                f"elements, expected 1..{MAX_ELEMENTS}; keep less of each example in output=, or "
                f"make several tasks {_READ}"
            )
        rows.append((OUTPUT_PREFIX + name, np.zeros(shape, _KINDS[STORED[value.dtype]])))
    return rows


def _warn_of_training(graph: ForwardGraph, draws: int) -> None:
    """Dropout, and statistics that each batch changes, are hardly what outputs are wanted of."""
    found = [f"{draws} random draws"] if draws else []
    found += [f"buffers that each step changes ({', '.join(graph.changed[:3])})"] * any(
        graph.changed
    )
    if found:
        warnings.warn(
            f"the model is in the mode of training, and its outputs have {' and '.join(found)}; "
            f"if that is not wanted, call model.eval() first {_READ}",
            stacklevel=3,
        )


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
