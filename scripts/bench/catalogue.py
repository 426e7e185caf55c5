"""Every row of the table, and the bar of each group."""

from __future__ import annotations

from dataclasses import dataclass

from scripts.bench.operators import (
    attention_rows,
    convolution_rows,
    elementwise_rows,
    optimizer_rows,
    product_rows,
    subnormal_rows,
)
from scripts.bench.training import training_rows
from scripts.bench.work import Row

SUBNORMAL = "subnormal"


@dataclass(frozen=True)
class Bar:
    """Least throughput, ours / stock eager, of each row and of the median of a group's rows."""

    each: float
    median: float | None = None

    def text(self) -> str:
        """As the table shows it."""
        median = "" if self.median is None else f", median ≥ {self.median:.2f}"
        return f"≥ {self.each:.2f}{median}"


BARS = {
    "matrix product": Bar(0.75, 0.85),
    "attention": Bar(0.8),
    "convolution": Bar(0.8),
    "elementwise": Bar(0.95, 1.0),
    "optimizer": Bar(1.0),
    "training step": Bar(0.9),
}
"""Groups without a bar inform."""


def all_rows() -> list[Row]:
    """In the order of the table."""
    return [
        *product_rows(),
        *attention_rows(),
        *convolution_rows(),
        *elementwise_rows(),
        *optimizer_rows(),
        *training_rows(),
        *subnormal_rows(),
    ]
