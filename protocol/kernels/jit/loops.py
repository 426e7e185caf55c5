"""The loops of a group: over rows, over chunks of lanes in a row, then what a chunk computes.

Order of additions: an output's terms are added in its own lane, one after the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from protocol.kernels.jit.emitter import Emitter, Val, constant, lane_numbers
from protocol.kernels.jit.group import Group, Piece
from protocol.kernels.jit.lanes import apply, as_float, as_word
from protocol.kernels.jit.memory import Chunk, Home, Memory
from protocol.kernels.jit.ranges import parts
from protocol.kernels.jit.scaling import LANES, scale
from protocol.kernels.jit.space import Linear, suffixes
from protocol.program.isa import DType, Type

Visit = Callable[["GroupCode", Sequence[Chunk]], None]


@dataclass(frozen=True, slots=True)
class Span:
    """The elements of a loop: from ``first`` on, a known ``count``, else up to ``stop``.

    ``unit`` is the number of the unit, if they are exactly one unit's.
    """

    first: Val
    count: int | None
    stop: Val | None = None
    unit: Val | None = None

    def last(self, e: Emitter) -> Val:
        """The element after the last."""
        if self.count is not None:
            return e.add(self.first, constant("l", self.count))
        assert self.stop is not None
        return self.stop


@dataclass(frozen=True, slots=True)
class Frame:
    """What the code of a group needs to know of the function around it.

    Attributes:
        sources: for each member its operands' homes, by slot.
        targets: for each member the homes that its value is written to; the flag tells a buffer.
        width: lanes of a vector.
        unit: elements of a unit of the group.
        fewest: elements that a call computes, if they are surely few; else a large number.
        scales: whether one instruction multiplies a vector by powers of two.
    """

    sources: dict[int, list[Home | None]]
    targets: dict[int, list[tuple[Home, bool]]]
    width: int
    unit: int
    fewest: int
    scales: bool = False


class GroupCode:
    """Emits one group for the elements of a span."""

    def __init__(self, e: Emitter, group: Group, frame: Frame) -> None:
        self.e = e
        self.memory = Memory(e)
        self.group = group
        self.frame = frame
        self.steps = tuple(suffixes(group.dims))

    # Loops over outputs.

    def chunks(self, span: Span, lanes: int, unroll: int, visit: Visit) -> None:
        """Visit all elements in chunks of ``lanes``, ``unroll`` chunks at a time where possible."""
        dims = self.group.dims
        row = dims[-1] if dims else 1
        e = self.e
        if len(dims) <= 1:
            self._row(span, (), lanes, unroll, visit)
        elif lanes > 1 and row < lanes * 2 and row / (-(-row // lanes) * lanes) < 0.5:
            self._scattered(span, lanes, visit)
        elif span.count is not None and span.count % row == 0:
            low, rows = e.divide(span.first, row), span.count // row
            if span.unit is not None:
                low = e.scale(span.unit, rows)
            with e.loop(constant("l", 0), constant("l", rows), 1) as loop:
                outer = self._outer(e.add(low, loop.index))
                self._whole_row(outer, lanes, unroll, visit)
        else:
            last = span.last(e)
            low = e.divide(span.first, row)
            high = e.divide(e.add(last, constant("l", row - 1)), row)
            with e.loop(low, high, 1) as loop:
                outer = self._outer(loop.index)
                if self.frame.unit % row == 0:
                    self._whole_row(outer, lanes, unroll, visit)
                else:  # a part of a row may be asked for
                    base = e.scale(loop.index, -row)
                    start = e.limit(e.add(span.first, base), constant("l", 0), "sgt")
                    stop = e.limit(e.add(last, base), constant("l", row))
                    self._row(Span(start, None, stop), outer, lanes, unroll, visit)

    def _whole_row(self, outer: tuple[Val, ...], lanes: int, unroll: int, visit: Visit) -> None:
        """All columns, in parts in which no load goes in or out of bounds."""
        for low, high, group in parts(self.group, lanes):
            code = GroupCode(self.e, group, self.frame)
            code._row(Span(constant("l", low), high - low), outer, lanes, unroll, visit)

    def _outer(self, row: Val) -> tuple[Val, ...]:
        """Coordinates of a row, all dimensions but the last."""
        found = []
        dims = self.group.dims
        for i in range(len(dims) - 1):
            value = self.e.divide(row, self.steps[i] // dims[-1])
            found.append(self.e.divide(value, dims[i], "urem") if i else value)
        return tuple(found)

    def _row(
        self, span: Span, outer: tuple[Val, ...], lanes: int, unroll: int, visit: Visit
    ) -> None:
        """The chunks of a row: blocks of ``unroll``, then single ones, masked."""
        e = self.e
        vector = len(outer) if self.group.dims else None

        def at(c: Val, mask: Val | None) -> Chunk:
            variables = (*outer, c)[: len(self.group.dims)]
            return Chunk(lanes, variables, vector, mask)

        def block(c: Val, count: int) -> None:
            visit(self, [at(e.add(c, constant("l", i * lanes)), None) for i in range(count)])

        if span.count is not None:
            whole = span.count // lanes
            unroll = _side_by_side(whole, unroll)
            middle = whole - whole % unroll
            if middle:
                stop = constant("l", middle * lanes)
                with e.loop(constant("l", 0), stop, lanes * unroll) as loop:
                    block(e.add(span.first, loop.index), unroll)
            if middle < whole:
                block(e.add(span.first, constant("l", middle * lanes)), whole - middle)
            over = span.count - whole * lanes
            if over:
                rest = e.add(span.first, constant("l", whole * lanes))
                visit(self, [at(rest, self.existing(constant("l", over), lanes))])
            return
        step = lanes * unroll
        last = span.last(e)
        length = e.add(last, e.scale(span.first, -1))
        rest = e.binary("srem", "l", length, constant("l", step))
        middle_at = e.add(last, e.scale(rest, -1))
        with e.loop(span.first, middle_at, step) as loop:
            block(loop.index, unroll)
        if step > 1:
            with e.loop(middle_at, last, lanes) as loop:
                left = e.add(last, e.scale(loop.index, -1))
                visit(self, [at(loop.index, self.existing(left, lanes) if lanes > 1 else None)])

    def _scattered(self, span: Span, lanes: int, visit: Visit) -> None:
        """Lanes are neighbouring elements of any rows; each finds its own coordinates."""
        e = self.e
        first, last = span.first, span.last(e)
        length = e.add(last, e.scale(first, -1))
        middle = e.add(last, e.scale(e.binary("srem", "l", length, constant("l", lanes)), -1))

        def at(p: Val, mask: Val | None) -> Chunk:
            narrow = constant("i", p.const) if p.const is not None else e.cast("trunc", "i", p)
            flat = e.binary("add", "i", narrow, lane_numbers("i", lanes))
            found = []
            for i, (dim, step) in enumerate(zip(self.group.dims, self.steps, strict=True)):
                value = flat if step == 1 else e.binary("udiv", "i", flat, constant("i", step))
                found.append(e.binary("urem", "i", value, constant("i", dim)) if i else value)
            zeros = (constant("l", 0),) * len(found)
            return Chunk(lanes, zeros, None, mask, tuple(found), p, self.steps, self.group.dims)

        with e.loop(first, middle, lanes) as loop:
            visit(self, [at(loop.index, None)])
        with e.loop(middle, last, lanes) as loop:
            left = e.add(last, e.scale(loop.index, -1))
            visit(self, [at(loop.index, self.existing(left, lanes))])

    def existing(self, left: Val, lanes: int) -> Val:
        """The first ``left`` lanes, or all."""
        e = self.e
        left = e.limit(left, constant("l", lanes))
        narrow = constant("i", left.const) if left.const is not None else e.cast("trunc", "i", left)
        return e.binary("icmp slt", "i", lane_numbers("i", lanes), narrow, "b")

    # What a chunk computes.

    def finish(self, chunks: Sequence[Chunk], folded: Sequence[Sequence[Val]] = ()) -> None:
        """The pointwise pieces of each chunk, and then all stores.

        ``folded`` holds the values of the folding pieces, for each chunk. Stores come last: in
        place, another piece may still read what they overwrite.
        """
        pending: list[tuple[Piece, Val, Chunk]] = []
        values: list[dict[int, Val]] = [{} for _ in chunks]
        for number, piece in enumerate(self.group.pieces):
            if number < len(folded):
                made = list(folded[number])
            else:
                accs = [init(piece)] * len(chunks)
                made = self.terms(piece, chunks, accs, values, [{}] * len(chunks))
            for i, value in enumerate(made):
                if piece.node.dtype is DType.U8:
                    word = as_word(self.e, value)
                    value = self.e.binary("and", "i", word, constant("i", 255))
                values[i][piece.member] = value
                pending.append((piece, value, chunks[i]))
        for piece, value, chunk in pending:
            place = chunk.number(self.e, Linear(0, self.steps))
            for home, public in self.frame.targets[piece.member]:
                self.memory.store(home, value, place, chunk, public)

    def terms(
        self,
        piece: Piece,
        chunks: Sequence[Chunk],
        accs: Sequence[Val],
        values: Sequence[dict[int, Val]],
        given: Sequence[dict[int, Val]],
    ) -> list[Val]:
        """The accumulators of all chunks after one term.

        The body is written instruction by instruction for all chunks: what stands side by side then
        does not wait for each other, which is worth a fifth of the time of an exponential.

        Args:
            piece: the node.
            chunks: the lanes, with the variables of the domain.
            accs: the accumulators before.
            values: for each chunk those of the loop's earlier pieces.
            given: for each chunk the words of loads that are in registers already.
        """
        loaded = [self.words(piece, *rest) for rest in zip(chunks, values, given, strict=True)]
        runs = [
            self._run(piece, chunk, acc, words, piece.live)
            for chunk, acc, (words, _) in zip(chunks, accs, loaded, strict=True)
        ]
        tables = list(zip(*runs, strict=True))[-1]
        found = []
        for table, acc, (_, live) in zip(tables, accs, loaded, strict=True):
            result = table[piece.node.result]
            is_float = piece.node.dtype is DType.F32
            new = as_float(self.e, result) if is_float else as_word(self.e, result)
            found.append(new if live is None else self.e.select(live, new, acc))
        return found

    def words(
        self, piece: Piece, chunk: Chunk, values: dict[int, Val], given: dict[int, Val]
    ) -> tuple[list[Val | None], Val | None]:
        """The words of the loads that are needed, and the lanes in which the term counts."""
        words: list[Val | None] = []
        live: Val | None = None
        for k, access in enumerate(piece.accesses):
            source = piece.registers[k]
            inside: Val | None = None
            if access is None:
                words.append(None)
                continue
            kind = "f" if access.dtype is DType.F32 else "i"
            fill = constant(kind, access.fill)
            if source is not None:
                inside = self.memory.inside(access, chunk, words)
                own = values[source]
                words.append(own if inside is None else self.e.select(inside, own, fill))
            elif k in given:
                words.append(given[k])
            elif access.absent:
                words.append(fill)
            else:
                home = self.frame.sources[piece.member][access.slot]
                assert home is not None
                word, inside = self.memory.load(home, access, chunk, words)
                words.append(word)
            if access.skip and inside is not None:
                live = inside if live is None else self.e.binary("and", "b", live, inside)
        return words, live

    def other_argument(self, piece: Piece, chunk: Chunk) -> tuple[Val, Val | None]:
        """The x of a body ``op(acc, x)``, and the lanes in which the term counts."""
        node = piece.node
        last = node.instructions[node.result - node.first_instruction]
        (index,) = (argument for argument in last.arguments if argument != 0)
        words, live = self.words(piece, chunk, {}, {})
        instructions = [i for i in piece.live if node.first_instruction + i != node.result]
        (*_, table) = self._run(piece, chunk, None, words, instructions)
        return table[index], live

    def _run(
        self,
        piece: Piece,
        chunk: Chunk,
        acc: Val | None,
        words: Sequence[Val | None],
        instructions: Sequence[int],
    ) -> Iterator[dict[int, Val]]:
        """The body's values by index: what is known before, and after each instruction."""
        e, node = self.e, piece.node
        table = {1 + k: word for k, word in enumerate(words) if word is not None}
        if acc is not None:
            table[0] = acc
        for i, item in enumerate(node.constants):
            kind = "f" if item.type is Type.F else "i"
            table[node.first_constant + i] = constant(kind, item.word)
        for index, function in piece.coordinates.items():
            table[index] = self.memory.words(chunk.number(e, function), chunk.lanes)
        yield table
        for i in instructions:
            instruction = node.instructions[i]
            arguments = [table[a] for a in instruction.arguments]
            value = apply(e, instruction.op, arguments, i in piece.hidden)
            if self.frame.scales and i in piece.scalings and value.lanes == LANES:
                scaling = piece.scalings[i]  # what it is made of is dropped by LLVM if unused
                value = scale(e, table[scaling.p], table[scaling.n])
            table[node.first_instruction + i] = value
            yield table


def _side_by_side(chunks: int, most: int) -> int:
    """How many of a known number of chunks to take at a time: a divisor, unless that is small."""
    for count in range(min(most, chunks), most // 2, -1):
        if chunks % count == 0:
            return count
    return max(1, min(most, chunks))


def init(piece: Piece) -> Val:
    """The accumulator before the first term."""
    return constant("f" if piece.node.dtype is DType.F32 else "i", piece.node.init)


def weight(group: Group) -> int:
    """Instructions and loads of a chunk, to choose how many are computed side by side."""
    return sum(len(p.live) + math.ceil(len(p.accesses) / 2) for p in group.pieces)


def with_domain(chunk: Chunk, indices: Sequence[Val], vector: int | None = None) -> Chunk:
    """The chunk at a point of the domain."""
    variables = (*chunk.variables, *indices)
    return replace(chunk, variables=variables, vector=chunk.vector if vector is None else vector)
