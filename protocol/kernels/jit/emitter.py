"""LLVM's text form, written by level: a value goes to the outermost loop in which it is fixed.

Every value knows the depth of the loop that it changes with. An instruction is written into the
scope of its deepest operand, so that what is fixed stands before the loop, whatever aliasing lets
LLVM prove; equal instructions of a scope are written once.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

NAMES = {"f": "float", "i": "i32", "b": "i1", "l": "i64", "p": "ptr", "c": "i8", "d": "double"}


@dataclass(frozen=True, slots=True)
class Val:
    """An LLVM value: how it is written, its kind (a key of `NAMES`), lanes and loop depth.

    ``const`` is the number if it is an integer constant (for kind ``f`` its word).
    """

    text: str
    kind: str
    lanes: int = 1
    level: int = 0
    const: int | None = None

    @property
    def type(self) -> str:
        """The LLVM type."""
        return type_of(self.kind, self.lanes)

    @property
    def typed(self) -> str:
        """Type and value, as operands are written."""
        return f"{self.type} {self.text}"


def type_of(kind: str, lanes: int) -> str:
    """The LLVM type of a kind and a number of lanes."""
    return NAMES[kind] if lanes == 1 else f"<{lanes} x {NAMES[kind]}>"


@functools.lru_cache(1 << 14)
def constant(kind: str, value: int) -> Val:
    """An integer constant, or the f32 with this word."""
    if kind == "f":
        number = struct.unpack("<f", struct.pack("<I", value & 0xFFFFFFFF))[0]
        bits = struct.unpack("<Q", struct.pack("<d", number))[0]
        return Val(f"0x{bits:016X}", "f", const=value & 0xFFFFFFFF)
    value = _wrapped(kind, value)
    return Val(str(value), kind, const=value)


def _wrapped(kind: str, value: int) -> int:
    """The value modulo 2^32 or 2^64, as LLVM wants it written; addresses wrap harmlessly."""
    bits = {"i": 32, "l": 64}.get(kind, 64)
    sign = 1 << (bits - 1)
    return ((value + sign) & ((1 << bits) - 1)) - sign


def lane_numbers(kind: str, lanes: int, stride: int = 1) -> Val:
    """The vector 0, stride, 2 stride, ..."""
    items = ", ".join(f"{NAMES[kind]} {_wrapped(kind, lane * stride)}" for lane in range(lanes))
    return Val(f"<{items}>", kind, lanes)


@dataclass(slots=True)
class Scope:
    """The straight part of a loop body: its lines and the block that they end in."""

    label: str
    lines: list[str] = field(default_factory=list)
    known: dict[str, Val] = field(default_factory=dict)
    read: dict[str, Val] = field(default_factory=dict)


@dataclass(slots=True)
class Loop:
    """An open loop: its index, the values that it carries, and those of the next round."""

    index: Val
    carried: list[Val]
    next: list[Val] = field(default_factory=list)
    results: list[Val] = field(default_factory=list)


class Emitter:
    """One function under construction."""

    def __init__(self) -> None:
        self.scopes = [Scope("entry")]
        self.declared: set[str] = set()
        self._count = 0

    @property
    def level(self) -> int:
        """Depth of the innermost open loop."""
        return len(self.scopes) - 1

    def fresh(self) -> str:
        """A new name."""
        self._count += 1
        return f"v{self._count}"

    def value(
        self, kind: str, lanes: int, expression: str, operands: Sequence[Val], least: int = 0
    ) -> Val:
        """The result of a pure instruction, in the outermost possible scope."""
        level = max([least, *(operand.level for operand in operands)])
        for scope in self.scopes[: level + 1]:
            if expression in scope.known:
                return scope.known[expression]
        value = self._write(level, kind, lanes, expression)
        self.scopes[level].known[expression] = value
        return value

    def read(
        self, kind: str, lanes: int, expression: str, operands: Sequence[Val], least: int = 0
    ) -> Val:
        """The result of a load, in the outermost scope from ``least`` on; shared up to a store."""
        level = max([least, *(operand.level for operand in operands)])
        known = self.scopes[level].read
        if expression not in known:
            known[expression] = self._write(level, kind, lanes, expression)
        return known[expression]

    def effect(self, line: str) -> None:
        """A store, in the innermost scope."""
        self.scopes[-1].lines.append(f"  {line}")
        for scope in self.scopes:
            scope.read.clear()

    def _write(self, level: int, kind: str, lanes: int, expression: str) -> Val:
        value = Val(f"%{self.fresh()}", kind, lanes, level)
        self.scopes[level].lines.append(f"  {value.text} = {expression}")
        return value

    def declare(self, signature: str) -> None:
        """An intrinsic that the function calls."""
        self.declared.add(f"declare {signature}")

    # Vectors.

    def spread(self, value: Val, lanes: int) -> Val:
        """``value`` in every lane."""
        if value.lanes == lanes:
            return value
        if value.const is not None:
            text = f"splat ({value.typed})"
            return Val(text, value.kind, lanes, 0, value.const)
        whole = type_of(value.kind, lanes)
        first = self.value(
            value.kind, lanes, f"insertelement {whole} poison, {value.typed}, i64 0", [value]
        )
        zeros = f"<{lanes} x i32> zeroinitializer"
        return self.value(
            value.kind, lanes, f"shufflevector {whole} {first.text}, {whole} poison, {zeros}",
            [first],
        )  # fmt: skip

    def alike(self, *values: Val) -> list[Val]:
        """The values with as many lanes as the widest of them."""
        lanes = max(value.lanes for value in values)
        return [self.spread(value, lanes) for value in values]

    def binary(self, op: str, kind: str, a: Val, b: Val, result: str | None = None) -> Val:
        """``op`` on two values of ``kind``, lane by lane."""
        a, b = self.alike(a, b)
        expression = f"{op} {type_of(kind, a.lanes)} {a.text}, {b.text}"
        return self.value(result or kind, a.lanes, expression, [a, b])

    def select(self, mask: Val, a: Val, b: Val) -> Val:
        """``mask ? a : b``; a scalar mask chooses all lanes."""
        a, b = self.alike(a, b)
        if mask.lanes > 1:
            a, b = self.spread(a, mask.lanes), self.spread(b, mask.lanes)
        return self.value(
            a.kind, a.lanes, f"select {mask.typed}, {a.typed}, {b.typed}", [mask, a, b]
        )

    def shuffle(self, a: Val, b: Val, picks: Sequence[int]) -> Val:
        """Lanes of two vectors, those of ``b`` numbered after those of ``a``."""
        mask = ", ".join(f"i32 {pick}" for pick in picks)
        text = f"shufflevector {a.typed}, {b.typed}, <{len(picks)} x i32> <{mask}>"
        return self.value(a.kind, len(picks), text, [a, b])

    def cast(self, op: str, kind: str, value: Val) -> Val:
        """A conversion of every lane."""
        return self.value(
            kind, value.lanes, f"{op} {value.typed} to {type_of(kind, value.lanes)}", [value]
        )

    def call(self, kind: str, intrinsic: str, *values: Val) -> Val:
        """An intrinsic that is overloaded on its result and takes values of its type."""
        values = tuple(self.alike(*values))
        lanes = values[0].lanes
        suffix = {"f": "f32", "i": "i32"}[kind]
        name = f"@llvm.{intrinsic}.{f'v{lanes}' if lanes > 1 else ''}{suffix}"
        whole = type_of(kind, lanes)
        self.declare(f"{whole} {name}({', '.join([whole] * len(values))})")
        arguments = ", ".join(value.typed for value in values)
        return self.value(kind, lanes, f"call {whole} {name}({arguments})", values)

    # Addresses: i64 numbers, folded where constant.

    def add(self, a: Val, b: Val) -> Val:
        """The sum of two i64."""
        if a.const is not None and b.const is not None:
            return constant("l", a.const + b.const)
        if a.const == 0:
            return b
        if b.const == 0:
            return a
        return self.binary("add", "l", a, b)

    def scale(self, a: Val, factor: int) -> Val:
        """An i64 times a constant."""
        if a.const is not None:
            return constant("l", a.const * factor)
        return a if factor == 1 else self.binary("mul", "l", a, constant("l", factor))

    def divide(self, a: Val, divisor: int, op: str = "udiv") -> Val:
        """Quotient (or ``urem``: remainder) of a nonnegative i64 by a constant."""
        if divisor == 1:
            return a if op == "udiv" else constant("l", 0)
        if a.const is not None:
            return constant("l", a.const // divisor if op == "udiv" else a.const % divisor)
        return self.binary(op, "l", a, constant("l", divisor))

    def limit(self, a: Val, b: Val, op: str = "slt") -> Val:
        """The smaller of two i64 (``sgt``: the larger)."""
        if a.const is not None and b.const is not None:
            return a if (a.const < b.const) == (op == "slt") else b
        return self.select(self.binary(f"icmp {op}", "l", a, b, "b"), a, b)

    def offset(self, pointer: Val, kind: str, index: Val) -> Val:
        """The address of element ``index``."""
        if index.const == 0:
            return pointer
        lanes = index.lanes
        return self.value(
            "p",
            lanes,
            f"getelementptr {NAMES[kind]}, {pointer.typed}, {index.typed}",
            [pointer, index],
        )

    # Loops.

    @contextmanager
    def loop(self, start: Val, stop: Val, step: int, carried: Sequence[Val] = ()) -> Iterator[Loop]:
        """``for (index = start; index < stop; index += step)``; one known round is written flat.

        The body sets ``next`` to the values that are carried on; ``results`` are theirs after it.
        """
        known = start.const is not None and stop.const is not None
        if known and start.const < stop.const <= start.const + step:  # type: ignore[operator]
            loop = Loop(start, list(carried))
            yield loop
            loop.results = loop.next
            return
        name = self.fresh()
        depth = len(self.scopes)
        body = Scope(f"{name}.body")
        carriers = [Val(f"%{self.fresh()}", v.kind, v.lanes, depth) for v in carried]
        loop = Loop(Val(f"%{name}", "l", 1, depth), carriers)
        self.scopes.append(body)
        yield loop
        self.scopes.pop()
        self._close(name, loop, body, (start, stop, step), list(carried), known)

    def _close(
        self,
        name: str,
        loop: Loop,
        body: Scope,
        bounds: tuple[Val, Val, int],
        carried: list[Val],
        known: bool,
    ) -> None:
        start, stop, step = bounds
        outer = self.scopes[-1]
        if known and start.const < stop.const:  # type: ignore[operator]
            enter = f"  br label %{name}.body"
        else:
            check = self.binary("icmp slt", "l", start, stop, "b")
            enter = f"  br i1 {check.text}, label %{name}.body, label %{name}.end"
        always = enter.startswith("  br label")
        origin, latch = outer.label, body.label
        outer.lines += [enter, f"{name}.body:"]
        outer.lines.append(f"  %{name} = phi i64 [{start.text}, %{origin}], [%{name}.n, %{latch}]")
        for carrier, first, last in zip(loop.carried, carried, loop.next, strict=True):
            outer.lines.append(
                f"  {carrier.text} = phi {carrier.type} [{first.text}, %{origin}], "
                f"[{last.text}, %{latch}]"
            )
        outer.lines += body.lines
        outer.lines += [
            f"  %{name}.n = add nsw i64 %{name}, {step}",
            f"  %{name}.c = icmp slt i64 %{name}.n, {stop.text}",
            f"  br i1 %{name}.c, label %{name}.body, label %{name}.end",
            f"{name}.end:",
        ]
        outer.label = f"{name}.end"
        for first, last in zip(carried, loop.next, strict=True):
            result = Val(f"%{self.fresh()}", last.kind, last.lanes, self.level)
            entry = "" if always else f"[{first.text}, %{origin}], "
            outer.lines.append(
                f"  {result.text} = phi {result.type} {entry}[{last.text}, %{latch}]"
            )
            loop.results.append(result)
