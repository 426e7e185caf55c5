"""Small hand-written nodes and programs that the tests of ``protocol.program`` start from."""

from __future__ import annotations

from protocol.program.isa import DType, Op, Type
from protocol.program.node import (
    LOADED_WORD,
    Axis,
    Binding,
    Constant,
    Guard,
    Instruction,
    Load,
    Node,
    Operand,
    OperandKind,
    Program,
    TensorSpec,
    Term,
)

F32, I32, U8 = DType.F32, DType.I32, DType.U8


def matrix_product(m: int = 4, k: int = 7, n: int = 5) -> Node:
    """acc = fma(a[i, k], b[k, j], acc)."""
    return Node(
        F32,
        (m, n),
        (k,),
        operands=(
            Operand(OperandKind.STATE, 0, F32, (m, k)),
            Operand(OperandKind.NODE, 0, F32, (k, n)),
        ),
        loads=(
            Load(0, (Axis(m, k, (Term(0),)), Axis(k, 1, (Term(2),)))),
            Load(1, (Axis(k, n, (Term(2),)), Axis(n, 1, (Term(1),)))),
        ),
        instructions=(Instruction(Op.FMA, 1, 2, 0),),
        result=6,
    )


def counter() -> Node:
    """The step counter: state 1 plus one."""
    return Node(
        I32,
        (),
        operands=(Operand(OperandKind.STATE, 1, I32, ()),),
        loads=(Load(0),),
        constants=(Constant(Type.I, 1),),
        instructions=(Instruction(Op.IADD, 1, 2),),
        result=3,
    )


def scatter() -> Node:
    """out[label] += 0.5 for each label of data 0: a guard, an indirect load and a skip."""
    return Node(
        F32,
        (3,),
        (8,),
        operands=(
            Operand(OperandKind.DATA, 0, U8, (8,)),
            Operand(OperandKind.STATE, 0, F32, (4, 7)),
        ),
        loads=(
            Load(0, (Axis(8, 1, (Term(1),)),)),
            Load(1, (Axis(28, 1, (Term(LOADED_WORD | 0, 2),), -1),), skip=True),
        ),
        guards=(Guard(0, 0),),
        constants=(Constant(Type.F, 0x3F000000),),
        instructions=(Instruction(Op.ADD, 0, 2), Instruction(Op.MUL, 6, 3)),
        result=7,
    )


def weights() -> Node:
    """b of the matrix product: the state's first column, broadcast."""
    return Node(
        F32,
        (7, 5),
        operands=(Operand(OperandKind.STATE, 0, F32, (4, 7)),),
        loads=(Load(0, (Axis(7, 1, (Term(0),)),)),),
        result=1,
    )


def product_of_rows() -> Node:
    """state 0 for the next step, from the product and the scattered counts."""
    return Node(
        F32,
        (4, 7),
        operands=(
            Operand(OperandKind.NODE, 1, F32, (4, 5)),
            Operand(OperandKind.NODE, 3, F32, (3,)),
        ),
        loads=(
            Load(0, (Axis(4, 5, (Term(0),)), Axis(5, 1, (Term(1),)))),
            Load(1, (Axis(3, 1, (Term(1),)),)),
        ),
        instructions=(Instruction(Op.ADD, 1, 2),),
        result=5,
    )


DATA = (TensorSpec("labels", U8, (8,)),)


def program() -> Program:
    """A valid program that uses every kind of operand."""
    return Program(
        (weights(), matrix_product(), counter(), scatter(), product_of_rows()),
        (
            Binding(OperandKind.NODE, 4, F32, (4, 7)),
            Binding(OperandKind.NODE, 2, I32, ()),
        ),
    )
