"""How much slower this machine computes when results are subnormal.

Many processors compute an instruction with a subnormal operand or result in microcode: about 150
cycles instead of one, whatever the number of lanes. Nothing in the bits shows it, and nothing may
be flushed to zero. So whoever promises to compute a stranger's numbers in time has to know it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protocol.kernels.cuda.executor import CudaExecutor, to_device, to_host
from protocol.kernels.devices import AnyExecutor
from protocol.program.builder import FoldBuilder
from protocol.program.cost import float_work_of
from protocol.program.isa import DType
from protocol.program.node import Node, Operand, OperandKind

Tensor = NDArray[Any]

SIZE: Final = 256
"""Of the matrix product, in each direction."""

ELEMENTS: Final = 1 << 16
"""Of the elementwise chain."""

LENGTH: Final = 4
"""Times that the chain multiplies, divides and adds."""

PAIRS: Final = 5
"""Runs of each kind at most."""

BUDGET_S: Final = 0.25
"""For one kernel, after which no further pair begins."""


@dataclass(frozen=True)
class SubnormalSpeed:
    """What subnormal numbers cost on a machine.

    Attributes:
        slowdown: times that the kernel which suffers most takes longer; never below 1.
        work: float instructions a second, as `protocol.program.cost.float_work` counts them, of
            the slowest kernel when each of them meets a subnormal number.
    """

    slowdown: float
    work: float


def measure_subnormals(
    executor: AnyExecutor, clock: Callable[[], float] = time.perf_counter
) -> SubnormalSpeed:
    """Measure a matrix product and an elementwise chain, in less than a second.

    Medians of alternating runs: other work on the machine meets both kinds.

    Args:
        executor: what is measured, with its threads and instruction set.
        clock: seconds.
    """
    slowdown, work = 1.0, float("inf")
    for node, ordinary, subnormal in (_product(), _chain()):
        plain_s, slow_s = _alternate(executor, node, (ordinary, subnormal), clock)
        slowdown = max(slowdown, slow_s / plain_s)
        work = min(work, float_work_of(node) / slow_s)
    return SubnormalSpeed(slowdown, work)


def subnormal_slowdown(executor: AnyExecutor) -> float:
    """How many times longer a kernel takes when its results are subnormal; never below 1."""
    return measure_subnormals(executor).slowdown


def _alternate(
    executor: AnyExecutor,
    node: Node,
    kinds: Sequence[list[Tensor]],
    clock: Callable[[], float],
) -> list[float]:
    """Median seconds of the node on each kind of operands; the first of many pairs warms up."""
    runs = [_prepared(executor, node, operands) for operands in kinds]
    seconds: list[list[float]] = [[] for _ in runs]
    began = clock()
    for _ in range(1 + PAIRS):
        for run, taken in zip(runs, seconds, strict=True):
            start = clock()
            run()
            taken.append(clock() - start)
        if clock() - began > BUDGET_S:
            break
    warm = min(1, len(seconds[0]) - 1)
    return [median(taken[warm:]) for taken in seconds]


def _prepared(
    executor: AnyExecutor, node: Node, operands: Sequence[Tensor]
) -> Callable[[], Tensor]:
    """What runs the node on operands that lie where the executor computes."""
    if isinstance(executor, CudaExecutor):
        there = [to_device(operand, executor.torch_device) for operand in operands]
        return lambda: to_host(executor.run(node, there))  # which waits for the device
    return lambda: executor.run(node, operands)


def _product() -> tuple[Node, list[Tensor], list[Tensor]]:
    """A matrix product of fma; with factors near 5e-21 all products and sums are subnormal."""
    b = FoldBuilder(DType.F32, (SIZE, SIZE), (SIZE,))
    left, right = (Operand(OperandKind.STATE, i, DType.F32, (SIZE, SIZE)) for i in (0, 1))
    x = b.load(left, [b.out(0).axis(SIZE, SIZE), b.red(0).axis(SIZE, 1)])
    y = b.load(right, [b.red(0).axis(SIZE, SIZE), b.out(1).axis(SIZE, 1)])
    node = b.finish(b.fma(x, y, b.acc))
    factors = [_spread(SIZE, SIZE), _spread(SIZE, SIZE)]
    tiny = np.float32(3e-21)  # 256 products of at most 4e-41 add up to less than 2^-126
    return node, factors, [factor * tiny for factor in factors]


def _chain() -> tuple[Node, list[Tensor], list[Tensor]]:
    """Multiplications, divisions and fma in turn, whose results keep the size of the operand."""
    b = FoldBuilder(DType.F32, (ELEMENTS,))
    x = b.load(Operand(OperandKind.STATE, 0, DType.F32, (ELEMENTS,)), [b.out(0).axis(ELEMENTS, 1)])
    y = x
    for _ in range(LENGTH):  # y becomes y * 0.75 / 1.5 + x, which stays between x and 2 x
        y = b.fma(b.div(b.mul(y, b.f32(0.75)), b.f32(1.5)), b.f32(1.0), x)
    elements = _spread(ELEMENTS)
    return b.finish(y), [elements], [elements * np.float32(1e-39)]


def _spread(*shape: int) -> Tensor:
    """Numbers between 1 and 2."""
    return (1 + np.random.default_rng(0).random(shape, np.float32)).astype("<f4")
