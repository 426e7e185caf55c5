"""Stages: what a step runs one after another, and how nodes in groups become stages in order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from protocol.kernels.region import Region, Source
from protocol.program.node import Operand, OperandKind, Program


@dataclass(frozen=True, slots=True)
class Stage:
    """Nodes that one kernel computes.

    Attributes:
        nodes: their numbers in the program, ascending.
        region: how they are computed together, or None for a single node that stays with the C++
            kernels.
        reads: the tensors of the stage's first buffers. Without a region one per operand slot.
        writes: the nodes whose outputs go to the buffers after those, ascending.
    """

    nodes: tuple[int, ...]
    region: Region | None
    reads: tuple[Operand, ...]
    writes: tuple[int, ...]

    @property
    def is_flat(self) -> bool:
        """Whether it is a region of pointwise nodes whose units are elements."""
        return self.region is not None and self.region.is_flat


def stored_outputs(program: Program, group_of: Sequence[int]) -> set[int]:
    """The nodes that need a buffer: a state tensor is bound to them, or another group reads them.

    ``group_of`` gives each node's group.
    """
    stored = {b.index for b in program.bindings if b.kind is OperandKind.NODE}
    for reader, operand in program.consumers():
        if operand.kind is OperandKind.NODE and group_of[operand.index] != group_of[reader]:
            stored.add(operand.index)
    return stored


def make_stage(
    program: Program, members: Sequence[int], units: int | None, stored: set[int]
) -> Stage:
    """The stage of ``members`` (ascending); ``units`` is None for one node without a region."""
    nodes = tuple(program.nodes[member] for member in members)
    if units is None:
        return Stage(tuple(members), None, nodes[0].operands, tuple(members))
    position = {member: place for place, member in enumerate(members)}
    buffers: dict[tuple[OperandKind, int], int] = {}
    reads: list[Operand] = []
    sources: list[tuple[Source, ...]] = []
    for node in nodes:
        slots = []
        for operand in node.operands:
            if operand.kind is OperandKind.NODE and operand.index in position:
                slots.append(Source(member=position[operand.index]))
                continue
            tensor = (operand.kind, operand.index)
            if tensor not in buffers:
                buffers[tensor] = len(reads)
                reads.append(operand)
            slots.append(Source(buffer=buffers[tensor]))
        sources.append(tuple(slots))
    writes = tuple(member for member in members if member in stored)
    outputs = {member: len(reads) + k for k, member in enumerate(writes)}
    region = Region(
        nodes=nodes,
        sources=tuple(sources),
        outputs=tuple(outputs.get(member) for member in members),
        units=units,
        buffers=len(reads) + len(writes),
    )
    return Stage(tuple(members), region, tuple(reads), writes)


def execution_order(
    program: Program, groups: Sequence[Sequence[int]], group_of: Sequence[int]
) -> list[int]:
    """Numbers of the groups in an order in which they can run.

    Near the program's: a group comes where its last node stands, or just before the first group
    that reads it. Nothing is computed earlier than it must, so little is kept.

    Raises:
        ValueError: groups need one another's outputs, so that no order exists.
    """
    order: list[int] = []
    is_done = [False] * len(groups)
    is_open = [False] * len(groups)

    def producers(group: int) -> Iterator[int]:
        for member in groups[group]:
            for operand in program.nodes[member].operands:
                if operand.kind is OperandKind.NODE:
                    yield group_of[operand.index]

    for last in range(len(program.nodes)):
        if groups[group_of[last]][-1] != last or is_done[group_of[last]]:
            continue
        pending = [(group_of[last], producers(group_of[last]))]
        is_open[group_of[last]] = True
        while pending:
            group, rest = pending[-1]
            needed = next((g for g in rest if g != group and not is_done[g]), None)
            if needed is None:
                is_done[group] = True
                order.append(group)
                pending.pop()
            elif is_open[needed]:
                raise ValueError(f"nodes {groups[group]} and {groups[needed]} need one another")
            else:
                is_open[needed] = True
                pending.append((needed, producers(needed)))
    return order


def live_peak(program: Program, stages: Sequence[Stage]) -> int:
    """Bytes of stored outputs that live at once, without those that become state tensors."""
    spans: dict[int, tuple[int, int]] = {}
    for at, stage in enumerate(stages):
        for operand in stage.reads:
            if operand.kind is OperandKind.NODE:
                spans[operand.index] = (spans[operand.index][0], at)
        spans.update(dict.fromkeys(stage.writes, (at, at)))
    for binding in program.bindings:
        if binding.kind is OperandKind.NODE:
            spans.pop(binding.index, None)
    return peak_of([program.nodes[node].nbytes for node in spans], list(spans.values()))


def peak_of(sizes: Sequence[int], spans: Sequence[tuple[int, int]]) -> int:
    """Largest sum of sizes at one time; the first and the last time of a span count both."""
    changes: defaultdict[int, int] = defaultdict(int)
    for size, (first, last) in zip(sizes, spans, strict=True):
        changes[first] += size
        changes[last + 1] -= size
    return max(accumulate(changes[at] for at in sorted(changes)), default=0)


def describe(program: Program, stages: Sequence[Stage]) -> str:
    """A Markdown table of the stages of more than one node, and a line of totals."""
    rows = ["| nodes | units | elements of a unit | stored | not stored |", "|---|---|---|---|---|"]
    passed = 0
    for stage in stages:
        if stage.region is None or len(stage.nodes) == 1:
            continue
        inner = max(stage.region.inner(place) for place in range(len(stage.nodes)))
        written = sum(program.nodes[node].nbytes for node in stage.writes)
        kept = sum(program.nodes[node].nbytes for node in stage.nodes) - written
        passed += kept
        names = ", ".join(map(str, stage.nodes))
        rows.append(f"| {names} | {stage.region.units:,} | {inner:,} | {written:,} | {kept:,} |")
    total = sum(node.nbytes for node in program.nodes)
    rows += ["", f"{len(program.nodes)} nodes in {len(stages)} stages; "]
    rows[-1] += f"{passed:,} of {total:,} bytes of outputs are not stored."
    return "\n".join(rows)
