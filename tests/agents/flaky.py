"""A machine that is not to be relied on: an executor that is wrong now and then."""

from __future__ import annotations

from collections.abc import Iterable

from protocol.kernels import Executor
from protocol.training.tensors import Tensor


class FlakyExecutor(Executor):
    """Flips the last bit of an output's first element in the given runs of one node.

    Args:
        shape: of the node whose output is wrong.
        runs: which of its runs are wrong, counted from 0; None: all.
    """

    def __init__(self, shape: tuple[int, ...], runs: Iterable[int] | None = None) -> None:
        super().__init__(threads=1)
        self._shape = shape
        self._wrong = None if runs is None else set(runs)
        self.runs = 0

    def run(self, node, operands, out=None, *, encoded=None) -> Tensor:
        """The output, sometimes with a wrong bit."""
        output = super().run(node, operands, out, encoded=encoded)
        if node.shape == self._shape:
            if self._wrong is None or self.runs in self._wrong:
                output.reshape(-1).view("u1")[0] ^= 1
            self.runs += 1
        return output
