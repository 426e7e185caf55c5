"""A region as one LLVM function: tiles of units, and in a tile one loop per group after the other.

    void fold(void* const* buffers, void* scratch, int64_t begin, int64_t end)

Values that a later loop of the region reads and nobody outside are kept in the tile's scratch.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from protocol.kernels.jit.emitter import Emitter, Val, constant
from protocol.kernels.jit.errors import Unsupported
from protocol.kernels.jit.group import Group, is_own, make_groups
from protocol.kernels.jit.loops import Frame, GroupCode, Span
from protocol.kernels.jit.memory import KINDS, Home
from protocol.kernels.jit.reduce import write_group
from protocol.kernels.region import Region
from protocol.program.isa import DType
from protocol.program.node import numel

NAME = "fold"
SCRATCH = 48 << 10  # bytes of a tile that stay in a core's nearest caches
SCRATCH_MOST = 1 << 20
TILE_LEAST = 16  # rows whose scalars fill a vector
TILE_MOST = 256
SCRATCH_ALIGN = 64
ANY = 1 << 62
FEW = 64
LONG_UNIT = 32  # elements of a unit that is worth a round of its own
CACHE = 512 << 10  # bytes of a tile's tensors that stay in a core's own cache
WORD = 4


@dataclass(slots=True)
class Text:
    """A function's text and what its caller must provide."""

    ir: str
    scratch_bytes: int


@dataclass(frozen=True, slots=True)
class _Stage:
    """Groups that a tile computes together: one unit after the other, or each for all units."""

    groups: tuple[Group, ...]
    by_unit: bool


@dataclass(slots=True)
class _Layout:
    """Where members are kept.

    Attributes:
        tile: units of a tile.
        offsets: byte offset in scratch of each member that is kept there.
        brief: members of which scratch has one unit at a time.
        lent: members that are kept in another's buffer, which is written later.
        size: bytes of scratch.
    """

    tile: int
    offsets: dict[int, int] = field(default_factory=dict)
    brief: set[int] = field(default_factory=set)
    lent: dict[int, int] = field(default_factory=dict)
    size: int = 0


def write_function(
    region: Region, width: int, attributes: str, name: str = NAME, scales: bool = False
) -> Text:
    """LLVM's text for a region.

    Args:
        region: the nodes.
        width: lanes of a vector of words.
        attributes: of the function, in LLVM's text.
        name: of the function.
        scales: whether the machine has `vscalefps`.

    Raises:
        Unsupported: the region has something that is left to the C++ engine.
    """
    groups = make_groups(region)
    if len(groups) > 1 and region.is_flat:
        raise Unsupported("a flat region whose nodes cannot share one loop")
    stages = _stages(region, groups)
    layout = _layout(region, stages)
    e = Emitter()
    begin, end = Val("%begin", "l"), Val("%end", "l")
    if len(groups) == 1:
        frames = _Frames(e, region, layout, width, begin, region.units, scales)
        write_group(frames.code(groups[0], begin), frames.span(groups[0], begin, end))
    else:
        with e.loop(begin, end, layout.tile) as loop:
            stop = e.limit(e.add(loop.index, constant("l", layout.tile)), end)
            frames = _Frames(e, region, layout, width, loop.index, layout.tile, scales)
            for stage in stages:
                frames.stage(stage, loop.index, stop)
    assert len(e.scopes) == 1
    lines = [
        *sorted(e.declared),
        f"define void @{name}(ptr noalias readonly %buffers, ptr noalias %scratch, "
        f"i64 %begin, i64 %end) {attributes} {{",
        "entry:",
        *e.scopes[0].lines,
        "  ret void",
        "}",
    ]
    return Text("\n".join(lines) + "\n", layout.size)


def _stages(region: Region, groups: list[Group]) -> list[_Stage]:
    """Neighbouring groups of long units go through each unit together, while it is in cache."""
    stages: list[_Stage] = []
    for group in groups:
        by_unit = region.inner(group.pieces[0].member) >= LONG_UNIT
        if stages and by_unit and stages[-1].by_unit:
            stages[-1] = _Stage((*stages[-1].groups, group), True)
        else:
            stages.append(_Stage((group,), by_unit))
    return stages


