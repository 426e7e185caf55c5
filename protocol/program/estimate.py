"""What one step of a program takes: scalar work, memory at its peak, bytes that tracing hashes.

Static: shapes and the order of the nodes are the program's. An executor frees a node's output after
its last reader, so the peak is that of the live outputs beside state, next state and data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from protocol.program.cost import float_work, step_work, trace_bytes
from protocol.program.node import OperandKind, Program, TensorSpec


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
