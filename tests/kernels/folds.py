"""Small fold nodes by hand, for programs whose stages and buffers a test can predict."""

from __future__ import annotations

from collections.abc import Sequence

from protocol.program.builder import Affine, FoldBuilder
from protocol.program.isa import DType
from protocol.program.node import Axis, Binding, Node, Operand, OperandKind, Program


def state(index: int, *shape: int, dtype: DType = DType.F32) -> Operand:
    """State tensor ``index``."""
    return Operand(OperandKind.STATE, index, dtype, shape)


def output(index: int, *shape: int, dtype: DType = DType.F32) -> Operand:
    """Output of node ``index``."""
    return Operand(OperandKind.NODE, index, dtype, shape)


def bind(tensor: Operand) -> Binding:
    """The binding of a state slot to ``tensor``."""
    return Binding(tensor.kind, tensor.index, tensor.dtype, tensor.shape)


def pointwise(*operands: Operand) -> Node:
    """The sum of tensors of one shape, element by element, plus 1."""
    b = FoldBuilder(DType.F32, operands[0].shape)
    value = b.f32(1.0)
    for operand in operands:
        value = b.add(value, b.load(operand, _own_axes(operand)))
    return b.finish(value)


def copy(operand: Operand) -> Node:
    """The tensor itself."""
    b = FoldBuilder(DType.F32, operand.shape)
    return b.finish(b.load(operand, _own_axes(operand)))


def reverse(operand: Operand) -> Node:
    """The vector from its end to its start."""
    (size,) = operand.shape
    b = FoldBuilder(DType.F32, operand.shape)
    return b.finish(b.load(operand, [(b.out(0) * -1 + (size - 1)).axis(size, 1)]))


def row_sum(operand: Operand) -> Node:
    """(rows, columns) to (rows,)."""
    rows, columns = operand.shape
    b = FoldBuilder(DType.F32, (rows,), (columns,))
    axes = [b.out(0).axis(rows, columns), b.red(0).axis(columns, 1)]
    return b.finish(b.add(b.acc, b.load(operand, axes)))


def column_sum(operand: Operand, blocks: int) -> Node:
    """(rows, columns) to (blocks, columns): sums of rows that follow one another."""
    rows, columns = operand.shape
    height = rows // blocks
    b = FoldBuilder(DType.F32, (blocks, columns), (height,))
    axes = [(b.out(0) * height + b.red(0)).axis(rows, columns), b.out(1).axis(columns, 1)]
    return b.finish(b.add(b.acc, b.load(operand, axes)))


def middle_sum(operand: Operand) -> Node:
    """(blocks, rows, columns) to (blocks, columns)."""
    blocks, rows, columns = operand.shape
    b = FoldBuilder(DType.F32, (blocks, columns), (rows,))
    axes = [b.out(0).axis(blocks, rows * columns), b.red(0).axis(rows, columns)]
    axes.append(b.out(1).axis(columns, 1))
    return b.finish(b.add(b.acc, b.load(operand, axes)))


def minus_row(operand: Operand, row: Operand) -> Node:
    """Each row of a matrix minus one scalar of its own."""
    rows, _ = operand.shape
    b = FoldBuilder(DType.F32, operand.shape)
    x = b.load(operand, _own_axes(operand))
    return b.finish(b.sub(x, b.load(row, [b.out(0).axis(rows, 1)])))


def gather(table: Operand, index: Operand) -> Node:
    """The elements of ``table`` that the integers of ``index`` name."""
    b = FoldBuilder(DType.F32, index.shape)
    at = b.word_of(b.load(index, _own_axes(index)))
    return b.finish(b.load(table, [at.axis(table.shape[0], 1)]))


def integers(size: int) -> Node:
    """0, 1, 2, ..."""
    b = FoldBuilder(DType.I32, (size,))
    return b.finish(b.coordinate(0))


def window(operand: Operand) -> Node:
    """The next element of each, and 0 after the last."""
    (size,) = operand.shape
    b = FoldBuilder(DType.F32, operand.shape)
    return b.finish(b.load(operand, [(b.out(0) + 1).axis(size, 1)]))


def product(left: Operand, right: Operand) -> Node:
    """``left @ right``, of matrices."""
    (m, k), (_, n) = left.shape, right.shape
    b = FoldBuilder(DType.F32, (m, n), (k,))
    x = b.load(left, [b.out(0).axis(m, k), b.red(0).axis(k, 1)])
    y = b.load(right, [b.red(0).axis(k, n), b.out(1).axis(n, 1)])
    return b.finish(b.fma(x, y, b.acc))


def program(nodes: Sequence[Node], *bindings: Operand) -> Program:
    """A program that binds the tensors in order; each node's index is its position."""
    return Program(tuple(nodes), tuple(map(bind, bindings)))


def _own_axes(operand: Operand) -> list[Axis]:
    axes, stride = [], 1
    for c in reversed(range(len(operand.shape))):
        axes.append(Affine(((c, 1),)).axis(operand.shape[c], stride))
        stride *= operand.shape[c]
    return axes[::-1]
