"""Loads and stores of a chunk of lanes.

Scalar where all lanes agree, whole vectors where they are neighbours, a wide load and a shuffle for
short strides, else a gather. Nothing outside an operand is ever read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from protocol.kernels.jit.emitter import NAMES, Emitter, Val, constant, lane_numbers, type_of
from protocol.kernels.jit.errors import Unsupported
from protocol.kernels.jit.lanes import as_float, as_word, canonical
from protocol.kernels.jit.space import Access, Check, Linear
from protocol.program.isa import DType

KINDS = {DType.F32: "f", DType.I32: "i", DType.U8: "c"}
LONGEST_STRIDE = 4  # above it a wide load brings more useless bytes than a gather has overhead


@dataclass(frozen=True, slots=True)
class Home:
    """Where a tensor is: its (perhaps virtual) first element, and an element that may be read.

    ``least`` is the loop depth from which on its contents are fixed.
    """

    pointer: Val
    kind: str
    safe: Val
    least: int


@dataclass(frozen=True, slots=True)
class Number:
    """An affine number per lane: scalar terms, a constant, ``stride`` per lane, or lane offsets."""

    terms: tuple[tuple[Val, int], ...]
    const: int
    stride: int
    offsets: Val | None

    def plus(self, e: Emitter, other: Number, factor: int) -> Number:
        """``self + factor * other``."""
        offsets = self.offsets
        if other.offsets is not None and factor:
            more = other.offsets
            if factor != 1:
                more = e.binary("mul", "i", more, constant("i", factor))
            offsets = more if offsets is None else e.binary("add", "i", offsets, more)
        terms = tuple((v, c * factor) for v, c in other.terms if factor)
        return Number(
            self.terms + terms,
            self.const + factor * other.const,
            self.stride + factor * other.stride,
            offsets,
        )


@dataclass(frozen=True, slots=True)
class Chunk:
    """Lanes of a loop: the variables of lane 0, and how the lanes differ.

    Attributes:
        lanes: how many; with 1 everything is scalar.
        variables: of the space, then of the domain, as i64.
        vector: number of the variable that grows by one per lane, or None.
        scattered: in place of ``vector``, the first variables as i32 vectors; ``variables`` then
            holds zeros for them, ``position`` the first lane's element, ``steps`` the elements per
            step of each, and ``extents`` their sizes.
        mask: the lanes that exist, None for all.
    """

    lanes: int
    variables: tuple[Val, ...]
    vector: int | None
    mask: Val | None = None
    scattered: tuple[Val, ...] = ()
    position: Val | None = None
    steps: tuple[int, ...] = ()
    extents: tuple[int, ...] = ()

    def number(self, e: Emitter, function: Linear) -> Number:
        """The value of a linear function in each lane.

        Raises:
            Unsupported: scattered lanes lie too far apart.
        """
        variables = zip(function.coefs, self.variables, strict=True)
        terms = [(v, c) for c, v in variables if c and v.const != 0]
        stride = 0 if self.vector is None or self.lanes == 1 else function.coefs[self.vector]
        offsets: Val | None = None
        if self.scattered:
            outer = function.coefs[: len(self.steps)]
            factor = outer[-1]
            if all(c == factor * step for c, step in zip(outer, self.steps, strict=True)):
                assert self.position is not None
                stride = factor
                terms += [(self.position, factor)] if factor else []
            else:
                reach = sum(abs(c) * (n - 1) for c, n in zip(outer, self.extents, strict=True))
                if reach >= 1 << 31:
                    raise Unsupported(f"lanes {reach} elements apart, more than an i32 holds")
                for c, value in zip(outer, self.scattered, strict=True):
                    if c:
                        part = e.binary("mul", "i", value, constant("i", c)) if c != 1 else value
                        offsets = part if offsets is None else e.binary("add", "i", offsets, part)
        return Number(tuple(terms), function.const, stride, offsets)


class Memory:
    """Access to tensors from the lanes of chunks."""

    def __init__(self, e: Emitter) -> None:
        self.e = e

    # Numbers.

    def scalar(self, number: Number) -> Val:
        """Lane 0 of the part that is not ``offsets``, as an i64; what is fixed is summed first."""
        e = self.e
        total = constant("l", 0)
        for value, coef in sorted(number.terms, key=lambda term: term[0].level):
            total = e.add(total, e.scale(value, coef))
        return e.add(total, constant("l", number.const))

    def words(self, number: Number, lanes: int, kind: str = "i") -> Val:
        """The number in each lane as i32 (modulo 2^32) or i64; scalar if all lanes agree."""
        e = self.e
        total = self.scalar(number)
        if kind == "i":
            total = _narrow(e, total)
        if number.stride:
            total = e.binary("add", kind, total, lane_numbers(kind, lanes, number.stride))
        if number.offsets is not None:
            more = number.offsets if kind == "i" else e.cast("sext", "l", number.offsets)
            total = e.binary("add", kind, total, more)
        return total

    # Loads.

    def load(
        self, home: Home, access: Access, chunk: Chunk, words: Sequence[Val | None]
    ) -> _Loaded:
        """The word of a load in each lane, and where it is in bounds."""
        return self._fetch(home, access, chunk, *self._place(access, chunk, words))

    def inside(self, access: Access, chunk: Chunk, words: Sequence[Val | None]) -> Val | None:
        """Where a load is in bounds; None for everywhere."""
        return self._place(access, chunk, words)[1]

    def _place(
        self, access: Access, chunk: Chunk, words: Sequence[Val | None]
    ) -> tuple[Number, Val | None, Val | None]:
        """The affine part of the address, where it is in bounds, and what is not affine of it."""
        e = self.e
        place = chunk.number(e, access.address)
        inside: Val | None = None
        extra: Val | None = None
        for check in access.checks:
            number = chunk.number(e, check.value)
            if check.plain:
                value = self.words(number, chunk.lanes, "i" if check.narrow else "l")
                hit = e.binary("icmp ult", value.kind, value, _size(value.kind, check.size), "b")
                place = place.plus(e, number, check.stride)
            else:
                hit, step = self._divided(check, number, chunk, words)
                if check.stride:
                    extra = step if extra is None else _sum(e, extra, step)
            inside = hit if inside is None else e.binary("and", "b", inside, hit)
        return place, inside, extra

    def _divided(
        self, check: Check, number: Number, chunk: Chunk, words: Sequence[Val | None]
    ) -> tuple[Val, Val]:
        """Whether a coordinate with words or a divisor is in bounds, and what it adds."""
        e = self.e
        kind = "i" if check.narrow else "l"
        value = self.words(number, chunk.lanes, kind)
        for load, coef in check.words:
            word = words[load]
            assert word is not None
            word = as_word(e, word)
            word = e.cast("sext", "l", word) if kind == "l" else word
            part = word if coef == 1 else e.binary("mul", kind, word, constant(kind, coef))
            value = e.binary("add", kind, value, part)
        quotient = value
        exact: Val | None = None
        if check.divisor > 1:
            divisor = constant(kind, check.divisor)
            quotient = e.binary("sdiv", kind, value, divisor)
            exact = e.binary("icmp eq", kind, e.binary("mul", kind, quotient, divisor), value, "b")
        hit = e.binary("icmp ult", kind, quotient, _size(kind, check.size), "b")
        if exact is not None:
            hit = e.binary("and", "b", hit, exact)
        return hit, e.binary("mul", kind, quotient, constant(kind, check.stride))

    def _fetch(
        self,
        home: Home,
        access: Access,
        chunk: Chunk,
        place: Number,
        inside: Val | None,
        extra: Val | None,
    ) -> _Loaded:
        e, lanes = self.e, chunk.lanes
        if extra is not None and extra.lanes == 1:
            wide = extra if extra.kind == "l" else e.cast("sext", "l", extra)
            place = Number((*place.terms, (wide, 1)), place.const, place.stride, place.offsets)
            extra = None
        same = place.stride == 0 and place.offsets is None and extra is None
        if same and (inside is None or inside.lanes == 1):
            return self._scalar(home, access, place, inside)
        mask = chunk.mask
        if inside is not None:
            whole = e.spread(inside, lanes)
            mask = whole if mask is None else e.binary("and", "b", mask, whole)
        pointer = self._pointer(home, place)
        if extra is None and place.offsets is None and place.stride != 0:
            found = self._neighbours(home, pointer, place.stride, lanes, mask, access.fill)
            if found is not None:
                return self._filled(access, found, inside)
        offsets = lane_numbers("l", lanes, place.stride) if place.stride else None
        for part in (place.offsets, extra):
            if part is not None:
                wide = part if part.kind == "l" else e.cast("sext", "l", part)
                offsets = wide if offsets is None else e.binary("add", "l", offsets, wide)
        if offsets is None:
            offsets = e.spread(constant("l", 0), lanes)
        return self._filled(access, self._gather(home, pointer, offsets, mask, access), inside)

    def _scalar(self, home: Home, access: Access, place: Number, inside: Val | None) -> _Loaded:
        """One load for all lanes; out of bounds a safe element is read and thrown away."""
        e = self.e
        if inside is None:
            pointer = self._pointer(home, place)
        else:
            index = e.select(inside, self.scalar(place), home.safe)
            pointer = e.offset(home.pointer, home.kind, index)
        # Fixed while the loop runs: whoever writes it has finished, or does so at its own element.
        word = e.read(
            home.kind, 1, f"load {NAMES[home.kind]}, ptr {pointer.text}, align {_align(home.kind)}",
            [pointer], home.least,
        )  # fmt: skip
        if inside is not None and home.kind != "c":
            word = e.select(inside, word, constant(home.kind, access.fill))
        return self._filled(access, word, inside)

    def _pointer(self, home: Home, place: Number) -> Val:
        """The address of lane 0, the fixed parts added outside."""
        e = self.e
        pointer = home.pointer
        terms = sorted(place.terms, key=lambda term: term[0].level)
        for level in sorted({term[0].level for term in terms}):
            part = Number(tuple(t for t in terms if t[0].level == level), 0, 0, None)
            pointer = e.offset(pointer, home.kind, self.scalar(part))
        return e.offset(pointer, home.kind, constant("l", place.const))

    def _neighbours(
        self, home: Home, pointer: Val, stride: int, lanes: int, mask: Val | None, fill: int
    ) -> Val | None:
        """Lanes ``stride`` apart without a gather, or None."""
        e, kind = self.e, home.kind
        if stride == 1 and mask is not None:
            vector = type_of(kind, lanes)
            name = f"@llvm.masked.load.v{lanes}{_suffix(kind)}.p0"
            e.declare(f"{vector} {name}(ptr, i32, <{lanes} x i1>, {vector})")
            other = e.spread(constant(kind, fill if kind != "c" else 0), lanes)
            arguments = f"{pointer.typed}, i32 {_align(kind)}, {mask.typed}, {other.typed}"
            operands = [pointer, mask]
            return e.read(kind, lanes, f"call {vector} {name}({arguments})", operands, home.least)
        if mask is not None or abs(stride) > LONGEST_STRIDE:
            return None
        span = abs(stride) * (lanes - 1) + 1
        if stride < 0:
            pointer = e.offset(pointer, kind, constant("l", stride * (lanes - 1)))
        text = f"load {type_of(kind, span)}, ptr {pointer.text}, align {_align(kind)}"
        whole = e.read(kind, span, text, [pointer], home.least)
        if stride == 1:
            return whole
        start = 0 if stride > 0 else span - 1
        return e.shuffle(whole, whole, [start + stride * lane for lane in range(lanes)])

    def _gather(
        self, home: Home, pointer: Val, offsets: Val, mask: Val | None, access: Access
    ) -> Val:
        e, kind, lanes = self.e, home.kind, offsets.lanes
        pointers = e.offset(pointer, kind, offsets)
        if pointers.lanes == 1:  # offset 0
            pointers = e.spread(pointers, lanes)
        vector = type_of(kind, lanes)
        name = f"@llvm.masked.gather.v{lanes}{_suffix(kind)}.v{lanes}p0"
        e.declare(f"{vector} {name}(<{lanes} x ptr>, i32, <{lanes} x i1>, {vector})")
        chosen = f"<{lanes} x i1> splat (i1 true)" if mask is None else mask.typed
        other = e.spread(constant(kind, access.fill if kind != "c" else 0), lanes)
        arguments = f"{pointers.typed}, i32 {_align(kind)}, {chosen}, {other.typed}"
        operands = [pointers] if mask is None else [pointers, mask]
        return e.read(kind, lanes, f"call {vector} {name}({arguments})", operands, home.least)

    def _filled(self, access: Access, found: Val, inside: Val | None) -> _Loaded:
        if found.kind == "c":
            found = self.e.cast("zext", "i", found)
            if inside is not None:
                found = self.e.select(inside, found, constant("i", access.fill))
        return found, inside

    # Stores.

    def store(self, home: Home, value: Val, place: Number, chunk: Chunk, public: bool) -> None:
        """Write neighbouring lanes; ``public`` ones leave the region and are made canonical."""
        e = self.e
        if home.kind == "f":
            value = canonical(e, value) if public else as_float(e, value)
        else:
            value = as_word(e, value)
            if home.kind == "c":
                value = e.cast("trunc", "c", value)
        pointer = self._pointer(home, place)
        value = e.spread(value, chunk.lanes)
        if chunk.mask is None:
            e.effect(f"store {value.typed}, ptr {pointer.text}, align {_align(home.kind)}")
            return
        name = f"@llvm.masked.store.v{chunk.lanes}{_suffix(home.kind)}.p0"
        e.declare(f"void {name}({value.type}, ptr, i32, <{chunk.lanes} x i1>)")
        e.effect(
            f"call void {name}({value.typed}, ptr {pointer.text}, i32 {_align(home.kind)}, "
            f"{chunk.mask.typed})"
        )


_Loaded = tuple[Val, Val | None]


def _narrow(e: Emitter, value: Val) -> Val:
    return constant("i", value.const) if value.const is not None else e.cast("trunc", "i", value)


def _size(kind: str, size: int) -> Val:
    """The bound of an unsigned comparison: as i32 nothing above 2^31 - 1 is a coordinate."""
    return constant(kind, min(size, 1 << 31) if kind == "i" else size)


def _sum(e: Emitter, a: Val, b: Val) -> Val:
    """Of two address parts, perhaps of different width."""
    if a.kind != b.kind:
        a = a if a.kind == "l" else e.cast("sext", "l", a)
        b = b if b.kind == "l" else e.cast("sext", "l", b)
    return e.binary("add", a.kind, a, b)


def _align(kind: str) -> int:
    return 1 if kind == "c" else 4


def _suffix(kind: str) -> str:
    return {"f": "f32", "i": "i32", "c": "i8"}[kind]
