"""Each instruction of a body as LLVM instructions, lane by lane or on one scalar.

As in `cpu/block_ops.inl`, a NaN may carry any sign and payload while it is in flight: only `f2b`
and the store to a buffer show its bits, and both make it canonical. Comparisons stay masks until a
word of them is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from protocol.kernels.jit.emitter import Emitter, Val, constant, type_of
from protocol.program.isa import CANONICAL_NAN, SIGNATURES, Op, Type

_FLOAT: Final = {Op.ADD: "fadd", Op.SUB: "fsub", Op.MUL: "fmul", Op.DIV: "fdiv"}
_CALLS: Final = {
    Op.SQRT: "sqrt",
    Op.FMA: "fma",
    Op.MIN: "minimum",
    Op.MAX: "maximum",
    Op.ABS: "fabs",
}
_COMPARES: Final = {Op.FLT: "fcmp olt", Op.FLE: "fcmp ole", Op.FEQ: "fcmp oeq"}
_INTEGER: Final = {
    Op.IADD: "add",
    Op.ISUB: "sub",
    Op.IMUL: "mul",
    Op.IAND: "and",
    Op.IOR: "or",
    Op.IXOR: "xor",
}
_SHIFTS: Final = {Op.ISHL: "shl", Op.ISHR: "lshr", Op.ISAR: "ashr"}
_ORDERS: Final = {Op.ILT: "icmp slt", Op.IULT: "icmp ult", Op.IEQ: "icmp eq"}
_EXTREMES: Final = {Op.IMIN: "smin", Op.IMAX: "smax"}


def as_float(e: Emitter, value: Val) -> Val:
    """The word as an f32."""
    if value.kind == "f":
        return value
    value = as_word(e, value)
    if value.const is not None:
        return e.spread(constant("f", value.const), value.lanes)
    return e.cast("bitcast", "f", value)


def as_word(e: Emitter, value: Val) -> Val:
    """The value as an i32 (an f32 in flight keeps whatever bits it has)."""
    if value.kind == "i":
        return value
    if value.kind == "f":
        if value.const is not None:
            return e.spread(constant("i", value.const), value.lanes)
        return e.cast("bitcast", "i", value)
    return e.cast("zext", "i", value)


def as_mask(e: Emitter, value: Val) -> Val:
    """Whether the word is not 0."""
    if value.kind == "b":
        return value
    return e.binary("icmp ne", "i", as_word(e, value), constant("i", 0), "b")


def canonical(e: Emitter, value: Val) -> Val:
    """The f32 with every NaN made the canonical one.

    To LLVM one NaN is as good as another: it has been seen to drop the selection of the canonical
    one next to a square root. The fence costs nothing and hides where the value comes from.
    """
    value = e.call("f", "arithmetic.fence", as_float(e, value))
    nan = e.binary("fcmp uno", "f", value, value, "b")
    return e.select(nan, constant("f", CANONICAL_NAN), value)


def apply(e: Emitter, op: Op, arguments: Sequence[Val], raw: bool = False) -> Val:
    """The result of one instruction; ``raw`` leaves the bits of a NaN as they are in `f2b`."""
    if raw:
        return as_word(e, as_float(e, arguments[0]))
    if op in (Op.FSEL, Op.ISEL):
        return _select(e, op, arguments)
    prepare = {Type.F: as_float, Type.I: as_word}
    kinds = SIGNATURES[op].arguments
    values = [prepare[kind](e, v) for kind, v in zip(kinds, arguments, strict=True)]
    if op in _CALLS:
        return e.call("f", _CALLS[op], *values)
    if op in _FLOAT:
        return e.binary(_FLOAT[op], "f", values[0], values[1])
    if op in _COMPARES:
        return e.binary(_COMPARES[op], "f", values[0], values[1], "b")
    if op in _INTEGER:
        if op in (Op.IAND, Op.IOR, Op.IXOR) and all(v.kind == "b" for v in arguments):
            return e.binary(_INTEGER[op], "b", arguments[0], arguments[1])
        return e.binary(_INTEGER[op], "i", values[0], values[1])
    if op in _SHIFTS:
        count = e.binary("and", "i", values[1], constant("i", 31))
        if values[1].const is not None:
            count = e.spread(constant("i", values[1].const & 31), values[1].lanes)
        return e.binary(_SHIFTS[op], "i", values[0], count)
    if op in _ORDERS:
        return e.binary(_ORDERS[op], "i", values[0], values[1], "b")
    if op in _EXTREMES:
        return e.call("i", _EXTREMES[op], *values)
    return _OTHERS[op](e, *values)


def _select(e: Emitter, op: Op, arguments: Sequence[Val]) -> Val:
    condition, a, b = arguments
    if op is Op.FSEL:
        a, b = as_float(e, a), as_float(e, b)
    elif a.kind != "b" or b.kind != "b":
        a, b = as_word(e, a), as_word(e, b)
    return e.select(as_mask(e, condition), a, b)


def _high_product(e: Emitter, a: Val, b: Val) -> Val:
    product = e.binary("mul", "l", e.cast("zext", "l", a), e.cast("zext", "l", b))
    return e.cast("trunc", "i", e.binary("lshr", "l", product, constant("l", 32)))


def _quotient(e: Emitter, a: Val, b: Val) -> Val:
    """Truncating a / b; x / 0 = 0 and INT_MIN / -1 = INT_MIN.

    Through f64 unless the divisor is constant: the quotient of two i32 is at least 1/|b| away from
    the next whole number, its rounding error at most 2^-22/|b|.
    """
    if b.const is not None and b.const not in (0, -1):
        return e.binary("sdiv", "i", a, b)
    zero = e.binary("icmp eq", "i", b, constant("i", 0), "b")
    minus = e.binary("icmp eq", "i", b, constant("i", -1), "b")
    safe = e.select(e.binary("or", "b", zero, minus), constant("i", 1), b)
    wide = e.binary("fdiv", "d", e.cast("sitofp", "d", a), e.cast("sitofp", "d", safe))
    quotient = e.cast("fptosi", "i", wide)
    quotient = e.select(minus, e.binary("sub", "i", constant("i", 0), a), quotient)
    return e.select(zero, constant("i", 0), quotient)


def _remainder(e: Emitter, a: Val, b: Val) -> Val:
    """The rest a - (a / b) b, with x rem 0 = 0."""
    if b.const is not None and b.const not in (0, -1):
        return e.binary("srem", "i", a, b)
    rest = e.binary("sub", "i", a, e.binary("mul", "i", _quotient(e, a, b), b))
    zero = e.binary("icmp eq", "i", b, constant("i", 0), "b")
    return e.select(zero, constant("i", 0), rest)


def _to_integer(e: Emitter, a: Val) -> Val:
    """Truncates, saturates; NaN gives 0."""
    kinds = [type_of(kind, a.lanes) for kind in "if"]
    wide = f"v{a.lanes}" if a.lanes > 1 else ""
    name = f"@llvm.fptosi.sat.{wide}i32.{wide}f32"
    e.declare(f"{kinds[0]} {name}({kinds[1]})")
    return e.value("i", a.lanes, f"call {kinds[0]} {name}({a.typed})", [a])


_OTHERS: Final[dict[Op, Callable[..., Val]]] = {
    Op.NEG: lambda e, a: e.value("f", a.lanes, f"fneg {a.typed}", [a]),
    Op.B2F: lambda e, a: as_float(e, a),
    Op.F2B: lambda e, a: as_word(e, canonical(e, a)),
    Op.I2F: lambda e, a: e.cast("sitofp", "f", a),
    Op.F2I: _to_integer,
    Op.IMULHI: _high_product,
    Op.IDIV: _quotient,
    Op.IREM: _remainder,
}
