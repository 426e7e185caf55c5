"""The statements of a node's loads and body, for a kernel that has its coordinates at hand.

Names in the generated code: ``c3`` coordinate, ``x2`` word of a load, ``k2`` whether it is in
bounds, ``v7`` value of an instruction, ``p1`` operand, ``acc`` the accumulator.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from protocol.kernels.cuda.views import Dim, Liveness, reach, view_of
from protocol.program.isa import SIGNATURES, DType, Type
from protocol.program.node import LOADED_WORD, Axis, Node

MASK = 0xFFFFFFFF
POINTEES = {DType.F32: "float", DType.I32: "u32", DType.U8: "u8"}
TYPES = {Type.F: "float", Type.I: "u32"}


def literal(kind: Type, word: int) -> str:
    """A word as an expression of a register type."""
    return f"op_b2f({word:#x}u)" if kind is Type.F else f"{word:#x}u"


def unravel(flat: str, dims: Sequence[Dim]) -> list[str]:
    """Define the coordinates of a flat row-major index (`flat` is a u32 variable)."""
    lines = []
    for position, dim in reversed(list(enumerate(dims))):
        whole = position == 0
        rest = flat if dim is dims[-1] else f"r{dim.coordinate}"
        value = rest if whole else f"{rest} % {dim.extent}u"
        lines.append(f"const u32 c{dim.coordinate} = {value};")
        if not whole:
            outer = dims[position - 1].coordinate
            lines.append(f"const u32 r{outer} = {rest} / {dim.extent}u;")
    return lines


def affine(constant: int, factors: Sequence[int], live: Callable[[int], bool]) -> str:
    """``constant + sum(factor * coordinate)`` modulo 2^32."""
    parts = [f"{constant & MASK}u"] if constant & MASK else []
    for c, factor in enumerate(factors):
        factor &= MASK
        if factor and live(c):
            parts.append(f"c{c}" if factor == 1 else f"{factor}u * c{c}")
    return " + ".join(parts) or "0u"


class Emitter:
    """Writes the loads and the body of one node.

    Args:
        node: a validated node.
        varying: coordinates that are known only within the loop over the terms.
        dims: the coordinates that exist as variables (others are zero, or part of a merged one).
    """

    def __init__(self, node: Node, varying: Collection[int], dims: Sequence[Dim]) -> None:
        self.node = node
        self.live = Liveness(node)
        self.extents = node.shape + node.domain
        self.views = {k: view_of(node.loads[k], self.extents) for k in self.live.loads}
        self.types = node.value_types()
        self._varying = set(varying)
        self._defined = {dim.coordinate for dim in dims}
        self._late_values: dict[int, bool] = {}
        self._late_loads: set[int] = set()
        for k in self.live.loads:
            if any(self.views[k].moves(c) for c in self._varying & self._defined) or (
                self.views[k].words() & self._late_loads
            ):
                self._late_loads.add(k)

    def late(self, load: int) -> bool:
        """Whether the load's word differs from term to term."""
        return load in self._late_loads

    def load(self, k: int) -> list[str]:
        """Define ``x<k>``, and ``k<k>`` if the load may be out of bounds."""
        load, view = self.node.loads[k], self.views[k]
        dtype = self.node.operands[load.operand].dtype
        address = affine(view.constant, view.strides, self.defined)
        read = f"p{load.operand}[{{}}]"
        kind = TYPES[dtype.type]
        if not view.checks:
            return [f"const {kind} x{k} = {read.format(address)};"]
        lines = [f"u32 a{k} = {address};", f"bool k{k} = true;"]
        for axis in view.checks:
            lines += self._check(k, axis)
        fill = literal(dtype.type, load.fill)
        return [*lines, f"const {kind} x{k} = k{k} ? {read.format(f'a{k}')} : {fill};"]

    def skip(self, k: int) -> list[str]:
        """Leave the term if load k is marked `skip` and out of bounds."""
        return [f"if (!k{k}) continue;"] if self.node.loads[k].skip and self.views[k].checks else []

    def body(self, late: bool) -> list[str]:
        """The instructions that need the term (or its accumulator), or those that do not."""
        lines = []
        for position in self.live.instructions:
            instruction = self.node.instructions[position]
            own = self.node.first_instruction + position
            if self._late_value(own) is late:
                arguments = ", ".join(map(self.value, instruction.arguments))
                kind = TYPES[SIGNATURES[instruction.op].result]
                name = instruction.op.name.lower()
                lines.append(f"const {kind} v{own} = op_{name}({arguments});")
        return lines

    def value(self, index: int) -> str:
        """The expression of a value index."""
        node = self.node
        if index == 0:
            return "acc"
        if index < node.first_constant:
            return f"x{index - 1}"
        if index < node.first_coordinate:
            constant = node.constants[index - node.first_constant]
            return literal(constant.type, constant.word)
        if index < node.first_instruction:
            c = index - node.first_coordinate
            return f"c{c}" if self.defined(c) else "0u"
        return f"v{index}"

    def _late_value(self, index: int) -> bool:
        node = self.node
        if index == 0:
            return True
        if index < node.first_constant:
            return self.late(index - 1)
        if index < node.first_coordinate:
            return False
        if index < node.first_instruction:
            return index - node.first_coordinate in self._varying & self._defined
        if index not in self._late_values:
            arguments = node.instructions[index - node.first_instruction].arguments
            self._late_values[index] = any(map(self._late_value, arguments))
        return self._late_values[index]

    def defined(self, coordinate: int) -> bool:
        """Whether the coordinate exists as a variable."""
        return coordinate in self._defined

    def _check(self, k: int, axis: Axis) -> list[str]:
        """Add a checked axis to the address and to the bounds of load k."""
        return checked_axis(
            axis,
            self.extents,
            lambda source: f"c{source}" if self.defined(source) else "",
            f"a{k}",
            f"k{k}",
        )


def checked_axis(
    axis: Axis,
    extents: Sequence[int],
    coordinate: Callable[[int], str],
    address: str,
    inside: str,
) -> list[str]:
    """Statements that add an axis to ``address`` and its bounds to ``inside``.

    Values below 2^31 in magnitude are computed with 32 bits, others with 64, both exactly.
    """
    narrow = reach(axis, extents) < 1 << 31
    integer = "int" if narrow else "i64"
    suffix = "" if narrow else "ll"
    parts = [f"{axis.const}{suffix}"] if axis.const or not axis.terms else []
    for term in axis.terms:
        if term.source & LOADED_WORD:
            source = f"(int)x{term.source & ~LOADED_WORD}"
        else:
            source = coordinate(term.source)
        if source:
            cast = f"({integer}){source}"
            parts.append(cast if term.coef == 1 else f"{term.coef}{suffix} * {cast}")
    value = " + ".join(parts) or "0"
    unsigned = "u32" if narrow else "u64"
    lines = [f"const {integer} v = {value};"]
    stride = f"{axis.stride & MASK}u"
    if axis.divisor == 1:
        lines.append(f"{inside} = {inside} && ({unsigned})v < {axis.size}u;")
        lines.append(f"{address} += {stride} * (u32)v;")
    else:
        lines.append(f"const {unsigned} q = ({unsigned})v / {axis.divisor}u;")
        whole = f"q * {axis.divisor}u == ({unsigned})v"
        lines.append(f"{inside} = {inside} && v >= 0 && {whole} && q < {axis.size}u;")
        lines.append(f"{address} += {stride} * (u32)q;")
    return ["{", *(f"  {line}" for line in lines), "}"]
