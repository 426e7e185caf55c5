"""How much slower subnormal numbers make this machine: Pinpoint and stock PyTorch, one thread.

    python -m scripts.bench.subnormals

A matrix product with ordinary and with subnormal products, and exp where its results are ordinary
(-8 .. 8) and where they are subnormal (-104 .. -88). The sides do not run at the same time: each
call is the best of many, in one process per side.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from typing import Final

import numpy as np
import torch

from scripts.bench import ours, stock
from scripts.bench.operators import subnormal_rows
from scripts.bench.work import Operator

SECONDS: Final = 1.0
SHAPE: Final = (2048, 1024)
SIDES: Final = ("ours", "torch")


def works() -> dict[str, tuple[Operator, Operator]]:
    """Name -> with ordinary and with subnormal results."""
    ordinary, subnormal = (row.make(False) for row in subnormal_rows())
    assert isinstance(ordinary, Operator)
    assert isinstance(subnormal, Operator)
    exps = [_exp(low, high) for low, high in ((-8.0, 8.0), (-104.0, -88.0))]
    return {"mm 256^3": (ordinary, subnormal), "exp 2048 x 1024": (exps[0], exps[1])}


def _exp(low: float, high: float) -> Operator:
    x = np.random.default_rng(0).uniform(low, high, SHAPE).astype(np.float32)
    return Operator(torch.exp, (x,))


def seconds(side: str) -> dict[str, tuple[float, float]]:
    """Name -> best seconds of a call, ordinary and subnormal."""
    return {
        name: (_best(side, ordinary), _best(side, subnormal))
        for name, (ordinary, subnormal) in works().items()
    }


def _best(side: str, work: Operator) -> float:
    session = ours.session(work, 1) if side == "ours" else stock.session(work, stock.EAGER, 1)
    session.begin()
    session.call()
    times, end = [], time.perf_counter() + SECONDS
    while not times or time.perf_counter() < end:
        start = time.perf_counter()
        session.call()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> int:
    """Print a table."""
    rows = ["| work | side | ordinary | subnormal | times |", "|---|---|---:|---:|---:|"]
    for side in SIDES:
        # A process for each: two pools of threads would starve each other.
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            found = pool.apply(seconds, (side,))
        for name, (plain, slow) in found.items():
            times = f"{slow / plain:.1f}"
            rows.append(
                f"| {name} | {side} | {1e3 * plain:.3f} ms | {1e3 * slow:.3f} ms | {times} |"
            )
    sys.stdout.write("\n".join(rows) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
