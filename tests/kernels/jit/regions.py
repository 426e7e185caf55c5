"""Regions as the runtime makes them: chains of nodes over the rows of a matrix."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from protocol.kernels.region import Region, Source
from protocol.program import expansions
from protocol.program.body import Body, Value, f32_word
from protocol.program.builder import FoldBuilder
from protocol.program.isa import DType
from protocol.program.node import Node, Operand, OperandKind

BUFFER_KIND, MEMBER_KIND = OperandKind.STATE, OperandKind.NODE


@dataclass
class RegionBuilder:
    """Collects nodes; operands made by `buffer` and `add` tell where each tensor is."""

    units: int
    nodes: list[Node] = field(default_factory=list)
    inputs: list[Operand] = field(default_factory=list)

    def buffer(self, dtype: DType, *shape: int) -> Operand:
        """A tensor from outside."""
        self.inputs.append(Operand(BUFFER_KIND, len(self.inputs), dtype, shape))
        return self.inputs[-1]

    def add(self, node: Node) -> Operand:
        """A node, and the operand that reads its output."""
        self.nodes.append(node)
        return Operand(MEMBER_KIND, len(self.nodes) - 1, node.dtype, node.shape)

    def region(self, kept: Sequence[Operand]) -> Region:
        """The region of which ``kept`` are stored, in buffers after the inputs."""
        first = len(self.inputs)
        numbers = {operand.index: first + i for i, operand in enumerate(kept)}
        sources = [
            tuple(
                Source(buffer=o.index) if o.kind is BUFFER_KIND else Source(member=o.index)
                for o in node.operands
            )
            for node in self.nodes
        ]
        outputs = tuple(numbers.get(member) for member in range(len(self.nodes)))
        return Region(tuple(self.nodes), tuple(sources), outputs, self.units, first + len(numbers))


Function = Callable[..., Value]


def own(_: Body, value: Value) -> Value:
    """The word itself."""
    return value


def pointwise(shape: tuple[int, ...], function: Function, *operands: Operand) -> Node:
    """``function(body, x, y, ...)`` of operands that are broadcast from the right."""
    b = FoldBuilder(DType.F32, shape)
    words = [b.load(o, _broadcast(b, shape, o.shape)) for o in operands]
    return b.finish(function(b, *words))


def _broadcast(b: FoldBuilder, shape: tuple[int, ...], own: tuple[int, ...]) -> list:
    axes, stride = [], 1
    for i in range(1, len(own) + 1):
        if own[-i] > 1:
            axes.append(b.out(len(shape) - i).axis(own[-i], stride))
        stride *= own[-i]
    return axes[::-1]


def row_fold(rows: int, columns: int, x: Operand, body: Function, init: float) -> Node:
    """All of a row in order, of shape (rows, 1)."""
    b = FoldBuilder(DType.F32, (rows, 1), (columns,), f32_word(init))
    word = b.load(x, [b.out(0).axis(rows, columns), b.red(0).axis(columns, 1)])
    return b.finish(body(b, b.acc, word))


def lane_fold(rows: int, columns: int, lanes: int, function: Function, *operands: Operand) -> Node:
    """Lane l adds ``function`` of columns l, l + lanes, ...; operands may be (rows, 1)."""
    ragged = columns % lanes != 0
    b = FoldBuilder(DType.F32, (rows, lanes), (-(-columns // lanes),))
    words = []
    for o in operands:
        axes = [b.out(0).axis(rows, o.shape[1])]
        if o.shape[1] > 1:
            axes.append((b.red(0) * lanes + b.out(1)).axis(columns, 1))
        words.append(b.load(o, axes, skip=ragged and o.shape[1] > 1))
    return b.finish(b.add(b.acc, function(b, *words)))


def row_sum(r: RegionBuilder, columns: int, function: Function, *operands: Operand) -> Operand:
    """The row sum in the order that lowering uses: 32 lanes, then the lanes."""
    lanes = min(32, columns)
    partial = r.add(lane_fold(r.units, columns, lanes, function, *operands))
    return r.add(row_fold(r.units, lanes, partial, lambda b, acc, x: b.add(acc, x), 0.0))


def softmax(rows: int, columns: int) -> Region:
    """exp(x - max) / sum."""
    r = RegionBuilder(rows)
    x = r.buffer(DType.F32, rows, columns)
    most = r.add(row_fold(rows, columns, x, lambda b, acc, v: b.max(acc, v), float("-inf")))
    shape = (rows, columns)
    e = r.add(pointwise(shape, lambda b, v, m: expansions.exp(b, b.sub(v, m)), x, most))
    total = row_sum(r, columns, own, e)
    out = r.add(pointwise(shape, lambda b, v, s: b.div(v, s), e, total))
    return r.region([out])


def layer_norm(rows: int, columns: int) -> Region:
    """Mean, 1 / deviation and the output."""
    r = RegionBuilder(rows)
    x, w, c = (r.buffer(DType.F32, *s) for s in ((rows, columns), (columns,), (columns,)))
    count = float(columns)
    total = row_sum(r, columns, own, x)
    mean = r.add(pointwise((rows, 1), lambda b, s: b.div(s, b.f32(count)), total))
    squares = row_sum(r, columns, lambda b, v, m: b.mul(b.sub(v, m), b.sub(v, m)), x, mean)

    def scale(b: Body, s: Value) -> Value:
        return expansions.rsqrt(b, b.add(b.div(s, b.f32(count)), b.f32(1e-5)))

    factor = r.add(pointwise((rows, 1), scale, squares))

    def moved(b: Body, v: Value, m: Value, f: Value, w: Value, c: Value) -> Value:
        return b.add(b.mul(b.mul(b.sub(v, m), f), w), c)

    out = r.add(pointwise((rows, columns), moved, x, mean, factor, w, c))
    return r.region([out, mean, factor])


def layer_norm_backward(rows: int, columns: int) -> Region:
    """The gradient of the input: two row sums that share a loop, then one pass."""
    r = RegionBuilder(rows)
    matrix, column = (rows, columns), (rows, 1)
    g, x = r.buffer(DType.F32, *matrix), r.buffer(DType.F32, *matrix)
    mean, factor = r.buffer(DType.F32, *column), r.buffer(DType.F32, *column)
    gw = r.add(pointwise(matrix, lambda b, g, x: b.mul(g, b.abs(x)), g, x))
    first = row_sum(r, columns, own, gw)
    second = row_sum(r, columns, lambda b, v, x, m: b.mul(v, b.sub(x, m)), gw, x, mean)

    def gradient(b: Body, v: Value, x: Value, m: Value, f: Value, s: Value, t: Value) -> Value:
        return b.mul(f, b.sub(b.sub(v, s), b.mul(b.sub(x, m), t)))

    out = r.add(pointwise(matrix, gradient, gw, x, mean, factor, first, second))
    return r.region([out])


def batch_norm(batch: int, channels: int, size: int) -> Region:
    """Per channel (a unit): the sum over batch and places, then all elements less the mean."""
    r = RegionBuilder(channels)
    shape = (channels, batch, size)
    x = r.buffer(DType.F32, batch, channels, size)
    b = FoldBuilder(DType.F32, (channels, size), (batch,))
    axes = [b.red(0).axis(batch, channels * size), b.out(0).axis(channels, size)]
    partial = r.add(b.finish(b.add(b.acc, b.load(x, [*axes, b.out(1).axis(size, 1)]))))
    total = r.add(row_fold(channels, size, partial, lambda b, acc, v: b.add(acc, v), 0.0))
    b = FoldBuilder(DType.F32, shape)
    axes = [b.out(1).axis(batch, channels * size), b.out(0).axis(channels, size)]
    value = b.load(x, [*axes, b.out(2).axis(size, 1)])
    mean = b.div(b.load(total, [b.out(0).axis(channels, 1)]), b.f32(float(batch * size)))
    out = r.add(b.finish(b.sub(value, mean)))
    return r.region([out, total])


def gelu_chain(count: int) -> Region:
    """A flat chain: x + bias, its erf form, and a mask of what is positive."""
    r = RegionBuilder(count)
    x = r.buffer(DType.F32, count)
    bias = r.buffer(DType.F32)
    y = r.add(pointwise((count,), lambda b, v, c: b.add(v, c), x, bias))

    def gelu(b: Body, v: Value) -> Value:
        half = b.mul(v, b.f32(0.5))
        return b.mul(half, b.add(expansions.erf(b, b.mul(v, b.f32(0.70710678))), b.f32(1.0)))

    z = r.add(pointwise((count,), gelu, y))
    b = FoldBuilder(DType.U8, (count,))
    positive = b.flt(b.f32(0.0), b.load(z, [b.out(0).axis(count, 1)]))
    mask = r.add(b.finish(positive))
    return r.region([z, mask])


def adamw(count: int) -> Region:
    """Moments and parameter; the schedule's numbers are uniform."""
    r = RegionBuilder(count)
    p, g, m, v = (r.buffer(DType.F32, count) for _ in range(4))
    row = r.buffer(DType.F32, 3)
    shape = (count,)
    m1 = r.add(pointwise(shape, lambda b, m, g: b.fma(b.sub(g, m), b.f32(0.1), m), m, g))
    v1 = r.add(
        pointwise(
            shape,
            lambda b, v, g: b.fma(b.mul(g, b.f32(0.001)), g, b.mul(v, b.f32(0.999))),
            v,
            g,
        )
    )
    b = FoldBuilder(DType.F32, shape)
    old, first, second = (b.load(o, [b.out(0).axis(count, 1)]) for o in (p, m1, v1))
    rate, root, decay = (b.load(row, [], offset=i) for i in range(3))
    step = b.div(first, b.fma(b.sqrt(second), root, b.f32(1e-8)))
    p1 = r.add(b.finish(b.fma(rate, step, b.mul(old, decay))))
    return r.region([p1, m1, v1])


