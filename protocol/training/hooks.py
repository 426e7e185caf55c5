"""The seam where a run may be changed: a dishonest solver is an honest one plus one hook.

Every method returns what it is given, changed or not. Tensors that are given must not be written
to: a hook that lies returns a copy. Steps are global, from 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocol.training.tensors import Tensor


class Hooks:
    """Changes nothing; subclasses override what they lie about."""

    def data_tensor(self, step: int, index: int, tensor: Tensor) -> Tensor:
        """The data tensor that the step reads."""
        del step, index
        return tensor

    def node_output(self, step: int, node: int, output: Tensor) -> Tensor:
        """The output of a node, as later nodes and the trace see it."""
        del step, node
        return output

    def next_state(self, step: int, index: int, tensor: Tensor) -> Tensor:
        """State tensor ``index`` after the step, as its binding gave it."""
        del step, index
        return tensor

    def fold_rows(
        self, step: int, node: int, element: int, rows: NDArray[np.uint32]
    ) -> NDArray[np.uint32]:
        """The fold of one element, shape (terms, 1 + loads): accumulators and words."""
        del step, node, element
        return rows
