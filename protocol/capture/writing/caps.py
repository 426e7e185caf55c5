"""The caps of a program, told in the words of the model that goes beyond them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from protocol.capture.errors import CaptureError, Origin, UnsupportedOperator
from protocol.program.isa import MAX_RANK
from protocol.program.node import Node, numel
from protocol.program.validate import MAX_ELEMENTS, Limits

Source = tuple[Origin, str]
"""Where a node comes from, and its operator."""

_READ = "(docs/CAPTURE.md, What is supported)"


def check_size(node: Node, source: Source) -> None:
    """UnsupportedOperator if the node has too many elements, or terms for each."""
    count, terms, limits = numel(node.shape), node.terms, Limits()
    if count > MAX_ELEMENTS:
        _refuse(
            source,
            f"its output of shape {node.shape} has {count:,} elements, the cap is "
            f"{MAX_ELEMENTS:,}; make the batch smaller (accumulate adds up gradients of several)",
        )
    if terms > limits.terms:
        _refuse(
            source,
            f"each element of its output adds up {terms:,} terms, the cap is {limits.terms:,}; "
            "reduce in two steps, one dimension after the other",
        )


def check_rank(node: Node, source: Source) -> None:
    """UnsupportedOperator if the node has too many dimensions."""
    for shape in (node.shape, node.domain):
        if len(shape) > MAX_RANK:
            _refuse(
                source,
                f"it works on {len(shape)} dimensions {shape}, the cap is {MAX_RANK}; join "
                "neighbouring ones with flatten before",
            )


def check_totals(nodes: Sequence[Node], sources: Sequence[Source]) -> None:
    """CaptureError if the whole program is too large; it names what takes most."""
    limits = Limits()
    if len(nodes) > limits.nodes:
        (source, count), *_ = Counter(sources).most_common(1)
        raise CaptureError(
            f"the step takes {len(nodes):,} nodes, the cap is {limits.nodes:,}; {count:,} of them "
            f"come from {_told(source)}: a loop of Python is unrolled, so make it shorter, or the "
            f"sequence {_READ}"
        )
    trace = sum(node.nbytes for node in nodes)
    if trace > limits.trace_bytes:
        largest = max(range(len(nodes)), key=lambda index: nodes[index].nbytes)
        raise CaptureError(
            f"the outputs of a step take {trace:,} bytes, the cap is {limits.trace_bytes:,}; the "
            f"largest, {nodes[largest].nbytes:,} bytes, comes from {_told(sources[largest])}: make "
            f"batch_size smaller, and give accumulate {_READ}"
        )


def _refuse(source: Source, advice: str) -> None:
    origin, operator = source
    raise UnsupportedOperator(operator, origin, f"{advice} {_READ}")


def _told(source: Source) -> str:
    origin, operator = source
    line = f", {origin.source}" if origin.source else ""
    return f"{operator} in {origin.module or 'the model'}{line}"
