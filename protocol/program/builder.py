"""Construction of fold nodes: a typed body, loads with affine views, and the final layout.

    b = FoldBuilder(DType.F32, (m, n), (k,))
    x = b.load(a, [b.out(0).axis(m, k), b.red(0).axis(k, 1)])
    w = b.load(c, [b.red(0).axis(k, n), b.out(1).axis(n, 1)])
    node = b.finish(b.fma(x, w, b.acc))

Equal loads, constants and instructions are shared; what the result does not need is dropped, so
that a finished node has no dead part.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from protocol.program.body import Body, Section, Value
from protocol.program.isa import (
    MAX_CONSTANTS,
    MAX_INSTRUCTIONS,
    MAX_LOADS,
    MAX_OPERANDS,
    DType,
    Type,
)
from protocol.program.node import (
    LOADED_WORD,
    Axis,
    Guard,
    Instruction,
    Load,
    Node,
    Operand,
    Term,
)


class BodyTooLarge(ValueError):
    """The node needs more instructions, constants, loads or operands than a node may have."""


@dataclass(frozen=True, slots=True)
class Affine:
    """An affine coordinate: ``(const + sum coef * source) / divisor``.

    Sources are those of ``Term.source``: coordinates of output ++ domain, or ``0x80 | load``.
    """

    terms: tuple[tuple[int, int], ...] = ()
    const: int = 0
    divisor: int = 1

    def __add__(self, other: Affine | int) -> Affine:
        other = other if isinstance(other, Affine) else Affine(const=other)
        self._need_whole(other)
        coefs = dict(self.terms)
        for source, coef in other.terms:
            coefs[source] = coefs.get(source, 0) + coef
        return Affine(
            tuple(sorted((s, c) for s, c in coefs.items() if c)), self.const + other.const
        )

    def __mul__(self, factor: int) -> Affine:
        self._need_whole()
        if factor == 0:
            return Affine()
        return Affine(tuple((s, c * factor) for s, c in self.terms), self.const * factor)

    def __floordiv__(self, divisor: int) -> Affine:
        """The coordinate divided *exactly*: a remainder puts the load out of bounds."""
        return replace(self, divisor=self.divisor * divisor)

    def axis(self, size: int, stride: int) -> Axis:
        """The axis of ``size`` elements, ``stride`` apart, at this coordinate."""
        terms = tuple(Term(source, coef) for source, coef in self.terms)
        return Axis(size, stride, terms, self.const, self.divisor)

    def _need_whole(self, other: Affine | None = None) -> None:
        if self.divisor != 1 or (other is not None and other.divisor != 1):
            raise ValueError("a divided coordinate cannot enter further arithmetic; divide last")


class FoldBuilder(Body):
    """A fold node under construction."""

    def __init__(
        self,
        dtype: DType,
        shape: Sequence[int],
        domain: Sequence[int] = (),
        init: int = 0,
    ) -> None:
        super().__init__(dtype.type)
        self.dtype = dtype
        self.shape = tuple(shape)
        self.domain = tuple(domain)
        self.init = init
        self._operands: list[Operand] = []
        self._loads: list[Load] = []
        self._guards: list[Guard] = []

    def out(self, index: int) -> Affine:
        """Output coordinate ``index`` for use in a load's axis."""
        if not 0 <= index < len(self.shape):
            raise IndexError(f"output coordinate {index} of {len(self.shape)}")
        return Affine(((index, 1),))

    def red(self, index: int) -> Affine:
        """Reduction coordinate ``index`` for use in a load's axis."""
        if not 0 <= index < len(self.domain):
            raise IndexError(f"reduction coordinate {index} of {len(self.domain)}")
        return Affine(((len(self.shape) + index, 1),))

    def word_of(self, load: Value) -> Affine:
        """The i32 word of an earlier load, for use in a later load's axis."""
        if load.section is not Section.LOAD or load.type is not Type.I:
            raise ValueError("only the word of an integer load can be a coordinate")
        return Affine(((LOADED_WORD | load.number, 1),))

    def coordinate(self, index: int) -> Value:
        """Coordinate ``index`` of output ++ domain as an i32 value of the body."""
        if not 0 <= index < len(self.shape) + len(self.domain):
            raise IndexError(f"coordinate {index} of {len(self.shape) + len(self.domain)}")
        return Value(Section.COORDINATE, index, Type.I)

    def flat_position(self) -> Value:
        """Row-major number of the output element (modulo 2^32)."""
        flat: Value | None = None
        stride = 1
        for index in reversed(range(len(self.shape))):
            if self.shape[index] > 1:
                part = self.coordinate(index)
                part = part if stride == 1 else self.imul(part, self.i32(stride))
                flat = part if flat is None else self.iadd(part, flat)
            stride *= self.shape[index]
        return self.i32(0) if flat is None else flat

    def load(
        self,
        operand: Operand,
        axes: Iterable[Axis] = (),
        offset: int = 0,
        *,
        fill: int = 0,
        skip: bool = False,
    ) -> Value:
        """The element of ``operand`` at ``offset + sum(stride * coordinate)``."""
        if operand not in self._operands:
            self._operands.append(operand)
        load = Load(self._operands.index(operand), tuple(axes), offset, fill, skip)
        if load not in self._loads:
            self._loads.append(load)
        return Value(Section.LOAD, self._loads.index(load), operand.dtype.type)

    def guard(self, load: Value, coordinate: int) -> None:
        """Skip the term unless the word of ``load`` equals output coordinate ``coordinate``."""
        if load.section is not Section.LOAD:
            raise ValueError("a guard compares the word of a load")
        self._guards.append(Guard(load.number, coordinate))

    def finish(self, result: Value) -> Node:
        """The node; BodyTooLarge if a count exceeds what a node may have."""
        alive = self._alive(result)
        kept = {
            section: sorted(v.number for v in alive if v.section is section) for section in Section
        }
        loads = self._kept_loads(kept[Section.LOAD])
        load_at = {old: new for new, old in enumerate(loads)}
        slots = sorted({self._loads[old].operand for old in loads})
        slot_at = {old: new for new, old in enumerate(slots)}
        base = {
            Section.ACCUMULATOR: 0,
            Section.LOAD: 1,
            Section.CONSTANT: 1 + len(loads),
            Section.COORDINATE: 1 + len(loads) + len(kept[Section.CONSTANT]),
        }
        base[Section.INSTRUCTION] = base[Section.COORDINATE] + len(self.shape) + len(self.domain)
        number = {
            Section.ACCUMULATOR: {0: 0},
            Section.LOAD: load_at,
            Section.CONSTANT: {old: new for new, old in enumerate(kept[Section.CONSTANT])},
            Section.COORDINATE: {i: i for i in range(len(self.shape) + len(self.domain))},
            Section.INSTRUCTION: {old: new for new, old in enumerate(kept[Section.INSTRUCTION])},
        }

        def index(value: Value) -> int:
            return base[value.section] + number[value.section][value.number]

        instructions = []
        for old in kept[Section.INSTRUCTION]:
            step = self.steps[old]
            a, b, c = [*map(index, step.arguments), 0, 0][:3]
            instructions.append(Instruction(step.op, a, b, c))
        for what, count, most in (
            ("instructions", len(instructions), MAX_INSTRUCTIONS),
            ("loads", len(loads), MAX_LOADS),
            ("operands", len(slots), MAX_OPERANDS),
            ("constants", len(kept[Section.CONSTANT]), MAX_CONSTANTS),
        ):
            if count > most:
                raise BodyTooLarge(f"the body needs {count} {what}, a node may have {most}")
        return Node(
            dtype=self.dtype,
            shape=self.shape,
            domain=self.domain,
            init=self.init,
            operands=tuple(self._operands[slot] for slot in slots),
            loads=tuple(
                _renumbered(self._loads[old], slot_at[self._loads[old].operand], load_at)
                for old in loads
            ),
            guards=tuple(Guard(load_at[g.load], g.coordinate) for g in self._guards),
            constants=tuple(self.constants[old] for old in kept[Section.CONSTANT]),
            instructions=tuple(instructions),
            result=index(result),
        )

    def _alive(self, result: Value) -> set[Value]:
        """Every value that the result depends on."""
        alive: set[Value] = set()
        pending = [result]
        while pending:
            value = pending.pop()
            if value not in alive:
                alive.add(value)
                if value.section is Section.INSTRUCTION:
                    pending.extend(self.steps[value.number].arguments)
        return alive

    def _kept_loads(self, used: list[int]) -> list[int]:
        """Loads that the body reads, that skip or guard a term, or that address a kept load."""
        kept = set(used) | {guard.load for guard in self._guards}
        kept |= {k for k, load in enumerate(self._loads) if load.skip}
        for k in reversed(range(len(self._loads))):  # an address only names earlier loads
            if k in kept:
                for axis in self._loads[k].axes:
                    kept |= {t.source & ~LOADED_WORD for t in axis.terms if t.source & LOADED_WORD}
        return sorted(kept)


def _renumbered(load: Load, slot: int, load_at: dict[int, int]) -> Load:
    axes = []
    for axis in load.axes:
        terms = [
            Term(LOADED_WORD | load_at[t.source & ~LOADED_WORD], t.coef)
            if t.source & LOADED_WORD
            else t
            for t in axis.terms
        ]
        axes.append(replace(axis, terms=tuple(terms)))
    return replace(load, operand=slot, axes=tuple(axes))