def random_chain(seed: int) -> Region:
    """Random nodes over the rows of a matrix, each of which reads earlier ones; some are kept."""
    rng = random.Random(seed)
    rows = rng.choice((1, 2, 3, 7, 16, 17, 33))
    columns = rng.choice((1, 2, 5, 16, 31, 32, 33, 48, 70))
    r = RegionBuilder(rows)
    wide = [r.buffer(DType.F32, rows, columns) for _ in range(2)]
    narrow = [r.buffer(DType.F32, rows, 1)]
    shared = [r.buffer(DType.F32, columns)]
    for _ in range(rng.randint(2, 9)):
        kind = rng.choice(
            ("wide", "wide", "narrow", "sum", "max", "flip", "lanes", "count", "word")
        )
        x, y = rng.choice(wide), rng.choice(wide)
        s = rng.choice(narrow)
        if kind == "wide":
            z = rng.choice([*narrow, *shared])
            wide.append(r.add(pointwise((rows, columns), _random_body(rng), x, y, z)))
        elif kind == "narrow":
            narrow.append(r.add(pointwise((rows, 1), _random_body(rng), s, rng.choice(narrow))))
        elif kind == "sum":
            narrow.append(r.add(row_fold(rows, columns, x, lambda b, a, v: b.add(a, v), 0.0)))
        elif kind == "max":
            narrow.append(r.add(row_fold(rows, columns, x, lambda b, a, v: b.max(a, v), -1e30)))
        elif kind == "lanes" and columns > 4:
            lanes = rng.choice((4, min(32, columns)))
            partial = r.add(lane_fold(rows, columns, lanes, lambda b, v, w: b.mul(v, w), x, s))
            narrow.append(r.add(row_fold(rows, lanes, partial, lambda b, a, v: b.add(a, v), 0.0)))
        elif kind == "flip":
            wide.append(r.add(_flipped(rows, columns, x)))
        elif kind == "count":
            narrow.append(r.add(_count(rows, columns, x)))
        elif kind == "word":
            wide.append(r.add(_masked(r, rows, columns, x)))
    members = [Operand(MEMBER_KIND, i, n.dtype, n.shape) for i, n in enumerate(r.nodes)]
    if not members:
        members = [r.add(_flipped(rows, columns, wide[0]))]
    kept = [m for m in members[:-1] if rng.random() < 0.4]
    return r.region([*kept, members[-1]])


