"""Which `f2b` of a body may take a NaN's bits as they are, because nothing shows them.

The bits of a NaN t matter only through the values that depend on ``f2b(t)``. Where each of these
ends in a value that is a NaN whenever t is one, or is not used, the result is a NaN whatever the
bits were, and another NaN of the same value in flight is none of anybody's business. So exp(NaN)
needs no canonical bits for its exponent: its polynomial is a NaN already.

The proof is one pass per `f2b`. *Strict* values are NaN if t is: t, and floating arithmetic with a
strict operand. A comparison with a strict operand is false, which decides selections. A word of a
strict value keeps the form of a NaN when other bits are added by `ior`. *Tainted* values depend on
``f2b(t)`` and are not strict.
"""

from __future__ import annotations

from collections.abc import Sequence

from protocol.program.isa import Op
from protocol.program.node import Node

_ARITHMETIC = frozenset(
    {Op.ADD, Op.SUB, Op.MUL, Op.DIV, Op.SQRT, Op.FMA, Op.MIN, Op.MAX, Op.NEG, Op.ABS}
)
_COMPARISONS = frozenset({Op.FLT, Op.FLE, Op.FEQ})


def hidden_bits(node: Node, live: Sequence[int]) -> frozenset[int]:
    """Numbers of the live `f2b` instructions whose operand need not be made canonical."""
    return frozenset(
        i for i in live if node.instructions[i].op is Op.F2B and _is_hidden(node, live, i)
    )


def _is_hidden(node: Node, live: Sequence[int], number: int) -> bool:
    source = node.instructions[number].a
    first = node.first_instruction
    strict, tainted = {source}, {first + number}
    false: set[int] = set()
    nan_words: set[int] = set()
    for i in live:  # single assignment: one pass in order sees operands first
        instruction, value = node.instructions[i], first + i
        op, arguments = instruction.op, instruction.arguments
        if _is_strict(op, arguments, strict, false) or (op is Op.B2F and arguments[0] in nan_words):
            strict.add(value)
        elif op in _COMPARISONS and strict.intersection(arguments):
            false.add(value)
        elif (op is Op.F2B and arguments[0] in strict) or (
            op is Op.IOR and nan_words.intersection(arguments)
        ):
            nan_words.add(value)
        if tainted.intersection(arguments) and value not in strict:
            tainted.add(value)
    return node.result not in tainted


def _is_strict(op: Op, arguments: Sequence[int], strict: set[int], false: set[int]) -> bool:
    """Arithmetic on a strict value, or a selection of strict ones.

    Both are, or the one that a false condition takes.
    """
    if op is Op.FSEL:
        condition, a, b = arguments
        return b in strict and (a in strict or condition in false)
    return op in _ARITHMETIC and bool(strict.intersection(arguments))
