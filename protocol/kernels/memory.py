"""Where a step keeps its outputs: one arena, and state tensors overwritten where nothing is lost.

The arena holds the outputs that live within the step. An output lives from the stage that writes it
to the last one that reads it, both included: what a stage reads is never what it writes. The one
exception is a state tensor that a flat region reads at the element it writes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from protocol.kernels.affine import reads_own_element
from protocol.kernels.stages import Stage, peak_of
from protocol.program.isa import DType
from protocol.program.node import OperandKind, Program

ALIGNMENT = 64  # a cache line and a vector of the widest instruction set
CLOSE = 1.01  # an arena this near to the bytes that live at once is good enough
MAX_TRIES = 64  # slots looked at for an output that cannot overwrite its own: bounds hostile tasks


@dataclass(frozen=True, slots=True)
class BufferPlan:
    """Memory of the stored outputs of a step.

    Attributes:
        arena_bytes: size of the arena.
        offsets: for each stored output that no state tensor is bound to, its place in the arena.
        in_place: for bound outputs, the state tensor whose memory before the step they take over.
            The caller has to own that memory, and no two state tensors may share any, unless the
            bindings themselves make them one.
        fresh: the other bound outputs, which need memory of their own.
        fresh_bytes: of those together.
    """

    arena_bytes: int
    offsets: dict[int, int]
    in_place: dict[int, int]
    fresh: tuple[int, ...]
    fresh_bytes: int


def plan_buffers(program: Program, stages: Sequence[Stage]) -> BufferPlan:
    """The plan for a program cut into ``stages``, which run in this order."""
    bound = {b.index for b in program.bindings if b.kind is OperandKind.NODE}
    in_place = _in_place(program, stages)
    fresh = tuple(sorted(bound - set(in_place)))
    lives = _lives(stages, bound)
    nodes = sorted(lives)
    sizes = [_aligned(program.nodes[node].nbytes) for node in nodes]
    arena_bytes, places = _arrange(sizes, [lives[node] for node in nodes])
    return BufferPlan(
        arena_bytes,
        dict(zip(nodes, places, strict=True)),
        in_place,
        fresh,
        sum(program.nodes[node].nbytes for node in fresh),
    )


def _aligned(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


def _lives(stages: Sequence[Stage], bound: set[int]) -> dict[int, tuple[int, int]]:
    """First and last stage of each stored output that is not bound."""
    lives: dict[int, tuple[int, int]] = {}
    for at, stage in enumerate(stages):
        for operand in stage.reads:
            if operand.kind is OperandKind.NODE and operand.index not in bound:
                lives[operand.index] = (lives[operand.index][0], at)
        lives.update({node: (at, at) for node in stage.writes if node not in bound})
    return lives


def _arrange(sizes: Sequence[int], spans: Sequence[tuple[int, int]]) -> tuple[int, list[int]]:
    """Arena size and offsets: the best of a few orders, the first one close to what must live."""
    least = peak_of(sizes, spans)
    turns = list(range(len(sizes)))
    length = [last - first + 1 for first, last in spans]
    orders = (
        sorted(turns, key=lambda k: (-sizes[k], -length[k])),
        sorted(turns, key=lambda k: -sizes[k] * length[k]),
        sorted(turns, key=lambda k: (-sizes[k], spans[k])),
        sorted(turns, key=lambda k: (-spans[k][1], -sizes[k])),
    )
    best: tuple[int, list[int]] = (0, [])
    for order in orders:
        found = _place(sizes, spans, order)
        if not best[1] or found[0] < best[0]:
            best = found
        if best[0] <= CLOSE * least:
            break
    return best


def _place(
    sizes: Sequence[int], spans: Sequence[tuple[int, int]], order: Sequence[int]
) -> tuple[int, list[int]]:
    """Arena size and offsets: each in turn takes the smallest gap among what lives with it."""
    places = np.zeros(len(sizes), np.int64)
    ends = np.zeros(len(sizes), np.int64)  # 0: not placed yet
    first = np.array([span[0] for span in spans], np.int64)
    last = np.array([span[1] for span in spans], np.int64)
    for k in order:
        beside = np.flatnonzero((ends > 0) & (first <= last[k]) & (last >= first[k]))
        beside = beside[np.argsort(places[beside])]
        starts = places[beside]
        floors = np.concatenate(([0], np.maximum.accumulate(ends[beside])))
        gaps = starts - floors[:-1]
        fits = np.flatnonzero(gaps >= sizes[k])
        at = floors[fits[np.argmin(gaps[fits])]] if len(fits) else floors[-1]
        places[k], ends[k] = at, at + sizes[k]
    return int(ends.max(initial=0)), [int(place) for place in places]


def _in_place(program: Program, stages: Sequence[Stage]) -> dict[int, int]:
    """For each bound output that may overwrite a state tensor, which one; own slots first."""
    stage_of = {node: at for at, stage in enumerate(stages) for node in stage.nodes}
    readers: defaultdict[int, list[int]] = defaultdict(list)
    for reader, operand in program.consumers():
        if operand.kind is OperandKind.STATE:
            readers[operand.index].append(reader)

    def is_dead(slot: int, output: int) -> bool:
        """Whether nothing needs the old tensor of ``slot`` once ``output`` is being written."""
        at = stage_of[output]
        return all(
            stage_of[reader] < at
            or (
                stage_of[reader] == at
                and reader <= output  # a later member would find the new words
                and stages[at].is_flat
                and reads_own_element(program.nodes[reader], slot)
            )
            for reader in readers[slot]
        )

    free = _given_up(program)
    taken: dict[int, int] = {}
    bound = [(s, b.index) for s, b in enumerate(program.bindings) if b.kind is OperandKind.NODE]
    for slot, output in bound:
        if slot in free and output not in taken and is_dead(slot, output):
            taken[output] = slot
            free.discard(slot)
    alike: defaultdict[tuple[DType, int], list[int]] = defaultdict(list)
    for slot in sorted(free):
        alike[program.bindings[slot].dtype, program.bindings[slot].nbytes].append(slot)
    for output in sorted({output for _, output in bound} - set(taken)):
        slots = alike[program.nodes[output].dtype, program.nodes[output].nbytes]
        found = next((slot for slot in slots[:MAX_TRIES] if is_dead(slot, output)), None)
        if found is not None:
            taken[output] = found
            slots.remove(found)
    return taken


def _given_up(program: Program) -> set[int]:
    """The slots whose tensor no binding keeps, and whose memory is never another slot's too.

    Two slots are one memory after a step if they are bound to the same tensor, or to state tensors
    that were one memory before it.
    """
    root = list(range(len(program.bindings)))

    def find(slot: int) -> int:
        while root[slot] != slot:
            root[slot] = root[root[slot]]
            slot = root[slot]
        return slot

    heir: dict[int, int] = {}  # of a set of slots: one that is bound to a state tensor in it
    source: dict[int, int] = {}
    pending: list[tuple[int, int]] = []
    for slot, binding in enumerate(program.bindings):
        first = heir if binding.kind is OperandKind.STATE else source
        pending.append((slot, first.setdefault(binding.index, slot)))
    while pending:
        one, other = map(find, pending.pop())
        if one == other:
            continue
        root[one] = other
        if one in heir:
            pending.append((heir[one], heir.setdefault(other, heir[one])))
    sizes = Counter(map(find, range(len(root))))
    kept = {b.index for b in program.bindings if b.kind is OperandKind.STATE}
    return {slot for slot in range(len(root)) if sizes[find(slot)] == 1 and slot not in kept}
