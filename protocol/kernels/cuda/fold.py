"""Any node: a thread for each output element.

Order of additions: each thread runs the terms of its element one after the other, in row-major
order of the domain. Only where the body is an exactly associative operation do 32 threads share an
element, each with every 32nd term.
"""

from __future__ import annotations

from typing import Final

from protocol.kernels.cuda.emit import POINTEES, TYPES, Emitter, literal, unravel
from protocol.kernels.cuda.source import (
    NAME,
    OUT,
    THREADS,
    KernelSource,
    Launch,
    blocks_for,
    finish,
    kernel_function,
    loops,
    operand_parameters,
)
from protocol.kernels.cuda.views import Dim, Liveness, merge, view_of
from protocol.program.isa import Op, Type
from protocol.program.node import Node

LANES: Final = 32
FEW_TERMS: Final = 64  # below it, threads that share an element mostly wait for each other
MANY_OUTPUTS: Final = 1 << 15  # enough threads for a device without sharing elements

NEUTRAL: Final = {
    Op.MIN: 0x7F800000, Op.MAX: 0xFF800000, Op.IADD: 0, Op.IAND: 0xFFFFFFFF, Op.IOR: 0,
    Op.IXOR: 0, Op.IMIN: 0x7FFFFFFF, Op.IMAX: 0x80000000,
}  # fmt: skip
"""Exactly associative and commutative operations, with the word that changes no other."""


def plain_kernel(node: Node) -> KernelSource:
    """The kernel for any node: a thread per output element."""
    rank = len(node.shape)
    outputs, terms = _dims(node)
    emitter = Emitter(node, range(rank, rank + len(node.domain)), [*outputs, *terms])
    names = [(f"c{dim.coordinate}", dim.extent) for dim in terms]
    lines = [
        f"const u32 o = blockIdx.x * {THREADS}u + threadIdx.x;",
        f"if (o >= {node.numel}u) return;",
        *unravel("o", outputs),
        *_before_terms(emitter),
        f"{TYPES[node.dtype.type]} acc = {literal(node.dtype.type, node.init)};",
        *loops(names, term(emitter)),
        "store(out, o, acc);",
    ]
    return _finish(node, emitter, lines, blocks_for(node.numel))


def shared_kernel(node: Node) -> KernelSource | None:
    """A kernel in which threads share an element; None unless order cannot matter, and it pays."""
    op = associative_operation(node)
    outputs, terms = _dims(node)
    rank = len(node.shape)
    if op is None or node.terms < FEW_TERMS or not terms:
        return None
    emitter = Emitter(node, range(rank, rank + len(node.domain)), [*outputs, *terms])
    inner = terms[-1].coordinate
    contiguous = any(abs(emitter.views[k].step(inner)) == 1 for k in emitter.live.loads)
    if node.numel >= MANY_OUTPUTS and not contiguous:
        return None
    kind = node.dtype.type
    apply = f"op_{op.name.lower()}"
    to_bits, from_bits = ("op_f2b", "op_b2f") if kind is Type.F else ("", "")
    per_block = THREADS // LANES
    loop = [
        f"for (u32 t = lane; t < {node.terms}u; t += {LANES}u) {{",
        *(f"  {line}" for line in [*unravel("t", terms), *term(emitter)]),
        "}",
    ]
    first, neutral = literal(kind, node.init), literal(kind, NEUTRAL[op])
    lines = [
        f"__shared__ u32 part[{THREADS}];",
        f"const u32 lane = threadIdx.x % {LANES}u;",
        f"const u32 o = blockIdx.x * {per_block}u + threadIdx.x / {LANES}u;",
        f"{TYPES[kind]} acc = lane == 0u ? {first} : {neutral};",
        f"if (o < {node.numel}u) {{",
        *(f"  {line}" for line in [*unravel("o", outputs), *_before_terms(emitter), *loop]),
        "}",
        f"part[threadIdx.x] = {to_bits}(acc);",
        "__syncthreads();",
        f"if (lane != 0u || o >= {node.numel}u) return;",
        f"for (u32 i = 1u; i < {LANES}u; ++i) {{",
        f"  acc = {apply}(acc, {from_bits}(part[threadIdx.x + i]));",
        "}",
        "store(out, o, acc);",
    ]
    return _finish(node, emitter, lines, -(-node.numel // per_block))


def associative_operation(node: Node) -> Op | None:
    """The operation if the body is ``op(acc, value)`` with a value that does not depend on acc."""
    position = node.result - node.first_instruction
    if position < 0 or node.instructions[position].op not in NEUTRAL:
        return None
    depends = {0}
    live = Liveness(node)
    for earlier in live.instructions[:-1]:
        if depends & set(node.instructions[earlier].arguments):
            depends.add(node.first_instruction + earlier)
    last = node.instructions[position]
    return (
        last.op
        if [v in depends for v in last.arguments].count(True) == 1 and (0 in last.arguments)
        else None
    )


def term(emitter: Emitter) -> list[str]:
    """One term: guards as early as their words are known, then skips, then the body."""
    node, live = emitter.node, emitter.live
    lines: list[str] = []
    for k in live.loads:
        if emitter.late(k):
            lines += emitter.load(k)
        lines += emitter.skip(k)
        lines += [
            f"if (x{k} != {coordinate_of(emitter, guard.coordinate)}) continue;"
            for guard in node.guards
            if guard.load == k
        ]
    return [*lines, *emitter.body(late=True), f"acc = {emitter.value(node.result)};"]


def coordinate_of(emitter: Emitter, coordinate: int) -> str:
    """The expression of a coordinate that is not part of a merged one."""
    return emitter.value(emitter.node.first_coordinate + coordinate)


def _before_terms(emitter: Emitter) -> list[str]:
    lines = [line for k in emitter.live.loads if not emitter.late(k) for line in emitter.load(k)]
    return lines + emitter.body(late=False)


def _dims(node: Node) -> tuple[list[Dim], list[Dim]]:
    """Coordinates of the outputs and of the terms, merged where that changes no address."""
    extents = node.shape + node.domain
    live = Liveness(node)
    vectors = [
        vector
        for k in live.loads
        for vector in view_of(node.loads[k], extents).vectors(len(extents))
    ]
    apart = live.coordinates | {guard.coordinate for guard in node.guards}
    rank = len(node.shape)
    outputs = merge(range(rank), extents, vectors, apart)
    return outputs, merge(range(rank, len(extents)), extents, vectors, apart)


def _finish(node: Node, emitter: Emitter, lines: list[str], blocks: int) -> KernelSource:
    declared, slots = operand_parameters(node, emitter.live.loads)
    out = f"{POINTEES[node.dtype]}* __restrict__ out"
    text = kernel_function(NAME, [out, *declared], lines)
    return finish(text, [Launch(NAME, blocks, (OUT, *slots))])
