"""The scaling step of exp, tanh and erf, recognised in a body: p * 2^n by one `vscalefps`.

No instruction of a program multiplies by a power of two, so the expansions build its word from the
bits of t = n + 1.5 * 2^23: eight instructions in exp, four in tanh and erf. AVX-512 has one for it.

Recognised is the canonical text alone (`protocol/program/expansions.py`): the final product y must
be the same function of some value x as in the expansion, each operation, operand order, constant
and clamp of it; x is anything. Other text keeps its instructions, and so do other vectors. What is
between x and y is still there for those who read it too.

Proof that the bits are the same. Let y = round(p * 2^n), which is what `vscalefps` computes: one
rounding, subnormal results included, infinity beyond the range, NaN from NaN.

- The clamps leave an argument c of the exponential in [-104, 89] (exp), [0, 18.04] (tanh), or
  [-17.48, 0] (erf), or a NaN. Then t = fma(c, log2 e, 1.5 * 2^23) lies between 2^23 and
  2^24, where floats are the integers: n = t - 1.5 * 2^23 is exact, a whole number in [-150, 128],
  [0, 26] or [-25, 0], and bits(t) = 0x4b400000 + n.
- tanh, erf: (bits(t) << 23) + 0x3f800000 is the word of 2^n, as 0x4b400000 << 23 vanishes, and
  its product with p is rounded once.
- exp: h = bits(t) >> 1 = 0x25a00000 + floor(n / 2), bits(t) - h = 0x25a00000 + ceil(n / 2). Both
  factors are powers of two as above, with exponents in [-75, 64]. The polynomial p lies in
  [0.7, 1.42], so p * 2^floor(n / 2) is a normal number and exact, and the second product is
  rounded once.
- If c is a NaN, so are p and n, and a product with a NaN is one whatever the word of 2^n is.

As y depends on nothing but x, a test over all 2^32 words of x covers the whole of this.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from protocol.kernels.jit.emitter import Emitter, Val
from protocol.program import expansions
from protocol.program.body import Body, Section, Value
from protocol.program.isa import Op, Type
from protocol.program.node import Constant, Node

LANES = 16  # of the one form that is emitted
_WHOLE = f"<{LANES} x float>"
_SCALE = "@llvm.x86.avx512.mask.scalef.ps.512"
_CURRENT_ROUNDING = 4


@dataclass(frozen=True, slots=True)
class Scaling:
    """Value indices of p and n, where an instruction computes p * 2^n."""

    p: int
    n: int


@dataclass(frozen=True, slots=True)
class _Text:
    """An expansion as it is written for a value x, and three values of it."""

    body: Body
    x: Value
    y: Value
    p: Value
    n: Value


def scalings(node: Node, live: Sequence[int]) -> dict[int, Scaling]:
    """The scaling steps among the live instructions, by instruction number."""
    found = {}
    first = node.first_instruction
    for i in live:
        if node.instructions[i].op is not Op.MUL:
            continue
        for text in _texts():
            at: dict[Value, int] = {}
            if _is_same(text, text.y, node, first + i, at):
                found[i] = Scaling(at[text.p], at[text.n])
                break
    return found


def scale(e: Emitter, p: Val, n: Val) -> Val:
    """The product p * 2^n in `LANES` lanes, for whole n."""
    p, n = e.spread(p, LANES), e.spread(n, LANES)
    e.declare(f"{_WHOLE} {_SCALE}({_WHOLE}, {_WHOLE}, {_WHOLE}, i{LANES}, i32)")
    arguments = f"{p.typed}, {n.typed}, {_WHOLE} zeroinitializer, i{LANES} -1"
    call = f"call {_WHOLE} {_SCALE}({arguments}, i32 {_CURRENT_ROUNDING})"
    return e.value("f", LANES, call, [p, n])


def _is_same(text: _Text, value: Value, node: Node, index: int, at: dict[Value, int]) -> bool:
    """Whether ``index`` of the node is ``value`` of the text; ``at`` collects what is where."""
    if value in at:
        return at[value] == index
    if value.section is Section.CONSTANT:
        same = _constant(node, index) == text.body.constants[value.number]
    elif value.section is Section.INSTRUCTION and index >= node.first_instruction:
        step = text.body.steps[value.number]
        instruction = node.instructions[index - node.first_instruction]
        same = instruction.op is step.op and all(
            _is_same(text, argument, node, a, at)
            for argument, a in zip(step.arguments, instruction.arguments, strict=True)
        )
    else:
        same = value == text.x
    at[value] = index
    return same


def _constant(node: Node, index: int) -> Constant | None:
    number = index - node.first_constant
    return node.constants[number] if 0 <= number < len(node.constants) else None


@functools.cache
def _texts() -> tuple[_Text, ...]:
    return tuple(map(_text, (expansions.exp, expansions.tanh, expansions.erf)))


def _text(expansion: Callable[[Body, Value], Value]) -> _Text:
    """What an expansion writes, and where in it: y is its last product with a word made a float."""
    body = Body(Type.F)
    x = body.acc
    expansion(body, x)
    values = [Value(Section.INSTRUCTION, i, Type.F) for i in range(len(body.steps))]
    y = next(value for value in reversed(values) if _is_scaled(body, value))
    p = y
    while _is_scaled(body, p):
        p = body.steps[p.number].arguments[0]
    words = (step.arguments[0] for step in body.steps if step.op is Op.F2B)
    (t,) = (word for word in words if _op(body, word) is Op.FMA)
    return _Text(body, x, y, p, n=body.sub(t, body.f32(expansions.MAGIC)))


def _is_scaled(body: Body, value: Value) -> bool:
    return _op(body, value) is Op.MUL and _op(body, body.steps[value.number].arguments[1]) is Op.B2F


def _op(body: Body, value: Value) -> Op | None:
    return body.steps[value.number].op if value.section is Section.INSTRUCTION else None
