"""Folds whose lanes are terms of one output: for exactly associative operations only.

Order of additions: none that matters. Integer operations, `min` and `max` give the same word in any
order, so each lane folds its own terms and the lanes are folded at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from protocol.kernels.jit.emitter import Emitter, Val, constant
from protocol.kernels.jit.group import Piece
from protocol.kernels.jit.lanes import apply, as_float, as_word
from protocol.kernels.jit.loops import GroupCode, init, with_domain
from protocol.kernels.jit.memory import Chunk
from protocol.program.isa import CANONICAL_NAN, Op

SIDE_BY_SIDE = 4  # vectors of terms of one output
_NEUTRAL = {
    Op.IADD: 0,
    Op.IOR: 0,
    Op.IXOR: 0,
    Op.IAND: 0xFFFFFFFF,
    Op.IMIN: 0x7FFFFFFF,
    Op.IMAX: 0x80000000,
}
_INFINITY = 0x7F800000
_MAGNITUDE = 0x7FFFFFFF


class _Words:
    """The state of an integer operation: one word per lane."""

    def __init__(self, e: Emitter, op: Op) -> None:
        self.e, self.op = e, op

    def start(self) -> list[Val]:
        return [constant("i", _NEUTRAL[self.op])]

    def step(self, state: Sequence[Val], term: Val) -> list[Val]:
        return [apply(self.e, self.op, [state[0], as_word(self.e, term)])]

    def join(self, state: Sequence[Val], other: Sequence[Val]) -> list[Val]:
        return self.step(state, other[0])

    def result(self, state: Sequence[Val]) -> Val:
        return state[0]


class _Extreme:
    """The state of a float `min` or `max`: the extreme as an ordered integer, and any NaN.

    Words become integers of the same order, -0 below +0, by flipping the magnitude of negative
    ones; the greatest magnitude of all terms tells whether there was a NaN. That is half the
    instructions of comparing floats with every rule of IEEE 754 at each term.
    """

    def __init__(self, e: Emitter, op: Op) -> None:
        self.e = e
        self.extreme = Op.IMAX if op is Op.MAX else Op.IMIN
        self.neutral = constant("i", ~_INFINITY & _MAGNITUDE | 1 << 31)
        if op is Op.MIN:
            self.neutral = constant("i", _INFINITY)

    def start(self) -> list[Val]:
        return [self.neutral, constant("i", 0)]

    def step(self, state: Sequence[Val], term: Val) -> list[Val]:
        word = as_word(self.e, as_float(self.e, term))
        magnitude = self.e.binary("and", "i", word, constant("i", _MAGNITUDE))
        return self.join(state, [self._flipped(word), magnitude])

    def join(self, state: Sequence[Val], other: Sequence[Val]) -> list[Val]:
        return [
            apply(self.e, self.extreme, [state[0], other[0]]),
            self.e.call("i", "umax", state[1], other[1]),
        ]

    def result(self, state: Sequence[Val]) -> Val:
        e = self.e
        nan = e.binary("icmp ugt", "i", state[1], constant("i", _INFINITY), "b")
        word = e.select(nan, constant("i", CANONICAL_NAN), self._flipped(state[0]))
        return as_float(e, word)

    def _flipped(self, word: Val) -> Val:
        """Between words of floats and integers of the same order, both ways."""
        e = self.e
        sign = e.binary("ashr", "i", word, constant("i", 31))
        return e.binary("xor", "i", word, e.binary("and", "i", sign, constant("i", _MAGNITUDE)))


def runs_along_terms(code: GroupCode, piece: Piece) -> bool:
    """Whether terms are the neighbours in memory, and outputs are not."""
    accesses = [access for access in piece.accesses if access is not None]
    if not piece.domain or piece.domain[-1] < code.frame.width or not accesses:
        return False
    last = len(code.group.dims) - 1
    steps = [access.direct().coefs for access in accesses]
    along_outputs = sum(last >= 0 and coefs[last] == 1 for coefs in steps)
    return sum(coefs[-1] == 1 for coefs in steps) > along_outputs


def fold_along_terms(code: GroupCode, piece: Piece, op: Op, chunks: Sequence[Chunk]) -> None:
    """One output: its terms in lanes of some vectors, which are folded at the end."""
    e, lanes = code.e, code.frame.width
    (output,) = chunks
    state = _Extreme(e, op) if op in (Op.MIN, Op.MAX) else _Words(e, op)
    vector = len(output.variables) + len(piece.domain) - 1
    first = [e.spread(value, lanes) for value in state.start()]
    size = piece.domain[-1]
    side = max(1, min(SIDE_BY_SIDE, size // lanes))

    def term(indices: Sequence[Val], mask: Val | None, old: Sequence[Val]) -> list[Val]:
        point = with_domain(output, indices)
        chunk = Chunk(lanes, point.variables, vector, mask)
        word, live = code.other_argument(piece, chunk)
        new = [e.spread(value, lanes) for value in state.step(old, word)]
        for condition in (live, mask):
            if condition is not None:
                new = [e.select(condition, a, b) for a, b in zip(new, old, strict=True)]
        return new

    def row(indices: Sequence[Val], accs: Sequence[Val]) -> list[Val]:
        states = _split(accs, len(first))
        block = lanes * side
        middle = size - size % block
        if middle:
            with e.loop(constant("l", 0), constant("l", middle), block, accs) as loop:
                for i, old in enumerate(_split(loop.carried, len(first))):
                    at = e.add(loop.index, constant("l", i * lanes))
                    loop.next += term([*indices, at], None, old)
            states = _split(loop.results, len(first))
        for i, start in enumerate(range(middle, size, lanes)):
            left = size - start
            mask = code.existing(constant("l", left), lanes) if left < lanes else None
            states[i] = term([*indices, constant("l", start)], mask, states[i])
        return [value for one in states for value in one]

    accs = nest_loops(code, piece.domain[:-1], first * side, row)
    total, *others = _split(accs, len(first))
    for one in others:
        total = state.join(total, one)
    span = lanes // 2
    while span:
        picks = [(lane + span) % lanes for lane in range(lanes)]
        total = state.join(total, [e.shuffle(value, value, picks) for value in total])
        span //= 2
    scalars = [e.value(v.kind, 1, f"extractelement {v.typed}, i64 0", [v]) for v in total]
    code.finish(chunks, [[apply(e, op, [init(piece), state.result(scalars)])]])


def _split(values: Sequence[Val], size: int) -> list[list[Val]]:
    return [list(values[i : i + size]) for i in range(0, len(values), size)]


def nest_loops(
    code: GroupCode,
    dims: Sequence[int],
    accs: Sequence[Val],
    inner: Callable[[Sequence[Val], Sequence[Val]], list[Val]],
    indices: Sequence[Val] = (),
) -> list[Val]:
    """A loop per dimension around ``inner``, carrying the accumulators."""
    if not dims:
        return inner(indices, accs)
    with code.e.loop(constant("l", 0), constant("l", dims[0]), 1, accs) as loop:
        loop.next = nest_loops(code, dims[1:], loop.carried, inner, [*indices, loop.index])
    return loop.results
