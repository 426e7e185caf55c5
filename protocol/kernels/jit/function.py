"""A region as one LLVM function: tiles of units, and in a tile one loop per group after the other.

    void fold(void* const* buffers, void* scratch, int64_t begin, int64_t end)

Values that a later loop of the region reads and nobody outside are kept in the tile's scratch.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from protocol.kernels.jit.emitter import Emitter, Val, constant
from protocol.kernels.jit.errors import Unsupported
from protocol.kernels.jit.group import Group, make_groups
from protocol.kernels.jit.loops import Frame, GroupCode
from protocol.kernels.jit.memory import KINDS, Home
from protocol.kernels.jit.reduce import write_group
from protocol.kernels.region import Region
from protocol.program.isa import DType

NAME = "fold"
SCRATCH = 48 << 10  # bytes of a tile that stay in a core's nearest caches
SCRATCH_MOST = 1 << 20
TILE_LEAST = 16  # rows whose scalars fill a vector
TILE_MOST = 256
SCRATCH_ALIGN = 64
ANY = 1 << 62
MANY_UNITS = 64


@dataclass(slots=True)
class Text:
    """A function's text and what its caller must provide."""

    ir: str
    scratch_bytes: int


@dataclass(slots=True)
class _Layout:
    """Where members are kept: byte offsets in a tile's scratch, for those that need it."""

    tile: int
    offsets: dict[int, int] = field(default_factory=dict)
    size: int = 0


def write_function(region: Region, width: int, attributes: str) -> Text:
    """LLVM's text for a region.

    Args:
        region: the nodes.
        width: lanes of a vector of words.
        attributes: of the function, in LLVM's text.

    Raises:
        Unsupported: the region has something that is left to the C++ engine.
    """
    groups = make_groups(region)
    if len(groups) > 1 and _flat(region):
        raise Unsupported("a flat region whose nodes cannot share one loop")
    layout = _layout(region, groups)
    e = Emitter()
    begin, end = Val("%begin", "l"), Val("%end", "l")
    if len(groups) == 1 and not layout.offsets:
        _write(e, region, groups, layout, (begin, end), width)
    else:
        with e.loop(begin, end, layout.tile) as loop:
            stop = e.limit(e.add(loop.index, constant("l", layout.tile)), end)
            if layout.tile == 1:
                stop = e.add(loop.index, constant("l", 1))
            _write(e, region, groups, layout, (loop.index, stop), width)
    assert len(e.scopes) == 1
    lines = [
        *sorted(e.declared),
        f"define void @{NAME}(ptr noalias readonly %buffers, ptr noalias %scratch, "
        f"i64 %begin, i64 %end) {attributes} {{",
        "entry:",
        *e.scopes[0].lines,
        "  ret void",
        "}",
    ]
    return Text("\n".join(lines) + "\n", layout.size)


def _flat(region: Region) -> bool:
    return all(not n.domain and n.numel == region.units for n in region.nodes)


def _layout(region: Region, groups: list[Group]) -> _Layout:
    """Which members go through scratch, and how many units a tile has."""
    group_of = {piece.member: i for i, group in enumerate(groups) for piece in group.pieces}
    kept = set()
    for group in groups:
        for piece in group.pieces:
            for access, register in zip(piece.accesses, piece.registers, strict=True):
                if access is None or register is not None:
                    continue
                source = region.sources[piece.member][access.slot].member
                if source is not None and region.outputs[source] is None:
                    assert group_of[source] < group_of[piece.member]
                    kept.add(source)
    per_unit = 4 * sum(region.inner(member) for member in kept)
    tile = min(TILE_MOST, SCRATCH // per_unit) if per_unit else TILE_MOST
    if tile < TILE_LEAST:
        tile = TILE_LEAST if per_unit * TILE_LEAST <= SCRATCH_MOST else 1
    tile = max(1, min(tile - tile % TILE_LEAST if tile > TILE_LEAST else tile, region.units))
    layout = _Layout(tile)
    for member in sorted(kept):
        layout.offsets[member] = layout.size
        bytes_ = 4 * region.inner(member) * tile
        layout.size += -(-bytes_ // SCRATCH_ALIGN) * SCRATCH_ALIGN
    return layout


def _write(
    e: Emitter,
    region: Region,
    groups: list[Group],
    layout: _Layout,
    units: tuple[Val, Val],
    width: int,
) -> None:
    """All groups, for the units of a tile."""
    homes = _Homes(e, region, layout, units[0])
    for group in groups:
        unit = region.inner(group.pieces[0].member)
        sources = {
            piece.member: [
                homes.source(piece.member, slot) for slot in range(len(piece.node.operands))
            ]
            for piece in group.pieces
        }
        targets = {piece.member: homes.targets(piece.member) for piece in group.pieces}
        one_tile = len(groups) > 1 or bool(layout.offsets)
        most = unit * (layout.tile if one_tile else region.units)
        few = most if most < MANY_UNITS else ANY
        frame = Frame(sources, targets, width, unit, few)
        first, last = (e.scale(bound, unit) for bound in units)
        write_group(GroupCode(e, group, frame), first, last)


class _Homes:
    """The memory of buffers and members, from the first unit ``start`` of a tile on."""

    def __init__(self, e: Emitter, region: Region, layout: _Layout, start: Val) -> None:
        self.e = e
        self.region = region
        self.layout = layout
        self.start = start

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
        if member in self.layout.offsets:
            found.append((self._scratch(member, self.e.level), False))
        return found

    def _buffer(self, number: int) -> Val:
        slot = self.e.value("p", 1, f"getelementptr ptr, ptr %buffers, i64 {number}", [])
        return self.e.value("p", 1, f"load ptr, ptr {slot.text}, align 8", [slot])

    def _first(self, member: int) -> Val:
        """The first element that the tile writes: one that may always be read."""
        return self.e.scale(self.start, self.region.inner(member))

    def _scratch(self, member: int, least: int) -> Home:
        """As if the whole tensor were there: the tile's first element is at the scratch's start."""
        e = self.e
        kind = "f" if self.region.nodes[member].dtype is DType.F32 else "i"
        offset = self.layout.offsets[member]
        base = e.value("p", 1, f"getelementptr i8, ptr %scratch, i64 {offset}", [])
        first = self._first(member)
        pointer = e.offset(base, kind, e.scale(first, -1))
        return Home(pointer, kind, first, least)