def _random_body(rng: random.Random) -> Function:
    names = [rng.choice(("add", "sub", "mul", "min", "max", "div")) for _ in range(3)]
    use_exp = rng.random() < 0.2

    def body(b: Body, *words: Value) -> Value:
        value = words[0]
        for name, word in zip(names, words[1:], strict=False):
            value = getattr(b, name)(value, word)
        return expansions.exp(b, value) if use_exp else value

    return body


def _flipped(rows: int, columns: int, x: Operand) -> Node:
    """Each row from right to left, moved by one, 7 where there is nothing."""
    b = FoldBuilder(DType.F32, (rows, columns))
    place = b.out(1) * -1 + (columns - 2)
    axes = [b.out(0).axis(rows, columns), place.axis(columns, 1)]
    return b.finish(b.load(x, axes, fill=f32_word(7.0)))


def _count(rows: int, columns: int, x: Operand) -> Node:
    """How many elements of a row are positive, as a float."""
    b = FoldBuilder(DType.F32, (rows, 1), (columns,))
    value = b.load(x, [b.out(0).axis(rows, columns), b.red(0).axis(columns, 1)])
    return b.finish(b.add(b.acc, b.i2f(b.flt(b.f32(0.0), value))))


def _masked(r: RegionBuilder, rows: int, columns: int, x: Operand) -> Node:
    """x where a u8 node of the region says so, looked up through an i32 node."""
    b = FoldBuilder(DType.U8, (rows, columns))
    value = b.load(x, [b.out(0).axis(rows, columns), b.out(1).axis(columns, 1)])
    mask = r.add(b.finish(b.iadd(b.flt(value, b.f32(1.0)), b.i32(0x100))))
    b = FoldBuilder(DType.I32, (rows, 1), (columns,))
    word = b.load(mask, [b.out(0).axis(rows, columns), b.red(0).axis(columns, 1)])
    count = r.add(b.finish(b.iadd(b.acc, word)))
    b = FoldBuilder(DType.F32, (rows, columns))
    value = b.load(x, [b.out(0).axis(rows, columns), b.out(1).axis(columns, 1)])
    chosen = b.load(mask, [b.out(0).axis(rows, columns), b.out(1).axis(columns, 1)])
    last = b.load(count, [b.out(0).axis(rows, 1)])
    at = b.word_of(last) + -1
    other = b.load(x, [b.out(0).axis(rows, columns), at.axis(columns, 1)], fill=f32_word(-3.0))
    return b.finish(b.select(chosen, value, other))
