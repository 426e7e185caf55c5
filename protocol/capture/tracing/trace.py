"""From a module to a graph in core ATen: of forward and backward jointly, or of forward alone.

Two passes of ``make_fx``: the first runs the module (and ``torch.autograd.grad``) on fake tensors,
the second removes mutation and decomposes. Each operator is stamped with its ``Origin`` on the way:
forward operators by the module that runs, backward ones by the sequence number that ties an
autograd node to the operator that created it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

from protocol.capture.data.feeds import Loss, by_name, like, loss_of
from protocol.capture.errors import CaptureError, quiet_torch
from protocol.capture.tracing.lending import Lender, lend_hooks
from protocol.capture.tracing.neutral import neutral_settings, plain_copy, zeros_like_plain
from protocol.capture.tracing.recording import Recorder, refusing
from protocol.capture.tracing.second_pass import TRACING, in_core_operators

Compute = Callable[[Callable[..., Any], dict[str, torch.Tensor]], dict[str, torch.Tensor]]
"""Outputs by name, of the model's forward and a batch by name."""


@dataclass(frozen=True)
class JointGraph:
    """One step's loss, gradients and new buffers as a graph of core ATen operators.

    Inputs in order: trainable parameters, frozen parameters, buffers, the batch.
    Outputs in order: loss, gradients of ``with_gradient``, then the buffers.
    """

    module: GraphModule
    trainable: list[str]
    frozen: list[str]
    buffers: list[str]
    with_gradient: list[str]


@dataclass(frozen=True)
class ForwardGraph:
    """What one step computes, and its new buffers, as a graph of core ATen operators.

    Inputs in order: parameters, buffers, the batch. Outputs in order: ``outputs``, then the
    buffers; ``changed`` are those that the step writes.
    """

    module: GraphModule
    parameters: list[str]
    buffers: list[str]
    changed: list[str]
    outputs: list[str]


def trace_joint(model: torch.nn.Module, loss: Loss | None, inputs: Any, targets: Any) -> JointGraph:
    """Trace one step on a batch like ``inputs``, ``targets`` (values are not read).

    Each is one tensor or tensors by keyword, see ``feeds``; without a ``loss`` it is the model's.
    The mode of the model (train or eval) is kept; autocast, default dtype, TF32 and determinism
    settings of the calling process have no influence.
    """
    parameters = dict(model.named_parameters())
    trainable = {k: p for k, p in parameters.items() if p.requires_grad}
    frozen = {k: p for k, p in parameters.items() if not p.requires_grad}
    buffers = dict(model.named_buffers())
    recorder, lender = Recorder(model), Lender(model)
    used: list[str] = []
    batch = by_name(inputs, targets)

    def step(
        own: list[torch.Tensor],
        fixed: list[torch.Tensor],
        kept: list[torch.Tensor],
        fed: list[torch.Tensor],
    ) -> list[torch.Tensor]:
        own = [p.detach().requires_grad_(True) for p in own]
        for (name, parameter), twin in zip(trainable.items(), own, strict=True):
            lend_hooks(parameter, twin, name)
        names = (*trainable, *frozen, *buffers)
        tensors = dict(zip(names, (*own, *fixed, *kept), strict=True))
        with torch.enable_grad(), recorder.forward(), lender.lend(tensors):
            with refusing(recorder):
                fed_by_name = dict(zip(batch, fed, strict=True))
                value = loss_of(model, loss, *like(inputs, targets, fed_by_name))
            _check_loss(value)
            recorder.phase = "bwd"
            # The stub forgets that an unused parameter's gradient is None.
            gradients: Sequence[Any] = torch.autograd.grad(value, own, allow_unused=True)
        present = {k: g for k, g in zip(trainable, gradients, strict=True) if g is not None}
        used[:] = present
        return [value.detach(), *present.values(), *_kept_alike(tensors, buffers)]

    arguments = (trainable.values(), frozen.values(), buffers.values())
    module = _core_graph(model, step, arguments, batch, recorder, lender)
    return JointGraph(module, list(trainable), list(frozen), list(buffers), used)


