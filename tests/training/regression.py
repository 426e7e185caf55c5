"""A task small enough to read: linear regression by stochastic gradient descent, eight nodes.

State 0 weight, 1 step counter, 2 loss, 3 the weight before the last step, 4 a frozen tensor.
"""

from __future__ import annotations

import numpy as np

from protocol.program.builder import FoldBuilder
from protocol.program.isa import DType
from protocol.program.node import Binding, Node, Operand, OperandKind, Program, TensorSpec
from protocol.training import Task

F32, I32, U8 = DType.F32, DType.I32, DType.U8
NODE, STATE, DATA = OperandKind.NODE, OperandKind.STATE, OperandKind.DATA


def regression_program(width: int, rows: int, batch: int, steps: int, rate: float) -> Program:
    """One step: gather the batch, predict, square the error, descend, count."""
    weight = Operand(STATE, 0, F32, (width,))
    step = Operand(STATE, 1, I32, ())
    nodes: list[Node] = []

    def node_tensor(*shape: int) -> Operand:
        return Operand(NODE, len(nodes) - 1, F32, shape)

    def gather(shape: tuple[int, ...], table: Operand) -> Node:
        b = FoldBuilder(F32, shape)
        now = b.load(step)
        order = Operand(DATA, 2, I32, (steps, batch))
        row = b.load(order, [b.word_of(now).axis(steps, batch), b.out(0).axis(batch, 1)])
        axes = [b.word_of(row).axis(rows, width if len(shape) == 2 else 1)]
        if len(shape) == 2:
            axes.append(b.out(1).axis(width, 1))
        return b.finish(b.load(table, axes))

    nodes.append(gather((batch, width), Operand(DATA, 0, F32, (rows, width))))
    inputs = node_tensor(batch, width)
    nodes.append(gather((batch,), Operand(DATA, 1, F32, (rows,))))
    targets = node_tensor(batch)

    b = FoldBuilder(F32, (batch,), (width,))
    x = b.load(inputs, [b.out(0).axis(batch, width), b.red(0).axis(width, 1)])
    nodes.append(b.finish(b.fma(x, b.load(weight, [b.red(0).axis(width, 1)]), b.acc)))

    b = FoldBuilder(F32, (batch,))
    prediction = b.load(node_tensor(batch), [b.out(0).axis(batch, 1)])
    nodes.append(b.finish(b.sub(prediction, b.load(targets, [b.out(0).axis(batch, 1)]))))
    errors = node_tensor(batch)

    b = FoldBuilder(F32, (), (batch,))
    error = b.load(errors, [b.red(0).axis(batch, 1)])
    nodes.append(b.finish(b.fma(error, error, b.acc)))

    b = FoldBuilder(F32, (width,), (batch,))
    x = b.load(inputs, [b.red(0).axis(batch, width), b.out(0).axis(width, 1)])
    nodes.append(b.finish(b.fma(x, b.load(errors, [b.red(0).axis(batch, 1)]), b.acc)))

    b = FoldBuilder(F32, (width,))
    gradient = b.load(node_tensor(width), [b.out(0).axis(width, 1)])
    old = b.load(weight, [b.out(0).axis(width, 1)])
    nodes.append(b.finish(b.fma(b.f32(-rate), gradient, old)))

    b = FoldBuilder(I32, ())
    nodes.append(b.finish(b.iadd(b.load(step), b.i32(1))))

    return Program(
        tuple(nodes),
        (
            Binding(NODE, 6, F32, (width,)),
            Binding(NODE, 7, I32, ()),
            Binding(NODE, 4, F32, ()),
            Binding(STATE, 0, F32, (width,)),
            Binding(STATE, 4, U8, (3,)),
        ),
    )


def regression_task(steps: int = 11, interval: int = 4, width: int = 300) -> Task:
    """The task on random data; the weight spans two chunks."""
    rows, batch = 40, 8
    random = np.random.default_rng(3)
    inputs = random.standard_normal((rows, width)).astype("<f4")
    truth = random.standard_normal(width).astype("<f4")
    order = random.integers(0, rows, (steps, batch)).astype("<i4")
    return Task.create(
        name="regression",
        seed=3,
        steps=steps,
        interval=interval,
        program=regression_program(width, rows, batch, steps, 1e-3),
        state=[
            (TensorSpec("weight", F32, (width,)), np.zeros(width, "<f4")),
            (TensorSpec("step", I32, ()), np.zeros((), "<i4")),
            (TensorSpec("loss", F32, ()), np.zeros((), "<f4")),
            (TensorSpec("previous", F32, (width,)), np.zeros(width, "<f4")),
            (TensorSpec("frozen", U8, (3,)), np.array([1, 2, 3], "u1")),
        ],
        data=[
            (TensorSpec("inputs", F32, (rows, width)), inputs),
            (TensorSpec("targets", F32, (rows,)), (inputs @ truth).astype("<f4")),
            (TensorSpec("order", I32, (steps, batch)), order),
        ],
        origins=[f"node {index}" for index in range(8)],
        loss_state=2,
    )
