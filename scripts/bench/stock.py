"""PyTorch's side of a row: eager, eager with deterministic algorithms, or compiled."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from scripts.bench.work import Operator, Training, Update, Work

EAGER, DETERMINISTIC, COMPILED = "eager", "deterministic", "compile"


def session(work: Work, side: str, threads: int) -> StockSession:
    """The work, ready to be called; sets the threads and the algorithms of this process."""
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(side == DETERMINISTIC)
    kinds = {Operator: StockOperator, Update: StockUpdate, Training: StockTraining}
    made: StockSession = kinds[type(work)](work, side == COMPILED)
    return made


class StockSession:
    """One call is one run of the operator, one update, or one training step."""

    limit: int | None = None
    done = 0

    def begin(self) -> None:
        """Start over at the end of the run."""
        if self.done == self.limit:
            self.restart()
            self.done = 0

    def restart(self) -> None:
        """Back to the initial state."""

    def call(self) -> None:
        """Once."""
        raise NotImplementedError

    def results(self) -> list[np.ndarray]:
        """What the calls made, in the order of the other side's results."""
        raise NotImplementedError


def _compiled(function: Callable[..., Any], is_compiled: bool) -> Callable[..., Any]:
    return torch.compile(function, dynamic=False) if is_compiled else function


class StockOperator(StockSession):
    """A new output with each call, as in training."""

    def __init__(self, work: Operator, is_compiled: bool) -> None:
        self._function = _compiled(work.function, is_compiled)
        self._inputs = [torch.from_numpy(np.ascontiguousarray(a)) for a in work.inputs]
        self._output: Any = None

    def call(self) -> None:
        """The operator, its last output given up when the new one is there."""
        with torch.no_grad():
            self._output = self._function(*self._inputs)

    def results(self) -> list[np.ndarray]:
        """The outputs."""
        out = self._output
        return [t.numpy() for t in (out if isinstance(out, tuple | list) else [out])]


class StockUpdate(StockSession):
    """``step()`` of ``torch.optim.AdamW`` with its default arguments."""

    def __init__(self, work: Update, is_compiled: bool) -> None:
        self._parameters = []
        for number, shape in enumerate(work.shapes):
            value, gradient = update_tensors(number, shape)
            parameter = torch.nn.Parameter(torch.from_numpy(value))
            parameter.grad = torch.from_numpy(gradient)
            self._parameters.append(parameter)
        fused = {"fused": True} if work.fused else {}
        optimizer = torch.optim.AdamW(self._parameters, **fused)
        self._step = _compiled(optimizer.step, is_compiled)

    def call(self) -> None:
        """One update."""
        self._step()

    def results(self) -> list[np.ndarray]:
        """The parameters."""
        return [p.detach().numpy() for p in self._parameters]


def update_tensors(number: int, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """A parameter and its gradient."""
    random = np.random.default_rng(number)
    value, gradient = random.standard_normal((2, *shape)).astype(np.float32)
    return value.copy(), gradient.copy()


class StockTraining(StockSession):
    """A plain training loop; compiled: model and loss, the optimiser as it is."""

    def __init__(self, work: Training, is_compiled: bool) -> None:
        self.work, self.limit = work, work.steps
        self._model = work.model()
        inputs, targets = (torch.from_numpy(a) for a in work.data)
        self._inputs = inputs if inputs.is_floating_point() else inputs.long()
        self._targets = targets.long()
        self._order = torch.from_numpy(work.order)
        self._forward = _compiled(self._loss, is_compiled)
        self._value = torch.zeros(())
        self._optimizer = self._fresh_optimizer()

    def restart(self) -> None:
        """The initial weights and a new optimiser."""
        self._model.load_state_dict(self.work.model().state_dict())
        self._optimizer = self._fresh_optimizer()

    def _fresh_optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self._model.parameters(), lr=self.work.rate)

    def _loss(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.work.loss(self._model(x), y)

    def call(self) -> None:
        """One step."""
        batch = self._order[self.done]
        self._optimizer.zero_grad()
        self._value = self._forward(self._inputs[batch], self._targets[batch])
        self._value.backward()
        self._optimizer.step()
        self.done += 1

    def results(self) -> list[np.ndarray]:
        """The loss of the last step, then the parameters and the floating-point buffers."""
        tensors = [*self._model.parameters(), *self._model.buffers()]
        floats = [t for t in tensors if t.is_floating_point()]
        return [t.detach().numpy() for t in (self._value, *floats)]


@contextlib.contextmanager
def plain_algorithms() -> Any:
    """Put back the threads and the algorithms of this process afterwards."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict)