def trace_forward(
    model: torch.nn.Module, compute: Compute, batch: dict[str, torch.Tensor]
) -> ForwardGraph:
    """Trace ``compute(forward, batch)`` on a batch like this one (values are not read).

    ``forward`` is the model's; what ``compute`` returns are the outputs by name. The mode of the
    model is kept, and settings of the process have no influence, as in `trace_joint`.
    """
    parameters, buffers = dict(model.named_parameters()), dict(model.named_buffers())
    recorder, lender = Recorder(model, outside="output"), Lender(model)
    names: list[str] = []

    def step(
        own: list[torch.Tensor], kept: list[torch.Tensor], fed: list[torch.Tensor]
    ) -> list[torch.Tensor]:
        weights = dict(zip(parameters, own, strict=True))
        tensors = weights | dict(zip(buffers, kept, strict=True))
        before = [tensor._version for tensor in own]
        with torch.no_grad(), recorder.forward(), lender.lend(tensors), refusing(recorder):
            outputs = compute(model, dict(zip(batch, fed, strict=True)))
        written = [n for (n, t), v in zip(weights.items(), before, strict=True) if t._version != v]
        if written:
            raise CaptureError(
                f"forward writes into the parameter {written[0]}, and nothing is trained; make it "
                "a buffer (register_buffer) if the next step shall see that, or a new tensor"
            )
        names[:] = outputs
        return [*outputs.values(), *_kept_alike(tensors, buffers)]

    arguments = (parameters.values(), buffers.values())
    module = _core_graph(model, step, arguments, batch, recorder, lender)
    nodes = list(module.graph.nodes)
    before = nodes[len(parameters) : len(parameters) + len(buffers)]
    after = nodes[-1].args[0][len(names) :]
    changed = [n for n, old, new in zip(buffers, before, after, strict=True) if old is not new]
    return ForwardGraph(module, list(parameters), list(buffers), changed, names)


def run_on_fakes(model: torch.nn.Module, compute: Compute, batch: dict[str, torch.Tensor]) -> None:
    """Run ``compute`` on a batch like this one without values: what CaptureError it raises counts.

    A model that takes only batches of one size may fail otherwise, and that is its own affair.
    """
    fakes = FakeTensorMode(allow_non_fake_inputs=True)
    named = (*model.named_parameters(), *model.named_buffers())
    lender = Lender(model)
    with neutral_settings(), torch.no_grad(), quiet_torch():
        tensors: dict[str, torch.Tensor] = {n: fakes.from_tensor(plain_copy(t)) for n, t in named}
        fed: dict[str, torch.Tensor] = {
            name: fakes.from_tensor(zeros_like_plain(tensor)) for name, tensor in batch.items()
        }
        try:
            with fakes, lender.lend(tensors):
                compute(model, fed)
        except Exception as error:
            if isinstance(error, CaptureError):
                raise


def _core_graph(
    model: torch.nn.Module,
    step: Callable[..., list[torch.Tensor]],
    tensors: Sequence[Collection[torch.Tensor]],
    batch: dict[str, torch.Tensor],
    recorder: Recorder,
    lender: Lender,
) -> GraphModule:
    """The step in core ATen operators without mutation, each with its origin.

    It takes the model's ``tensors``, and the batch last.
    """
    with neutral_settings(), recorder.stamping():
        arguments = [[plain_copy(tensor) for tensor in part] for part in tensors]
        arguments.append([zeros_like_plain(tensor) for tensor in batch.values()])
        first = make_fx(step, record_stack_traces=True, **TRACING)(*arguments)
        if lender.changed:  # perhaps only by the very first call: see whether the second does too
            first = make_fx(step, record_stack_traces=True, **TRACING)(*arguments)
        flat = [tensor for part in arguments for tensor in part]
        return in_core_operators(first, flat, model, recorder)


def _kept_alike(
    tensors: dict[str, torch.Tensor], buffers: dict[str, torch.Tensor]
) -> Iterator[torch.Tensor]:
    """What became of the buffers. CaptureError if one is no longer what it was."""
    for name, old in buffers.items():
        new = tensors[name]
        if new.shape != old.shape or new.dtype != old.dtype:
            raise CaptureError(
                f"forward makes the buffer {name} a {new.dtype} of shape {tuple(new.shape)}, and "
                f"it was a {old.dtype} of shape {tuple(old.shape)}; state keeps its type and "
                "shape: register it as what it becomes"
            )
        yield new


def _check_loss(value: Any) -> None:
    if not isinstance(value, torch.Tensor) or value.shape != ():
        is_tensor = isinstance(value, torch.Tensor)
        got = f"a tensor of shape {tuple(value.shape)}" if is_tensor else type(value).__name__
        todo = "reduce it with .mean()" if is_tensor else "return a tensor of no dimensions"
        raise CaptureError(f"the loss must return one number, got {got}; {todo}")
    if not value.requires_grad:
        raise CaptureError(
            "the loss does not depend on any trainable parameter; "
            "is requires_grad off, or does forward detach its result?"
        )
