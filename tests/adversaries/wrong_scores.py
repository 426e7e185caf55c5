"""Solvers of a task of inference that save work, or sell other numbers than the model's.

Each defends what it stored: the fold that ends at a false element ends in it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from protocol.training.hooks import Hooks
from protocol.training.tensors import Tensor

Change = Callable[[int, Tensor], None]
"""Changes a copy of a node's output in place, given the step."""


class Stored(Hooks):
    """One node's output is stored as ``change`` leaves it."""

    def __init__(self, node: int, change: Change) -> None:
        self._node, self._change = node, change
        self._stored: dict[int, Tensor] = {}

    def node_output(self, step: int, node: int, output: Tensor) -> Tensor:
        """The output with the lie."""
        if node != self._node:
            return output
        changed = output.copy()
        self._change(step, changed)
        self._stored[step] = changed
        return changed

    def fold_rows(
        self, step: int, node: int, element: int, rows: NDArray[np.uint32]
    ) -> NDArray[np.uint32]:
        """A fold that ends in what is stored."""
        if node != self._node:
            return rows
        rows = rows.copy()
        rows[-1, 0] = self._stored[step].reshape(-1).view(np.uint32)[element]
        return rows


class OtherWeights(Hooks):
    """Scores with a weight that is not the one of the task."""

    def __init__(self, index: int) -> None:
        self._index = index

    def data_tensor(self, step: int, index: int, tensor: Tensor) -> Tensor:
        """The weight, with one of its numbers an eighth larger."""
        del step
        if index != self._index:
            return tensor
        changed = tensor.copy()
        changed.reshape(-1)[3] *= np.float32(1.125)
        return changed


def one_ulp(at_step: int, row: int) -> Change:
    """One example's first score is off by a unit in the last place."""

    def change(step: int, output: Tensor) -> None:
        if step == at_step:
            output[row, :1].view(np.uint32)[:] += 1

    return change


def skipped(at_step: int, rows: slice) -> Change:
    """The examples of one step are left as they were before it: zeros."""

    def change(step: int, output: Tensor) -> None:
        if step == at_step:
            output[rows] = 0

    return change


def copied(at_step: int, source: int, target: int) -> Change:
    """The step also writes into the row of an example that is none of its own."""

    def change(step: int, output: Tensor) -> None:
        if step == at_step:
            output[target] = output[source]

    return change


def in_half(_step: int, output: Tensor) -> None:
    """A layer is computed in half precision: faster, and nearly the same."""
    output[:] = output.astype(np.float16)


def padding(at_step: int, row: int) -> Change:
    """What stands beyond the last example is no zero."""

    def change(step: int, output: Tensor) -> None:
        if step == at_step:
            output[row, :1] = 1.0

    return change
