"""Every row of the table."""

from __future__ import annotations

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