@dataclass(frozen=True, slots=True)
class _Use:
    """A group reads a member from memory; ``own`` if only at the element that it computes."""

    stage: int
    group: int
    own: bool


def _uses(region: Region, stages: list[_Stage]) -> dict[int, list[_Use]]:
    """Who reads each member that is not a buffer, other than in registers."""
    uses: dict[int, list[_Use]] = {}
    number = 0
    for s, stage in enumerate(stages):
        for group in stage.groups:
            number += 1
            for piece in group.pieces:
                for access, register in zip(piece.accesses, piece.registers, strict=True):
                    if access is None or register is not None:
                        continue
                    source = region.sources[piece.member][access.slot].member
                    if source is not None and region.outputs[source] is None:
                        own = not piece.node.domain and is_own(access, group)
                        uses.setdefault(source, []).append(_Use(s, number, own))
    return uses


def _layout(region: Region, stages: list[_Stage]) -> _Layout:
    """Which members go through scratch or a buffer, and how many units a tile has."""
    uses = _uses(region, stages)
    stage_of = {
        piece.member: s
        for s, stage in enumerate(stages)
        for group in stage.groups
        for piece in group.pieces
    }
    layout = _Layout(1)
    for member, users in uses.items():
        if stages[stage_of[member]].by_unit and {use.stage for use in users} == {stage_of[member]}:
            layout.brief.add(member)
    _lend(region, stages, uses, layout)
    kept = [member for member in uses if member not in layout.lent]
    per_unit = 4 * sum(region.inner(member) for member in kept if member not in layout.brief)
    touched = _touched(region)
    tile = min(TILE_MOST, SCRATCH // max(1, per_unit), CACHE // touched)
    if tile < TILE_LEAST:
        tile = TILE_LEAST if per_unit * TILE_LEAST <= SCRATCH_MOST else 1
    layout.tile = max(1, min(tile - tile % TILE_LEAST if tile > TILE_LEAST else tile, region.units))
    for member in sorted(kept):
        layout.offsets[member] = layout.size
        units = 1 if member in layout.brief else layout.tile
        layout.size += -(-4 * region.inner(member) * units // SCRATCH_ALIGN) * SCRATCH_ALIGN
    return layout


def _touched(region: Region) -> int:
    """Bytes of a unit: what members pass on or store, and what is read unit by unit."""
    read = {
        source.buffer: operand
        for node, sources in zip(region.nodes, region.sources, strict=True)
        for operand, source in zip(node.operands, sources, strict=True)
        if source.buffer is not None
    }
    inputs = sum(
        numel(operand.shape) * operand.dtype.width // region.units for operand in read.values()
    )
    return max(1, inputs + WORD * sum(region.inner(m) for m in range(len(region.nodes))))


def _lend(
    region: Region, stages: list[_Stage], uses: dict[int, list[_Use]], layout: _Layout
) -> None:
    """Keep a member in the buffer of a later one, if each element is read before it is replaced."""
    number = 0
    for stage in stages:
        for group in stage.groups:
            number += 1
            for piece in group.pieces:
                if region.outputs[piece.member] is None or piece.node.dtype.width != WORD:
                    continue
                for member, users in uses.items():
                    last = max(use.group for use in users)
                    alone = all(use.own for use in users if use.group == last)
                    if (
                        last == number
                        and alone
                        and member not in layout.lent
                        and member not in layout.brief
                        and region.nodes[member].numel == piece.node.numel
                        and region.outputs[piece.member] not in layout.lent.values()
                    ):
                        layout.lent[member] = region.outputs[piece.member] or 0
                        break


class _Frames:
    """What each group needs to know: homes of its tensors, from unit ``start`` of a tile on."""

    def __init__(
        self,
        e: Emitter,
        region: Region,
        layout: _Layout,
        width: int,
        start: Val,
        most: int,
        scales: bool,
    ) -> None:
        self.e = e
        self.region = region
        self.layout = layout
        self.width = width
        self.start = start
        self.most = most
        self.scales = scales

    def stage(self, stage: _Stage, first: Val, stop: Val) -> None:
        """A stage for the units [first, stop)."""
        if not stage.by_unit or len(stage.groups) == 1:
            for group in stage.groups:
                write_group(self.code(group, first), self.span(group, first, stop))
            return
        with self.e.loop(first, stop, 1) as loop:
            unit = loop.index
            for group in stage.groups:
                inner = self.region.inner(group.pieces[0].member)
                span = Span(self.e.scale(unit, inner), inner, None, unit)
                write_group(self.code(group, unit), span)

    def span(self, group: Group, first: Val, stop: Val) -> Span:
        """The elements of some units."""
        inner = self.region.inner(group.pieces[0].member)
        return Span(self.e.scale(first, inner), None, self.e.scale(stop, inner))

    def code(self, group: Group, unit: Val) -> GroupCode:
        """The emitter of a group; ``unit`` is the one of which brief members are kept."""
        homes = _Homes(self.e, self.region, self.layout, self.start, unit)
        sources = {
            piece.member: [
                homes.source(piece.member, slot) for slot in range(len(piece.node.operands))
            ]
            for piece in group.pieces
        }
        targets = {piece.member: homes.targets(piece.member) for piece in group.pieces}
        inner = self.region.inner(group.pieces[0].member)
        most = inner * self.most
        fewest = most if most < FEW else ANY
        frame = Frame(sources, targets, self.width, inner, fewest, self.scales)
        return GroupCode(self.e, group, frame)


class _Homes:
    """The memory of buffers and members: from unit ``start`` on, brief ones from ``unit`` on."""

    def __init__(self, e: Emitter, region: Region, layout: _Layout, start: Val, unit: Val) -> None:
        self.e = e
        self.region = region
        self.layout = layout
        self.start = start
        self.unit = unit

    def source(self, member: int, slot: int) -> Home | None:
        """Where a member's operand is read; None if it only lives in registers."""
        dtype = self.region.nodes[member].operands[slot].dtype
        source = self.region.sources[member][slot]
        if source.member is None:
            assert source.buffer is not None
            return Home(self._buffer(source.buffer), KINDS[dtype], constant("l", 0), 0)
        own = self.region.outputs[source.member]
        least = self.e.level
        if own is not None:
            return Home(self._buffer(own), KINDS[dtype], self._first(source.member), least)
        if source.member in self.layout.lent:
            lent = self._buffer(self.layout.lent[source.member])
            kind = "f" if dtype is DType.F32 else "i"
            return Home(lent, kind, self._first(source.member), least)
        if source.member in self.layout.offsets:
            return self._scratch(source.member, least)
        return None

    def targets(self, member: int) -> list[tuple[Home, bool]]:
        """Where a member's value is written."""
        found = []
        number = self.region.outputs[member]
        dtype = self.region.nodes[member].dtype
        if number is not None:
            found.append((Home(self._buffer(number), KINDS[dtype], constant("l", 0), 0), True))
        if member in self.layout.lent:
            lent = self._buffer(self.layout.lent[member])
            kind = "f" if dtype is DType.F32 else "i"
            found.append((Home(lent, kind, constant("l", 0), 0), False))
        if member in self.layout.offsets:
            found.append((self._scratch(member, self.e.level), False))
        return found

    def _buffer(self, number: int) -> Val:
        slot = self.e.value("p", 1, f"getelementptr ptr, ptr %buffers, i64 {number}", [])
        return self.e.value("p", 1, f"load ptr, ptr {slot.text}, align 8", [slot])

    def _first(self, member: int) -> Val:
        """The first element that the tile writes: one that may always be read."""
        start = self.unit if member in self.layout.brief else self.start
        return self.e.scale(start, self.region.inner(member))

    def _scratch(self, member: int, least: int) -> Home:
        """As if the whole tensor were there: the tile's first element is at the scratch's start."""
        e = self.e
        kind = "f" if self.region.nodes[member].dtype is DType.F32 else "i"
        offset = self.layout.offsets[member]
        base = e.value("p", 1, f"getelementptr i8, ptr %scratch, i64 {offset}", [])
        first = self._first(member)
        pointer = e.offset(base, kind, e.scale(first, -1))
        return Home(pointer, kind, first, least)
