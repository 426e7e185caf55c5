"""Which examples a step takes: through an order, or one after the other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from protocol.capture.writing.values import View
from protocol.capture.writing.writer import Writer
from protocol.program.builder import Affine, FoldBuilder


class Gather(ABC):
    """Where a step's batch comes from."""

    writer: Writer

    @property
    @abstractmethod
    def batch_size(self) -> int:
        """Examples of a step."""

    @abstractmethod
    def example(self, b: FoldBuilder) -> Affine:
        """The number of the example at output coordinate 0."""


@dataclass(frozen=True)
class Ordered(Gather):
    """The order's row of this step names the examples.

    ``order`` is i32 [steps, batch], or [batch] if the program computes it for each step.
    """

    writer: Writer
    order: View

    @property
    def batch_size(self) -> int:
        """As many as the order's rows have."""
        return self.order.shape[-1]

    def example(self, b: FoldBuilder) -> Affine:
        """A word of the order."""
        at = [b.out(0)]
        if len(self.order.shape) == 2:
            at.insert(0, b.word_of(self.writer.step.load(b, [])))
        return b.word_of(self.order.load(b, at))


@dataclass(frozen=True)
class InTurn(Gather):
    """Step s takes the examples from ``s * batch`` on; beyond the last one a load gives zero."""

    writer: Writer
    size: int

    @property
    def batch_size(self) -> int:
        """The same in each step."""
        return self.size

    def example(self, b: FoldBuilder) -> Affine:
        """Counted on from the step."""
        return b.word_of(self.writer.step.load(b, [])) * self.size + b.out(0)
