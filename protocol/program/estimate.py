"""What one step of a program takes: scalar work, memory at its peak, bytes that tracing hashes.

Static: shapes and the order of the nodes are the program's. An executor frees a node's output after
its last reader, so the peak is that of the live outputs beside state, next state and data.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from protocol.program.cost import float_work, step_work, trace_bytes
from protocol.program.node import OperandKind, Program, TensorSpec

# A fast core, so that slower ones spend a smaller share on commitments.
CORE_WORK: Final = 2e11  # scalar instructions a second, as `step_work` counts them
NODE_SECONDS: Final = 1e-6
HASHED_BYTES: Final = 4e9  # a second
TENSOR_SECONDS: Final = 2e-6
STATE_SECONDS: Final = 1e-4
COMMITMENT_SHARE: Final = 0.01  # of the time of the steps between two checkpoints
LEAST_INTERVAL: Final = 8
LEAST_SEGMENTS: Final = 16  # of a run that has the steps: a challenger's bond grows with a segment


@dataclass(frozen=True)
class StepEstimate:
    """Figures of one step.

    Attributes:
        work: scalar instructions, loads counted as half of one.
        float_work: float instructions that subnormal numbers can slow down; those of a node with
            few outputs count as if they filled a processor's lanes.
        trace_bytes: of all node outputs.
        peak_bytes: of live outputs, state before and after, and data, together.
    """

    work: int
    float_work: int
    trace_bytes: int
    peak_bytes: int


def estimate_step(program: Program, data: Sequence[TensorSpec]) -> StepEstimate:
    """The figures of a validated program."""
    resident = sum(spec.nbytes for spec in data) + sum(b.nbytes for b in program.bindings)
    return StepEstimate(
        work=step_work(program),
        float_work=float_work(program),
        trace_bytes=trace_bytes(program),
        peak_bytes=resident + _peak_of_outputs(program),
    )


def default_interval(program: Program, steps: int) -> int:
    """Steps per checkpoint, so that hashing states takes about `COMMITMENT_SHARE` of a run.

    A short run is cut into `LEAST_SEGMENTS` all the same, down to `LEAST_INTERVAL`. Fewer steps are
    shorter segments: less to re-run in a dispute, and to lose by an interruption.
    """
    step = step_work(program) / CORE_WORK + len(program.nodes) * NODE_SECONDS
    nbytes = sum(binding.nbytes for binding in program.bindings)
    commitment = nbytes / HASHED_BYTES + len(program.bindings) * TENSOR_SECONDS + STATE_SECONDS
    cheap = math.ceil(commitment / (COMMITMENT_SHARE * step))
    return min(steps, max(LEAST_INTERVAL, min(cheap, -(-steps // LEAST_SEGMENTS))))


def _peak_of_outputs(program: Program) -> int:
    """Bytes of the outputs that are live at once; a bound one stays to the end of the step."""
    last = list(range(len(program.nodes)))
    for reader, operand in program.consumers():
        if operand.kind is OperandKind.NODE:
            last[operand.index] = max(last[operand.index], reader)
    for binding in program.bindings:
        if binding.kind is OperandKind.NODE:
            last[binding.index] = len(program.nodes)
    dying: list[list[int]] = [[] for _ in range(len(program.nodes) + 1)]
    for index, end in enumerate(last):
        dying[end].append(index)
    live = peak = 0
    for index, node in enumerate(program.nodes):
        live += node.nbytes
        peak = max(peak, live)
        live -= sum(program.nodes[dead].nbytes for dead in dying[index])
    return peak
