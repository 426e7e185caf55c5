"""Large products against their twins: the same folds written so that no kernel recognises them.

The reference evaluator is too slow for what fills a cache block or a job. The block interpreter is
not, and the other tests hold it to the reference.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol.kernels import instruction_sets
from protocol.kernels.cpu import _cpu
from protocol.program.canonical import encode_node
from protocol.program.isa import Op
from protocol.program.node import Instruction, Node

Tensors = list[NDArray[Any]]


def kernel_name(node: Node) -> str:
    """The way of computing that the engine chooses for a node."""
    return _cpu.Kernel(encode_node(node)).name


def twin_of(node: Node) -> Node:
    """The same fold with its result negated twice: no matrix product to the engine."""
    last = node.result
    twice = (Instruction(Op.NEG, last), Instruction(Op.NEG, last + 1))
    twin = replace(node, instructions=(*node.instructions, *twice), result=last + 2)
    assert kernel_name(twin) in ("outputs", "terms")
    return twin


def normal_operands(node: Node, seed: int = 0) -> Tensors:
    """Normally distributed numbers for every operand."""
    generator = np.random.default_rng(seed)
    return [generator.standard_normal(o.shape).astype("<f4") for o in node.operands]


def strange_operands(node: Node, seed: int = 0) -> Tensors:
    """The same with a few infinities, NaNs of other kinds, negative zeros and subnormals."""
    words = np.array([0x7F800000, 0xFF800000, 0xFFC00001, 0x7F800001, 0x80000000, 1], "<u4")
    generator = np.random.default_rng(seed)
    operands = normal_operands(node, seed)
    for operand in operands:
        flat = operand.reshape(-1).view("<u4")
        places = generator.integers(0, flat.size, max(1, flat.size // 500))
        flat[places] = generator.choice(words, places.size)
    return operands


def assert_equal_twin(
    node: Node, operands: Tensors | None = None, threads: Iterable[int] = (1, 2, 3)
) -> None:
    """The matrix product kernel of every instruction set gives the twin's words."""
    operands = normal_operands(node) if operands is None else operands
    expected = np.empty(node.shape, "<f4")
    _cpu.Kernel(encode_node(twin_of(node))).run(operands, expected, 1)
    for isa in instruction_sets():
        kernel = _cpu.Kernel(encode_node(node), isa, grain=0)
        assert kernel.name == "matmul"
        for count in threads:
            got = np.full(node.shape, 7, "<f4")
            kernel.run(operands, got, count)
            wrong = np.flatnonzero(got.view("<u4") != expected.view("<u4"))
            assert wrong.size == 0, f"{isa}, {count} threads: {wrong.size} differ from {wrong[0]}"
