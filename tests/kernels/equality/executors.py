"""Everything that computes a node and has to agree with the reference, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from numpy.typing import NDArray

from protocol.kernels import Executor, instruction_sets
from protocol.program.node import Node

Tensors = Sequence[NDArray[Any]]
Run = Callable[[Node, Tensors], NDArray[Any]]

THREADS = (1, 2, 3)


def executors() -> dict[str, Run]:
    """All ways to compute a node on this machine; grain 0 lets tiny nodes be shared too."""
    return dict(_named())


def _named() -> Iterator[tuple[str, Run]]:
    for isa in instruction_sets():
        for threads in THREADS:
            yield f"{isa}, threads {threads}", Executor(threads, isa, grain=0).run
