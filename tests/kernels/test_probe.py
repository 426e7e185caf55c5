"""What is measured of subnormal numbers: the right kind of numbers, and the right arithmetic."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from protocol.kernels import Executor, instruction_sets, probe
from protocol.kernels.cuda.executor import CudaExecutor
from protocol.kernels.probe import measure_subnormals, subnormal_slowdown
from protocol.program.cost import float_work_of
from tests.kernels.cuda.shim.host import HostDevice

LEAST_NORMAL = np.float32(2.0**-126)
KERNELS = {"product": probe._product, "chain": probe._chain}


class SlowMachine(Executor):
    """Takes 1 s for ordinary numbers on its own clock, and more for subnormal ones.

    Args:
        product: how many times more, for the matrix product.
        chain: the same for the chain.
    """

    def __init__(self, product: float, chain: float) -> None:
        super().__init__(threads=1)
        self.now = 0.0
        self._times = {2: product, 1: chain}

    def run(self, node, operands, *_args, **_named):
        times = self._times[len(operands)] if operands[0].max() < 1e-9 else 1.0
        self.now += times
        return np.zeros(node.shape, np.float32)


@pytest.mark.parametrize("name", KERNELS)
def test_results_of_the_subnormal_kernels_are_all_subnormal_and_the_others_never(name) -> None:
    node, ordinary, subnormal = KERNELS[name]()
    tiny, usual = (Executor(1).run(node, operands) for operands in (subnormal, ordinary))
    assert (tiny > 0).all()
    assert (tiny < LEAST_NORMAL).all()
    assert ((usual > 1) & (usual < 1e6)).all()


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_that_are_timed_fill_lanes_and_threads(name) -> None:
    node, _, _ = KERNELS[name]()
    per_term = {"product": 1, "chain": 3 * probe.LENGTH}[name]
    assert float_work_of(node) == node.terms * int(np.prod(node.shape)) * per_term


@pytest.mark.parametrize(("product", "chain"), [(140.0, 7.0), (2.0, 30.0), (0.5, 0.25)])
def test_slowdown_is_that_of_the_kernel_that_suffers_most_and_never_below_one(
    product, chain
) -> None:
    machine = SlowMachine(product, chain)
    speed = measure_subnormals(machine, clock=lambda: machine.now)
    assert speed.slowdown == max(1.0, product, chain)
    work = {"product": probe.SIZE**3, "chain": 3 * probe.LENGTH * probe.ELEMENTS}
    slowest = min(work["product"] / product, work["chain"] / chain)
    assert speed.work == pytest.approx(slowest)


def test_first_pair_counts_only_if_there_was_no_time_for_more() -> None:
    node, ordinary, subnormal = KERNELS["chain"]()

    def clock_of(durations: Iterator[float]):
        now = [0.0]

        def clock() -> float:
            now[0] += next(durations)
            return now[0]

        return clock

    def times(first: float, later: float) -> Iterator[float]:
        yield 0.0  # the beginning
        for duration in (first, *[later] * probe.PAIRS):
            # Before and after each of two runs, and a look at the budget.
            yield from (0.0, duration, 0.0, 2 * duration, 0.0)

    kinds = (ordinary, subnormal)
    executor = Executor(1)
    slow = probe._alternate(executor, node, kinds, clock_of(times(1.0, 9.0)))
    assert slow == [1.0, 2.0]
    quick = probe._alternate(executor, node, kinds, clock_of(times(0.01, 0.001)))
    assert quick == pytest.approx([0.001, 0.002])


@pytest.mark.parametrize("isa", instruction_sets())
def test_real_executor_is_measured_with_its_instruction_set(isa, monkeypatch) -> None:
    monkeypatch.setattr(probe, "SIZE", 32)
    monkeypatch.setattr(probe, "ELEMENTS", 1 << 10)
    assert subnormal_slowdown(Executor(2, isa)) >= 1
    assert 0 < measure_subnormals(Executor(1, isa)).work < float("inf")


def test_device_is_measured_through_its_own_memory(monkeypatch) -> None:
    monkeypatch.setattr(probe, "SIZE", 8)
    monkeypatch.setattr(probe, "ELEMENTS", 64)
    speed = measure_subnormals(CudaExecutor(HostDevice(), Executor(1)))
    assert speed.slowdown >= 1
