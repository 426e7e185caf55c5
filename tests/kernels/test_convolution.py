"""Convolutions and their gradients, as they are lowered, have the bits of their folds."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest

from protocol.capture.lowering import convolution as lowering
from protocol.capture.lowering.context import Context
from protocol.capture.writing.values import View
from protocol.kernels import Executor, instruction_sets
from protocol.kernels.reference.evaluator import evaluate_node
from protocol.program.body import Value
from protocol.program.builder import FoldBuilder
from protocol.program.isa import DType
from protocol.program.node import Node, Operand, OperandKind
from tests.kernels import shapes
from tests.kernels.nodes import Case, words_of
from tests.kernels.twins import assert_equal_twin, kernel_name, strange_operands


class Recorder:
    """Stands in for the lowering's context: keeps the nodes."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []

    def finish(self, b: FoldBuilder, result: Value) -> View:
        self.nodes.append(b.finish(result))
        node = self.nodes[-1]
        return View.whole(Operand(OperandKind.NODE, len(self.nodes) - 1, node.dtype, node.shape))

    def view(self, source: View) -> View:
        return source


# images, channels, filters, side, kernel, stride, padding, dilation, groups
Geometry = tuple[int, int, int, int, int, int, int, int, int]


def node_of(kind: str, geometry: Geometry) -> Node:
    """The product of a convolution ("forward") or of a gradient ("input", "weight")."""
    n, c, f, side, kernel, stride, pad, dilation, groups = geometry
    out = (side + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1
    context = Recorder()
    ctx = cast(Context, context)
    place = lowering.Geometry.of(2, [stride], [pad], [dilation], groups)

    def view(index: int, *shape: int) -> View:
        return View.whole(shapes.tensor(index, DType.F32, *shape))

    image, gradient = view(0, n, c, side, side), view(0, n, f, out, out)
    weight = view(1, f, c // groups, kernel, kernel)
    if kind == "forward":
        lowering.correlate(ctx, image, weight, place, (out, out))
    elif kind == "input":
        lowering.correlate_transposed(ctx, gradient, weight, place, (side, side))
    else:
        image = view(1, n, c, side, side)
        lowering.weight_gradient(ctx, gradient, image, place, weight.shape)
    return context.nodes[0]


GEOMETRIES: dict[str, Geometry] = {
    "3x3": (3, 5, 18, 9, 3, 1, 1, 1, 1),
    "3x3, wide rows": (2, 3, 16, 37, 3, 1, 1, 1, 1),
    "3x3, rows of a vector": (5, 16, 9, 16, 3, 1, 1, 1, 1),
    "3x3, no padding": (4, 17, 8, 10, 3, 1, 0, 1, 1),
    "3x3, stride 2": (3, 16, 9, 16, 3, 2, 1, 1, 1),
    "3x3, stride 2, odd side": (2, 9, 8, 15, 3, 2, 1, 1, 1),
    "5x5, stride 3": (2, 4, 10, 17, 5, 3, 2, 1, 1),
    "1x1": (5, 20, 33, 8, 1, 1, 0, 1, 1),
    "1x1, stride 2": (4, 16, 32, 12, 1, 2, 0, 1, 1),
    "dilation 2": (2, 8, 9, 13, 3, 1, 2, 2, 1),
    "dilation 2, stride 2": (2, 8, 9, 13, 3, 2, 2, 2, 1),
    "two groups": (3, 16, 20, 11, 3, 1, 1, 1, 2),
    "even kernel": (2, 6, 8, 9, 4, 1, 1, 1, 1),
    "padding beyond the kernel": (2, 3, 8, 6, 3, 1, 4, 1, 1),
    "images of one row each way": (9, 12, 16, 3, 3, 1, 1, 1, 1),
}


@pytest.mark.parametrize("kind", ["forward", "input", "weight"])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_convolution_equals_its_twin(name, kind) -> None:
    node = node_of(kind, GEOMETRIES[name])
    assert_equal_twin(node)
    assert_equal_twin(node, strange_operands(node))


@pytest.mark.parametrize("kind", ["forward", "input", "weight"])
def test_convolution_whose_copies_are_cut_equals_its_twin(kind) -> None:
    # Each image alone is more than a copy may be: rows of it are copied at a time.
    assert_equal_twin(node_of(kind, (1, 8, 8, 140, 3, 1, 1, 1, 1)))


def test_weight_gradient_of_images_that_fill_no_block_equals_its_twin(monkeypatch) -> None:
    monkeypatch.setattr(lowering, "float_sum", lambda _ctx, partial, _dims: partial)
    # 40 x 40 positions: 2 images a block, the fourth block holds one and reads zeros.
    node = node_of("weight", (7, 16, 8, 40, 3, 1, 1, 1, 1))
    assert node.shape[0] == 4
    assert_equal_twin(node)


@pytest.mark.parametrize("fill", [0x80000000, 0xFF800000, 0x7FC00000, 0x40F00000])
def test_convolution_adds_its_fill_beyond_the_border(fill) -> None:
    for stride in (1, 2):
        node = node_of("forward", (2, 4, 9, 12, 3, stride, 2, 1, 1))
        loads = [replace(load, fill=fill) for load in node.loads]
        assert_equal_twin(replace(node, loads=tuple(loads)))


@pytest.mark.parametrize("kind", ["forward", "input", "weight"])
def test_small_convolution_of_special_values_equals_reference(kind) -> None:
    node = node_of(kind, (2, 3, 8, 4, 3, 1, 1, 1, 1))
    case = Case(node, strange_operands(node, 5))
    expected = evaluate_node(node, case.elements())
    for isa in instruction_sets():
        for threads in (1, 2, 3):
            assert words_of(Executor(threads, isa, grain=0).run(node, case.operands)) == expected


def sparse(step: int) -> Node:
    """A product whose right factor looks at every ``step``-th place of a plane, mostly outside."""
    b = FoldBuilder(DType.F32, (8, 9, 8), (4,))
    x = b.load(shapes.tensor(0, DType.F32, 8, 4), [b.out(0).axis(8, 4), b.red(0).axis(4, 1)])
    axes = [(b.out(1 + i) * step + b.red(0)).axis(20, (20, 1)[i]) for i in range(2)]
    y = b.load(shapes.tensor(1, DType.F32, 20, 20), axes, fill=0x3F800000)
    return b.finish(b.fma(x, y, b.acc))


@pytest.mark.parametrize(("step", "name"), [(2, "matmul"), (9, "matmul"), (5_000, "outputs")])
def test_copy_too_sparse_to_be_made_is_left_to_the_engine(step, name) -> None:
    node = sparse(step)
    assert kernel_name(node) == name
    if name == "matmul":
        assert_equal_twin(node)
