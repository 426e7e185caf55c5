"""Samples of torch's own operator database, captured, run and held against PyTorch.

A sample ``op(input, *args, **kwargs)`` becomes a module: its differentiable tensors are
parameters, its others are buffers, every output is copied into a buffer, and the loss is the sum of
all float outputs times fixed weights. One step of SGD with momentum then leaves the outputs in the
buffers and the gradients in the momentum buffers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.testing._internal.common_methods_invocations import op_db
from torch.utils._pytree import tree_flatten, tree_unflatten

from protocol.capture.captured import Captured
from protocol.capture.errors import CaptureError
from protocol.capture.task import task_from
from protocol.kernels.executor import Compiled, Executor
from protocol.training.step import StepRunner

DATABASE = {op.formatted_name: op for op in op_db}
LARGEST = 20_000  # elements of a sample's tensors; larger ones are left out
TOLERANCE = 1e-5  # of the largest magnitude: sums are made in another order
# A row of one number is 0 / sqrt(eps): its gradient cancels to 0 in PyTorch, to 316 roundings here.
WIDER = {"nn_functional_layer_norm": 2e-4, "native_layer_norm": 2e-4}


@dataclass(frozen=True)
class _Slot:
    """Where a tensor argument stands in the module."""

    name: str


class SampleModule(nn.Module):
    """One sample of an operator as a module without inputs of its own."""

    def __init__(self, operator: Any, sample: Any) -> None:
        super().__init__()
        self.operator = operator
        leaves, self.spec = tree_flatten((sample.input, sample.args, sample.kwargs))
        self.leaves = [self._own(i, leaf) for i, leaf in enumerate(leaves)]
        self.bias = nn.Parameter(torch.zeros(()))
        with torch.no_grad():
            outputs = self.outputs()
        generator = torch.Generator().manual_seed(5)
        for i, output in enumerate(outputs):
            self.register_buffer(f"seen{i}", torch.zeros(output.shape, dtype=output.dtype))
            if output.is_floating_point():
                weights = torch.randn(output.shape, generator=generator)
                self.register_buffer(f"weights{i}", weights)

    def _own(self, index: int, leaf: Any) -> Any:
        if not isinstance(leaf, torch.Tensor):
            return leaf
        own = leaf.detach().clone(memory_format=torch.contiguous_format)
        if leaf.requires_grad:
            self.register_parameter(f"leaf{index}", nn.Parameter(own))
        else:
            self.register_buffer(f"leaf{index}", own)
        return _Slot(f"leaf{index}")

    def outputs(self) -> list[torch.Tensor]:
        """Every tensor that the operator gives."""
        leaves = [getattr(self, x.name) if isinstance(x, _Slot) else x for x in self.leaves]
        first, args, kwargs = tree_unflatten(leaves, self.spec)
        found = tree_flatten(self.operator(first, *args, **kwargs))[0]
        return [x for x in found if isinstance(x, torch.Tensor)]

    def forward(self, _: torch.Tensor) -> torch.Tensor:
        """The scalar whose gradients are compared."""
        total = self.bias * 1.0
        for i, output in enumerate(self.outputs()):
            if output.is_floating_point():
                total = total + (output * getattr(self, f"weights{i}")).sum()
            getattr(self, f"seen{i}").copy_(output.detach())
        return total


def capture_sample(module: SampleModule) -> Captured:
    """One step on the sample."""
    return task_from(
        module,
        lambda value, _: value,
        torch.optim.SGD(module.parameters(), lr=1.0, momentum=0.9),
        (np.zeros((1, 1), np.float32), np.zeros((1, 1), np.float32)),
        steps=1,
        interval=1,
        batch_size=1,
        order=np.zeros((1, 1), np.int32),
    )


def samples_of(name: str, most: int, dtype: torch.dtype = torch.float32) -> list[Any]:
    """At most ``most`` samples, evenly out of those that are small, not empty and not random."""
    operator = DATABASE[name]
    torch.manual_seed(0)
    differentiable = operator.supports_autograd and dtype.is_floating_point
    found = operator.sample_inputs("cpu", dtype, requires_grad=differentiable)
    usable = [sample for sample in found if _is_usable(sample)]
    return usable[:: max(1, -(-len(usable) // most))]


def _is_usable(sample: Any) -> bool:
    leaves = tree_flatten((sample.input, sample.args, sample.kwargs))[0]
    sizes = [leaf.numel() for leaf in leaves if isinstance(leaf, torch.Tensor)]
    random = sample.kwargs.get("dropout_p", 0.0) > 0
    return not random and 0 not in sizes and sum(sizes) <= LARGEST


def check_sample(name: str, sample: Any) -> bool:
    """True if Pinpoint and PyTorch agree, False if the sample is refused; else AssertionError.

    Every other exception is passed on: capture must refuse by CaptureError alone.
    """
    module = SampleModule(DATABASE[name], sample)
    try:
        captured = capture_sample(module)
    except CaptureError:
        return False
    runner = StepRunner(captured.program, Executor(threads=1, compiled=Compiled.NOTHING))
    arrays = runner.run(0, [a for _, a in captured.state], [a for _, a in captured.data])
    after = dict(zip([n for n, _ in captured.state], arrays, strict=True))
    module(torch.zeros(1, 1)).backward()
    for what, own, stock in _compared(module, after):
        worst = difference(own, stock)
        limit = WIDER.get(name, TOLERANCE)
        assert worst <= limit, f"{name}, {what}: {worst:.2g} > {limit:.2g} for {sample}"
    return True


def _compared(
    module: SampleModule, after: dict[str, np.ndarray]
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Name, Pinpoint's and PyTorch's value of each output and gradient."""
    for name, buffer in module.named_buffers():
        if name.startswith("seen"):
            yield name, after[f"model.{name}"], buffer.numpy()
    for name, parameter in module.named_parameters():
        if parameter.grad is None:
            continue
        stock = parameter.grad.numpy(force=True)  # a tensor of implicit zeros too
        own = after.get(f"optimizer.momentum_buffer.{name}", np.zeros_like(stock))
        yield f"gradient of {name}", own, stock


def difference(own: np.ndarray, stock: np.ndarray) -> float:
    """Largest difference relative to the largest finite magnitude; inf for other kinds of values.

    Integers and booleans must be equal; NaN and infinities must stand at the same places.
    """
    if own.shape != stock.shape:
        return float("inf")
    if stock.dtype != np.float32:
        return 0.0 if np.array_equal(own.astype(np.int64), stock.astype(np.int64)) else float("inf")
    finite = np.isfinite(own) & np.isfinite(stock)
    if not np.array_equal(np.where(finite, 0, own), np.where(finite, 0, stock), equal_nan=True):
        return float("inf")
    if not finite.any():
        return 0.0
    scale = max(float(np.abs(stock[finite]).max()), 1.0)
    return float(np.abs(own[finite].astype(np.float64) - stock[finite]).max()) / scale
