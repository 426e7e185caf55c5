"""The CUDA kernels of every kind of node give the reference's bits, run on the CPU by the shim."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from protocol.kernels.cuda.fold import associative_operation, plain_kernel
from protocol.kernels.cuda.generate import kernel_of
from protocol.kernels.cuda.product import Tile, product_kernel
from protocol.kernels.cuda.source import OUT, KernelSource, translation_unit
from protocol.kernels.executor import Executor
from protocol.kernels.reference.evaluator import evaluate_node
from protocol.program.isa import DType, Op
from tests.kernels import shapes
from tests.kernels.cuda.cases import NODES, all_kernels, named_case, opcode, random_cases
from tests.kernels.cuda.shim.host import HostDevice, HostShimExecutor
from tests.kernels.equality.cases import FAMILIES, SHAPELESS, check, make_case
from tests.kernels.nodes import Case, words_of

ALL = [*FAMILIES, *SHAPELESS]
EXTREMES = {Op.MIN: 0x7F800000, Op.MAX: 0xFF800000, Op.IADD: 0, Op.IMAX: 0x80000000}
SCALE = 40


@pytest.fixture(scope="module", params=[False, True], ids=["in order", "reversed"])
def executor(request) -> HostShimExecutor:
    """All named nodes, compiled once; threads of a block in both orders."""
    return HostShimExecutor(NODES.values(), request.param)


def run_kernel(device: HostDevice, kernel: KernelSource, case: Case) -> list[int]:
    """The words that a kernel stores, its scratch and output full of rubbish before."""
    out = np.full(case.node.shape, 77, case.node.dtype.numpy)
    scratch = np.full(max(1, kernel.scratch_words), 0xDEADBEEF, np.uint32)
    arrays = [np.array(operand) for operand in case.operands]
    for launch in kernel.launches:
        places = [
            arrays[a] if isinstance(a, int) else out if a == OUT else scratch
            for a in launch.arguments
        ]
        device.launch(launch.function, launch.blocks, [array.ctypes.data for array in places])
    return words_of(out)


@pytest.mark.parametrize("name", NODES)
@pytest.mark.parametrize("special", [False, True], ids=["ordinary", "special"])
def test_kernel_named_nodes_equals_reference(executor, name, special) -> None:
    case = named_case(name, special)
    got = executor.run(case.node, case.operands)
    assert words_of(got) == evaluate_node(case.node, case.elements())


def test_kernel_every_one_of_random_nodes_equals_reference() -> None:
    cases = random_cases(SCALE)
    kernels = [all_kernels(case.node) for case in cases]
    device = HostDevice(reversed_order=True)
    device.load([translation_unit(kernel for several in kernels for kernel in several)], ())
    ran: Counter[str] = Counter()
    for case, several in zip(cases, kernels, strict=True):
        expected = evaluate_node(case.node, case.elements())
        for kernel in several:
            assert run_kernel(device, kernel, case) == expected, kernel.text
            ran["scatter" if len(kernel.launches) > 1 else kernel.includes[-1]] += 1
    assert min(ran["scatter"], ran["ops.cuh"], ran["product.cuh"]) >= 10, ran


@pytest.mark.parametrize(
    ("seeds", "most"),
    [
        (range(2), 40),
        pytest.param(range(100, 130), 40, marks=pytest.mark.slow),
        pytest.param(range(200, 206), 130, marks=pytest.mark.slow),
    ],
)
def test_kernel_families_that_lowering_makes_equals_reference(seeds, most) -> None:
    cases = [make_case(family, seed, most) for family in ALL for seed in seeds]
    executor = HostShimExecutor((named.case.node for named in cases), reversed_order=True)
    for named in cases:
        check(named, terms=400, runs={"cuda on the host": executor.run})


def test_kernel_every_opcode_on_special_words_equals_reference() -> None:
    cases = [opcode(op) for op in Op]
    executor = HostShimExecutor(case.node for case in cases)
    for op, case in zip(Op, cases, strict=True):
        got = words_of(executor.run(case.node, case.operands))
        assert got == evaluate_node(case.node, case.elements()), op.name


@pytest.mark.parametrize("tile", [Tile(128, 8, 8), Tile(64, 8, 4), Tile(32, 8, 2)], ids=str)
def test_product_kernel_tails_of_each_tile_equals_cpu(tile) -> None:
    # Whole tiles and tails of rows, columns and terms; both ways to store each factor.
    nodes = [
        shapes.product(131, 257, 8, transpose=(True, False)),
        shapes.product(2, 129, 17, transpose=(False, True)),
        shapes.product(97, 8, 4, 2),
        shapes.convolution(2, 3, 11, 9),
    ]
    kernels = [product_kernel(node, tile) for node in nodes]
    assert None not in kernels
    device = HostDevice()
    device.load([translation_unit(kernel for kernel in kernels if kernel)], ())
    for node, kernel in zip(nodes, kernels, strict=True):
        generator = np.random.default_rng(3)
        operands = [generator.standard_normal(o.shape).astype("<f4") for o in node.operands]
        operands[0].reshape(-1)[::7] = np.nan
        operands[1].reshape(-1)[::11] = -np.inf
        operands[0].reshape(-1)[1::5] = 2.0**-140
        assert kernel is not None
        expected = words_of(Executor(2).run(node, operands))
        assert run_kernel(device, kernel, Case(node, operands)) == expected


def test_x01_term_of_zero_is_not_skipped(executor) -> None:
    # fma(+0, 1, -0) is +0; with an infinite weight it is NaN. Skipping the term would keep -0.
    node = NODES["product"]
    left, right = np.zeros((13, 45), "<f4"), np.ones((45, 37), "<f4")
    left[0, 0], right[0, 0] = -(2.0**-100), 2.0**-100  # underflows to -0
    right[44, 1] = np.inf
    out = executor.run(node, [left, right]).view("<u4")
    assert (out[0, 0], out[0, 1], out[1, 1]) == (0, 0x7FC00000, 0x7FC00000)


@pytest.mark.parametrize(
    "name", [name for name in NODES if " row" in name and associative_operation(NODES[name])]
)
def test_shared_kernel_lanes_start_from_what_changes_nothing(name) -> None:
    # Each operation's own extreme as init and in every element: any other start would show.
    node = NODES[name]
    op = associative_operation(node)
    assert op is not None
    extreme = EXTREMES[op]
    nodes = [replace(node, init=init) for init in (extreme, node.init)]
    executor = HostShimExecutor(nodes)
    stored = node.operands[0].dtype
    word = extreme & 0xFF if stored is DType.U8 else extreme
    operand = np.full(node.operands[0].shape, word, f"<u{stored.width}").view(stored.numpy)
    for each in nodes:
        case = Case(each, [operand])
        assert words_of(executor.run(each, [operand])) == evaluate_node(each, case.elements())


def test_product_kernel_terms_are_not_padded(executor) -> None:
    # One more term of zeros, fma(+0, +0, -0), would make +0 of an accumulator that is -0.
    node = replace(NODES["product"], init=0x80000000)
    left, right = np.full((13, 45), -0.0, "<f4"), np.ones((45, 37), "<f4")
    assert (executor.run(node, [left, right]).view("<u4") == 0x80000000).all()


@pytest.mark.parametrize("divisor", [(1 << 31) - 1, (1 << 31) - 3, 3])
def test_plain_kernel_negative_coordinates_with_large_divisors_equals_reference(divisor) -> None:
    # As unsigned words, -2 is twice 2^31 - 1: its quotient would seem to be in bounds.
    b = shapes.FoldBuilder(DType.F32, (12,))
    coordinate = (b.out(0) + -8) // divisor
    x = b.load(shapes.tensor(0, DType.F32, 4), [coordinate.axis(4, 1)], fill=0x42280000)
    case = Case(b.finish(x), [np.arange(1, 5, dtype="<f4")])
    got = HostShimExecutor().run(case.node, case.operands)
    assert words_of(got) == evaluate_node(case.node, case.elements())


def test_kernel_of_each_pattern_is_the_special_one() -> None:
    def kinds(name: str) -> tuple[bool, bool, bool]:
        kernel = kernel_of(NODES[name])
        return "product.cuh" in kernel.includes, len(kernel.launches) > 1, "part[" in kernel.text

    for name in ("product", "product, batched", "product of views", "convolution"):
        assert kinds(name) == (True, False, False), name
    for name in ("embedding gradient", "scatter on the last coordinate"):
        assert kinds(name) == (False, True, False), name
    for name in ("largest of a row", "sum of a row of integers", "largest of a row of bytes"):
        assert kinds(name) == (False, False, True), name
    # A sum of floats has one order: its terms are never dealt out to threads.
    for name in ("total", "lane sum, padded", "elementwise", "largest of a growing sum"):
        assert kinds(name) == (False, False, False), name
    for name in ("product, one row", "product of gathered rows", "product that skips"):
        assert kinds(name) == (False, False, False), name


def test_kernel_of_equal_nodes_is_shared_whatever_they_read() -> None:
    node = NODES["elementwise"]
    others = tuple(replace(operand, index=operand.index + 9) for operand in node.operands)
    assert kernel_of(replace(node, operands=others)).name == kernel_of(node).name
    assert kernel_of(replace(node, init=1)).name != kernel_of(node).name


def test_plain_kernel_of_contiguous_tensors_divides_no_coordinate() -> None:
    b = shapes.FoldBuilder(DType.F32, (4, 5, 6))
    axes = [b.out(0).axis(4, 30), b.out(1).axis(5, 6), b.out(2).axis(6, 1)]
    node = b.finish(b.neg(b.load(shapes.tensor(0, DType.F32, 4, 5, 6), axes)))
    text = plain_kernel(node).text
    assert "p0[c2]" in text
    assert "%" not in text


def test_executor_scratch_of_one_node_serves_the_next() -> None:
    nodes = [shapes.scatter_columns(6, columns, 50) for columns in (20, 30, 5)]
    executor = HostShimExecutor(nodes).cuda
    for seed, node in enumerate(nodes):
        generator = np.random.default_rng(seed)
        operands = [generator.integers(0, 30, o.shape, dtype=np.uint8) for o in node.operands]
        got = executor.run(node, [torch.from_numpy(operand) for operand in operands])
        expected = Executor(1).run(node, operands)
        np.testing.assert_array_equal(got.numpy(), expected)
