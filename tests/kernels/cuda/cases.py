"""Nodes of every kind that has a kernel of its own on the device, and operands for them."""

from __future__ import annotations

import random
import struct
from functools import cache

import numpy as np

from protocol.kernels.cuda.fold import plain_kernel, shared_kernel
from protocol.kernels.cuda.product import TILES, product_kernel
from protocol.kernels.cuda.scatter import scatter_kernel
from protocol.kernels.cuda.source import KernelSource
from protocol.program.builder import FoldBuilder
from protocol.program.isa import SIGNATURES, DType, Op, Type
from protocol.program.node import Node
from protocol.program.philox import uniform_word
from tests.kernels import shapes
from tests.kernels.nodes import (
    FLOAT_WORDS,
    FOREIGN_NANS,
    INTEGER_WORDS,
    Case,
    random_case,
    random_product,
    random_tensor,
)
from tests.random_nodes import random_node


def extremum(rows: int, columns: int, op: Op, dtype: DType, skip: bool = False) -> Node:
    """An exactly associative fold of each row (padded by one on the left if ``skip``)."""
    word = 0x3F800000 if dtype is DType.F32 else 5
    b = FoldBuilder(dtype, (rows,), (columns,), init=word)
    axes = [b.out(0).axis(rows, columns), (b.red(0) + (-1 if skip else 0)).axis(columns, 1)]
    x = b.load(shapes.tensor(0, dtype, rows, columns), axes, skip=skip)
    return b.finish(b.emit(op, x, b.acc) if skip else b.emit(op, b.acc, x))


def dropout_words(count: int) -> Node:
    """Philox words of a step that a state tensor holds."""
    b = FoldBuilder(DType.I32, (count,))
    step = b.load(shapes.tensor(0, DType.I32))
    return b.finish(uniform_word(b, 0x1234_5678_9ABC, 7, step, b.coordinate(0)))


def drawn_words(count: int, steps: int) -> Node:
    """The same in the first ``steps`` steps, whose number is an index that must be in bounds."""
    b = FoldBuilder(DType.I32, (count,), init=5)
    step = b.load(shapes.tensor(0, DType.I32))
    b.load(shapes.tensor(0, DType.I32), [b.word_of(step).axis(steps, 0)], skip=True)
    return b.finish(uniform_word(b, 0x1234_5678_9ABC, 7, b.i32(3), b.coordinate(0)))


def permuted(*shape: int) -> Node:
    """A copy with all axes reversed."""
    b = FoldBuilder(DType.F32, shape[::-1])
    strides = [int(np.prod(shape[i + 1 :])) for i in range(len(shape))]
    last = len(shape) - 1
    axes = [b.out(last - i).axis(shape[i], strides[i]) for i in range(len(shape))]
    return b.finish(b.load(shapes.tensor(0, DType.F32, *shape), axes))


def doubly_guarded(tokens: int) -> Node:
    """A sum of the tokens whose two lists agree, into the row that both name."""
    b = FoldBuilder(DType.F32, (7, 9), (tokens,))
    lists = [
        b.load(shapes.tensor(i, DType.I32, tokens), [b.red(0).axis(tokens, 1)]) for i in range(2)
    ]
    axes = [b.red(0).axis(tokens, 9), b.out(1).axis(9, 1)]
    value = b.load(shapes.tensor(2, DType.F32, tokens, 9), axes)
    for words in lists:
        b.guard(words, 0)
    return b.finish(b.add(b.acc, value))


def product_of_gathered_rows(rows: int, columns: int, depth: int) -> Node:
    """A product whose left rows are moved by a list: no tile knows where they lie."""
    b = FoldBuilder(DType.F32, (rows, columns), (depth,))
    chosen = b.load(shapes.tensor(2, DType.I32, rows), [b.out(0).axis(rows, 1)])
    left = [(b.word_of(chosen) + b.out(0)).axis(20, depth), b.red(0).axis(depth, 1)]
    right = [b.red(0).axis(depth, columns), b.out(1).axis(columns, 1)]
    x = b.load(shapes.tensor(0, DType.F32, 20, depth), left)
    y = b.load(shapes.tensor(1, DType.F32, depth, columns), right)
    return b.finish(b.fma(x, y, b.acc))


def product_that_skips(rows: int, columns: int, depth: int) -> Node:
    """A product in which the first term of each element is out of bounds, and skipped."""
    b = FoldBuilder(DType.F32, (rows, columns), (depth,))
    left = [b.out(0).axis(rows, depth), (b.red(0) + -1).axis(depth, 1)]
    right = [b.red(0).axis(depth, columns), b.out(1).axis(columns, 1)]
    x = b.load(shapes.tensor(0, DType.F32, rows, depth), left, fill=0x3F800000, skip=True)
    y = b.load(shapes.tensor(1, DType.F32, depth, columns), right)
    return b.finish(b.fma(x, y, b.acc))


def largest_of_growing(columns: int) -> Node:
    """The accumulator grows before it is compared: the terms cannot be dealt out."""
    b = FoldBuilder(DType.I32, (3,), (columns,))
    x = b.load(
        shapes.tensor(0, DType.I32, 3, columns),
        [b.out(0).axis(3, columns), b.red(0).axis(columns, 1)],
    )
    return b.finish(b.imax(b.iadd(b.acc, b.i32(1)), x))


