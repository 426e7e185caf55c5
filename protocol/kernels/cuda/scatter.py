"""Nodes whose guards pin output coordinates to words: scatter-add, gradients of gathers.

Order of additions: every accumulator belongs to one thread, which walks all terms in order and
touches it in those terms whose guard words name it. Nothing is added atomically.
"""

from __future__ import annotations

from typing import Final

from protocol.kernels.cuda.emit import POINTEES, TYPES, Emitter, affine, unravel
from protocol.kernels.cuda.source import (
    NAME,
    OUT,
    SCRATCH,
    THREADS,
    KernelSource,
    Launch,
    blocks_for,
    finish,
    kernel_function,
    loops,
    operand_parameters,
)
from protocol.kernels.cuda.views import (
    Dim,
    Liveness,
    close_over_words,
    merge,
    row_major,
    view_of,
)
from protocol.program.isa import DType, Type
from protocol.program.node import Node, numel

WANTED_THREADS: Final = (
    1 << 16
)  # rows are dealt out to so many threads, each of which reads all words


def scatter_kernel(node: Node) -> KernelSource | None:
    """The kernel of a guarded node; None if it has no guard, or a guard that differs by output."""
    rank = len(node.shape)
    extents = node.shape + node.domain
    views = [view_of(load, extents) for load in node.loads]
    guarding = close_over_words(node, (guard.load for guard in node.guards))
    if not node.guards or any(views[k].moves(c) for k in guarding for c in range(rank)):
        return None
    live = Liveness(node)
    strides = row_major(node.shape)
    vectors = [v for k in live.loads for v in views[k].vectors(len(extents))]
    vectors.append([*strides, *(0 for _ in node.domain)])
    pinned = sorted({guard.coordinate for guard in node.guards})
    apart = live.coordinates | set(pinned)
    free = merge([c for c in range(rank) if c not in pinned], extents, vectors, apart)
    terms = merge(range(rank, len(extents)), extents, vectors, apart)
    own = [Dim(c, extents[c]) for c in pinned]
    emitter = Emitter(node, [*pinned, *range(rank, len(extents))], [*free, *own, *terms])

    points = numel(tuple(dim.extent for dim in free))
    owners = max(1, min(extents[pinned[0]], WANTED_THREADS // points))
    names = [(f"c{dim.coordinate}", dim.extent) for dim in terms]
    lines = [
        f"const u32 job = blockIdx.x * {THREADS}u + threadIdx.x;",
        f"if (job >= {points * owners}u) return;",
        f"const u32 owner = job / {points}u;",
        f"const u32 o = job % {points}u;",
        *unravel("o", free),
        *(line for k in live.loads if not emitter.late(k) for line in emitter.load(k)),
        *emitter.body(late=False),
        *loops(names, _term(emitter, guarding, pinned, owners, strides)),
    ]
    return _finish(node, emitter, lines, points * owners)


def _term(
    emitter: Emitter, guarding: set[int], pinned: list[int], owners: int, strides: list[int]
) -> list[str]:
    """One term of one thread: find the row, leave it to its owner, run the body on it."""
    node = emitter.node
    lines: list[str] = []
    for k in sorted(guarding):
        if emitter.late(k):
            lines += emitter.load(k)
    seen: set[int] = set()
    for guard in node.guards:
        c = guard.coordinate
        if c in seen:
            lines.append(f"if (x{guard.load} != c{c}) continue;")
        else:
            lines.append(f"if (x{guard.load} >= {node.shape[c]}u) continue;")
            lines.append(f"const u32 c{c} = x{guard.load};")
        seen.add(c)
    lines.append(f"if (c{pinned[0]} % {owners}u != owner) continue;")
    for k in emitter.live.loads:
        if emitter.late(k) and k not in guarding:
            lines += emitter.load(k)
        lines += emitter.skip(k)
    address = affine(0, strides, emitter.defined)
    wrap = "op_b2f" if node.dtype.type is Type.F else ""
    return [
        *lines,
        f"const u32 at = {address};",
        f"const {TYPES[node.dtype.type]} acc = {wrap}(sums[at]);",
        *emitter.body(late=True),
        f"store({_typed(node, 'sums')}, at, {emitter.value(node.result)});",
    ]


def _finish(node: Node, emitter: Emitter, lines: list[str], jobs: int) -> KernelSource:
    """The scatter after a launch that sets the accumulators; for u8 another one narrows them."""
    wide = node.dtype is DType.U8  # the output holds only the low byte of an accumulator
    sums = SCRATCH if wide else OUT
    at = [
        f"const u32 o = blockIdx.x * {THREADS}u + threadIdx.x;",
        f"if (o >= {node.numel}u) return;",
    ]
    begin = kernel_function(f"{NAME}_begin", ["u32* sums"], [*at, f"sums[o] = {node.init:#x}u;"])
    declared, slots = operand_parameters(node, emitter.live.loads)
    scatter = kernel_function(NAME, ["u32* __restrict__ sums", *declared], lines)
    blocks = blocks_for(node.numel)
    launches = [
        Launch(f"{NAME}_begin", blocks, (sums,)),
        Launch(NAME, blocks_for(jobs), (sums, *slots)),
    ]
    text = begin + scatter
    if wide:
        parameters = [f"{POINTEES[node.dtype]}* out", "const u32* sums"]
        text += kernel_function(f"{NAME}_end", parameters, [*at, "store(out, o, sums[o]);"])
        launches.append(Launch(f"{NAME}_end", blocks, (OUT, SCRATCH)))
    return finish(text, launches, scratch_words=node.numel if wide else 0)


def _typed(node: Node, pointer: str) -> str:
    return f"(float*){pointer}" if node.dtype.type is Type.F else pointer
