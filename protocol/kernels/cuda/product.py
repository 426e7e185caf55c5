"""Matrix products and convolutions: ``fma(load, load, acc)`` of two views, tile by tile.

Order of additions: that of ``source/product.cuh``, k in increasing order on one accumulator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from protocol.kernels.cuda.emit import affine, checked_axis, literal, unravel
from protocol.kernels.cuda.source import (
    NAME,
    OUT,
    KernelSource,
    Launch,
    finish,
    indented,
    kernel_function,
)
from protocol.kernels.cuda.views import Dim, View, merge, product_loads, row_major, view_of
from protocol.program.isa import DType, Type
from protocol.program.node import Node, numel

FEW_COLUMNS: Final = 8  # below it a tile would mostly compute padding
FEW_TERMS: Final = 4


@dataclass(frozen=True, slots=True)
class Tile:
    """Side of a block's tile, terms staged at a time, rows and columns of a thread."""

    side: int
    depth: int
    per_thread: int


TILES: Final = (Tile(128, 8, 8), Tile(64, 8, 4), Tile(32, 8, 2))
ENOUGH_BLOCKS: Final = 64  # a larger tile is not worth leaving a device idle


@dataclass(frozen=True, slots=True)
class Factor:
    """One of the two loads: its number, its view, and the output coordinates that move it alone."""

    load: int
    view: View
    lines: tuple[int, ...]


def product_kernel(node: Node, tile: Tile | None = None) -> KernelSource | None:
    """The tiled kernel; None if the node is no product, or too thin for tiles.

    Args:
        node: any node.
        tile: default: the largest that gives a device enough blocks.
    """
    found = product_loads(node)
    if found is None or node.dtype is not DType.F32 or node.guards or _skips(node):
        return None
    extents = node.shape + node.domain
    first, second = (view_of(node.loads[k], extents) for k in found)
    if first.words() or second.words():
        return None
    rank = len(node.shape)
    batch = [c for c in range(rank) if first.moves(c) == second.moves(c)]
    sides = [
        Factor(k, view, tuple(c for c in range(rank) if c not in batch and view.moves(c)))
        for k, view in zip(found, (first, second), strict=True)
    ]
    # Threads of a warp are neighbours along the columns: those should be so in the output too.
    sides.sort(key=lambda side: max((c for c in side.lines if extents[c] > 1), default=-1))
    if _points(extents, sides[1].lines) < FEW_COLUMNS:
        sides.reverse()
    rows, columns = (_points(extents, side.lines) for side in sides)
    if rows < 2 or columns < FEW_COLUMNS or node.terms < FEW_TERMS:
        return None
    return _finish(node, sides[0], sides[1], batch, tile)


def _finish(node: Node, a: Factor, b: Factor, batch: list[int], tile: Tile | None) -> KernelSource:
    extents = node.shape + node.domain
    depth = list(range(len(node.shape), len(extents)))
    rows, columns = _points(extents, a.lines), _points(extents, b.lines)
    batches = _points(extents, batch)
    if tile is None:
        enough = (t for t in TILES if _blocks(t, rows, columns, batches) >= ENOUGH_BLOCKS)
        tile = next(enough, TILES[-1])
    constants = {
        "rows": rows,
        "columns": columns,
        "depth": node.terms,
        "init": node.init,
    }
    lines = [f"static constexpr u32 {name} = {value}u;" for name, value in constants.items()]
    lines += [
        f"static constexpr int tile = {tile.side}, tile_depth = {tile.depth};",
        f"static constexpr int per_thread = {tile.per_thread};",
        f"static constexpr bool a_along_k = {_along(a, depth, extents)};",
        f"static constexpr bool b_along_k = {_along(b, depth, extents)};",
        *_loader("load_a", node, a, batch, depth),
        *_loader("load_b", node, b, batch, depth),
        *_place(node, batch, a.lines, b.lines),
    ]
    struct = f"struct {NAME}_view {{\n{indented(lines)}\n}};\n"
    slots = [node.loads[k].operand for k in (a.load, b.load)]
    kernel = kernel_function(
        NAME,
        ["float* __restrict__ out", "const float* __restrict__ a", "const float* __restrict__ b"],
        [f"product<{NAME}_view>(out, a, b);"],
    )
    launch = Launch(NAME, _blocks(tile, rows, columns, batches), (OUT, *slots))
    return finish(struct + kernel, [launch], ["product.cuh"])


def _loader(
    name: str, node: Node, factor: Factor, batch: Sequence[int], depth: Sequence[int]
) -> list[str]:
    """The function that reads the element (batch, line, k) of a factor."""
    extents, view = node.shape + node.domain, factor.view
    vectors = view.vectors(len(extents))
    groups = [
        ("batch", merge(batch, extents, vectors)),
        ("line", merge(factor.lines, extents, vectors)),
        ("k", merge(depth, extents, vectors)),
    ]
    known = {dim.coordinate for _, dims in groups for dim in dims}
    lines = [line for flat, dims in groups for line in unravel(flat, dims)]
    address = affine(view.constant, view.strides, known.__contains__)
    lines += [f"u32 at = {address};"]
    if view.checks:
        lines.append("bool inside = true;")
        for axis in view.checks:
            lines += checked_axis(
                axis, extents, lambda c: f"c{c}" if c in known else "", "at", "inside"
            )
        fill = literal(Type.F, node.loads[factor.load].fill)
        lines.append(f"return inside ? p[at] : {fill};")
    else:
        lines.append("return p[at];")
    head = (
        f"static PINPOINT_OP float {name}(const float* __restrict__ p, u32 batch, u32 line, u32 k)"
    )
    return [f"{head} {{", *(f"  {line}" for line in lines), "}"]


def _place(
    node: Node, batch: Sequence[int], rows: Sequence[int], columns: Sequence[int]
) -> list[str]:
    """The function that gives an output element's place."""
    strides = row_major(node.shape)
    groups: list[tuple[str, list[Dim]]] = [
        (flat, merge(lines, node.shape, [strides]))
        for flat, lines in (("batch", batch), ("row", rows), ("column", columns))
    ]
    known = {dim.coordinate for _, dims in groups for dim in dims}
    lines = [line for flat, dims in groups for line in unravel(flat, dims)]
    lines.append(f"return {affine(0, strides, known.__contains__)};")
    head = "static PINPOINT_OP u32 place(u32 batch, u32 row, u32 column)"
    return [f"{head} {{", *(f"  {line}" for line in lines), "}"]


def _along(factor: Factor, depth: Sequence[int], extents: Sequence[int]) -> str:
    """Whether neighbouring terms, rather than neighbouring lines, are neighbours in memory."""
    steps = [
        next((abs(factor.view.step(c)) for c in reversed(list(group)) if extents[c] > 1), 0)
        for group in (depth, factor.lines)
    ]
    return "true" if steps[0] == 1 and steps[1] != 1 else "false"


def _skips(node: Node) -> bool:
    extents = node.shape + node.domain
    return any(load.skip and view_of(load, extents).checks for load in node.loads)


def _points(extents: Sequence[int], coordinates: Sequence[int]) -> int:
    return numel(tuple(extents[c] for c in coordinates))


def _blocks(tile: Tile, rows: int, columns: int, batches: int) -> int:
    return -(-rows // tile.side) * -(-columns // tile.side) * batches