def own_coordinate(which: int) -> Node:
    """One coordinate of each element; the others may run as one, this one may not."""
    b = FoldBuilder(DType.I32, (3, 4, 5), (2, 3))
    return b.finish(b.iadd(b.acc, b.coordinate(which)))


NODES: dict[str, Node] = {
    "product": shapes.product(13, 37, 45),
    "product, both transposed": shapes.product(29, 33, 5, transpose=(True, True)),
    "product, batched": shapes.product(5, 40, 9, 3, (False, True)),
    "product of views": shapes.heads_product(2, 3, 9, 8),
    "product, one row": shapes.product(1, 40, 9),
    "product, two columns": shapes.product(40, 2, 9),
    "lane sum, padded": shapes.lane_sum(3, 100),
    "total": shapes.total(700),
    "embedding": shapes.embedding(20, 7, 33),
    "embedding gradient": shapes.embedding_gradient(20, 7, 33),
    "embedding gradient, wide": shapes.embedding_gradient(5, 300, 40),
    "scatter on the last coordinate": shapes.scatter_columns(6, 20, 50),
    "convolution": shapes.convolution(2, 3, 5, 4),
    "convolution, stride 2": shapes.convolution(1, 3, 7, 4, stride=2),
    "elementwise": shapes.adam_like(777),
    "largest of a row": extremum(19, 101, Op.MAX, DType.F32),
    "smallest of a padded row": extremum(19, 101, Op.MIN, DType.F32, skip=True),
    "sum of a row of integers": extremum(3, 67, Op.IADD, DType.I32, skip=True),
    "largest of a row of bytes": extremum(3, 300, Op.IMAX, DType.U8),
    "dropout": dropout_words(600),
    "drawn in twenty steps": drawn_words(600, 20),
    "drawn in one step": drawn_words(600, 1),
    "permuted copy": permuted(3, 70, 5),
    "product of gathered rows": product_of_gathered_rows(12, 16, 9),
    "product that skips": product_that_skips(12, 16, 9),
    "largest of a growing sum": largest_of_growing(80),
    "two guards on one coordinate": doubly_guarded(90),
    **{f"coordinate {which}": own_coordinate(which) for which in range(5)},
}


def opcode(op: Op) -> Case:
    """An opcode on every pair of special words (and a third argument)."""
    words = {
        Type.F: [*FLOAT_WORDS, *FOREIGN_NANS, *map(_word, (0.5, 1.5, -2.5, 16777217.0))],
        Type.I: list(INTEGER_WORDS),
    }
    kinds = SIGNATURES[op].arguments
    grid = np.meshgrid(*(np.array(words[kind], np.uint32) for kind in kinds), indexing="ij")
    count = grid[0].size
    result = DType.F32 if SIGNATURES[op].result is Type.F else DType.I32
    b = FoldBuilder(result, (count,))
    dtypes = [DType.F32 if kind is Type.F else DType.I32 for kind in kinds]
    loads = [
        b.load(shapes.tensor(slot, dtype, count), [b.out(0).axis(count, 1)])
        for slot, dtype in enumerate(dtypes)
    ]
    node = b.finish(b.emit(op, *loads))
    arrays = [values.ravel().view(d.numpy) for values, d in zip(grid, dtypes, strict=True)]
    return Case(node, arrays)


def named_case(name: str, special: bool = True) -> Case:
    """Operands for a node of `NODES`: special values, or ordinary ones."""
    node, rng = NODES[name], random.Random(name)
    if special:
        return Case(node, [random_tensor(rng, operand) for operand in node.operands])
    generator = np.random.default_rng(7)
    return Case(
        node,
        [
            generator.standard_normal(o.shape).astype("<f4")
            if o.dtype is DType.F32
            else generator.integers(0, 20, o.shape).astype(o.dtype.numpy)
            for o in node.operands
        ],
    )


def all_kernels(node: Node) -> list[KernelSource]:
    """Every kernel that could run the node, whichever is the fastest."""
    found = [scatter_kernel(node), shared_kernel(node)]
    found += [product_kernel(node, tile) for tile in TILES]
    return [plain_kernel(node), *(kernel for kernel in found if kernel is not None)]


@cache
def random_cases(scale: int) -> list[Case]:
    """Random nodes of all sorts, ``scale`` of each and fewer of the larger ones."""
    cases = [random_case(seed) for seed in range(scale)]
    cases += [random_case(2000 + seed, 900, 4) for seed in range(scale // 8)]
    cases += [random_case(3000 + seed, 6, 700) for seed in range(scale // 8)]
    cases += [random_product(seed) for seed in range(scale)]
    for seed in range(scale):
        rng = random.Random(seed)
        node = random_node(rng)
        cases.append(Case(node, [random_tensor(rng, operand) for operand in node.operands]))
    return cases


def _word(value: float) -> int:
    word: int = struct.unpack("<I", struct.pack("<f", value))[0]
    return word
