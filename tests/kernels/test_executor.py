"""The CPU engine gives the reference evaluator's bits, whatever the threads and instructions."""

from __future__ import annotations

import multiprocessing
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from protocol.kernels import Executor, instruction_sets
from protocol.kernels.executor import MOST_TABLE_BYTES
from protocol.kernels.reference.evaluator import evaluate_node, fold_terms
from protocol.program.builder import FoldBuilder
from protocol.program.canonical import decode_node, encode_node
from protocol.program.isa import DType, Op
from protocol.program.node import Node, Operand, OperandKind, numel
from protocol.program.validate import validate_node
from tests.kernels import shapes
from tests.kernels.nodes import Case, random_case, random_product, random_tensor, words_of

# Every instruction set of this machine, several thread counts; grain 0: tiny nodes are shared too.
EXECUTORS = [
    Executor(threads, isa, grain=0)
    for threads, isa in zip((1, 2, 5), (instruction_sets() * 3)[:3], strict=True)
]


def assert_all_equal_reference(case: Case) -> None:
    expected = evaluate_node(case.node, case.elements())
    for executor in EXECUTORS:
        got = words_of(executor.run(case.node, case.operands))
        assert got == expected, f"threads {executor.threads}, {executor.isa}"


@pytest.mark.parametrize(
    ("first", "outputs", "terms"),
    [(0, 60, 8), (1000, 60, 8), (2000, 900, 4), (3000, 6, 700), (4000, 300, 40)],
)
def test_executor_random_nodes_equals_reference(first, outputs, terms) -> None:
    for seed in range(first, first + (500 if outputs == 60 else 60)):
        assert_all_equal_reference(random_case(seed, outputs, terms))


def test_executor_random_products_equals_reference() -> None:
    for seed in range(150):
        assert_all_equal_reference(random_product(seed))


def test_random_nodes_cover_every_opcode_and_kind_of_load() -> None:
    seen: Counter[object] = Counter()
    for seed in range(500):
        node = random_case(seed).node
        seen.update({instruction.op for instruction in node.instructions})
        seen.update({"guard"} if node.guards else set())
        for load in node.loads:
            seen["skip"] += load.skip
            seen["divisor"] += any(axis.divisor > 1 for axis in load.axes)
            seen["indirect"] += any(t.source & 0x80 for axis in load.axes for t in axis.terms)
    kinds = [*Op, "guard", "skip", "divisor", "indirect"]
    assert min(seen[kind] for kind in kinds) >= 20, seen


def test_fold_random_nodes_equals_reference_leaves() -> None:
    for seed in range(200):
        case = random_case(seed, 20, 300 if seed % 4 == 0 else 10)
        element = seed % case.node.numel
        leaves = fold_terms(case.node, case.elements(), element)
        for executor in EXECUTORS:
            rows = executor.fold(case.node, case.operands, element)
            assert rows.tolist() == [[accumulator, *words] for accumulator, words in leaves]


SHAPES = {
    "product": shapes.product(13, 37, 300),
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
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("special", [False, True], ids=["ordinary", "special"])
def test_executor_lowered_shapes_equals_reference(name, special) -> None:
    node = SHAPES[name]
    rng = random.Random(name)
    operands = [random_tensor(rng, operand) for operand in node.operands]
    if not special:
        generator = np.random.default_rng(7)
        operands = [
            generator.standard_normal(o.shape).astype("<f4")
            if o.dtype is DType.F32
            else generator.integers(0, 20, o.shape).astype(o.dtype.numpy)
            for o in node.operands
        ]
    assert_all_equal_reference(Case(node, operands))


def test_x01_term_of_zero_is_not_skipped() -> None:
    # fma(+0, 1, -0) is +0; with an infinite weight it is NaN. Skipping the term would keep -0.
    node = shapes.product(8, 8, 4)
    left, right = np.zeros((8, 4), "<f4"), np.ones((4, 8), "<f4")
    left[0, 0], right[0, 0] = -(2.0**-100), 2.0**-100  # underflows to -0
    right[3, 1] = np.inf
    for executor in EXECUTORS:
        out = executor.run(node, [left, right]).view("<u4")
        assert (out[0, 0], out[0, 1], out[1, 1]) == (0, 0x7FC00000, 0x7FC00000)
    assert_all_equal_reference(Case(node, [left, right]))


def test_executor_subnormals_are_kept_when_the_caller_flushes_them() -> None:
    node = shapes.product(8, 8, 4)
    left = np.full((8, 4), 2.0**-140, "<f4")
    right = np.full((4, 8), 0.5, "<f4")
    flushing = torch.set_flush_denormal(True)
    try:
        outs = [executor.run(node, [left, right]) for executor in EXECUTORS]
        flushed = torch.tensor([2.0**-140]) * 1.0
        assert (flushed.item() == 0.0) == flushing, "the caller's own mode is put back"
    finally:
        torch.set_flush_denormal(False)
    for out in outs:
        assert (out.view("<u4") == 1024).all()


@pytest.mark.parametrize("shape", [(3, 70_000, 2), (70_000, 2, 3), (5, 7, 4_000)])
def test_executor_permuted_copy_of_a_long_tensor_equals_numpy(shape) -> None:
    b = FoldBuilder(DType.F32, shape[::-1])
    strides = (shape[1] * shape[2], shape[2], 1)
    axes = [b.out(2 - i).axis(shape[i], strides[i]) for i in range(3)]
    node = b.finish(b.load(shapes.tensor(0, DType.F32, *shape), axes))
    values = np.arange(np.prod(shape), dtype="<f4").reshape(shape)
    for executor in EXECUTORS:
        assert (executor.run(node, [values]) == values.transpose(2, 1, 0)).all()


def test_executor_several_callers_at_once_and_a_fork_get_the_same_bits() -> None:
    cases = [random_case(seed, 900, 4) for seed in range(40)]
    executor = Executor(3, grain=0)

    def run(case: Case) -> list[int]:
        return words_of(executor.run(case.node, case.operands))

    expected = [run(case) for case in cases]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(run, cases)) == expected
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(_run_all, (cases,)) == expected


def _run_all(cases: list[Case]) -> list[list[int]]:
    executor = Executor(3, grain=0)
    return [words_of(executor.run(case.node, case.operands)) for case in cases]


def test_executor_writes_into_out_and_refuses_what_does_not_fit() -> None:
    node = shapes.adam_like(10)
    executor = Executor(1)
    operands = [np.ones(10, "<f4") for _ in range(4)]
    out = np.zeros(10, "<f4")
    assert executor.run(node, operands, out) is out
    assert (out != 0).all()
    for wrong, message in [
        (([*operands[:3], np.ones(9, "<f4")], out), "9 elements, the node says 10"),
        (([*operands[:3], np.ones(10, "<i4")], out), "dtype differs"),
        ((operands[:3], out), "3 operands, the node has 4"),
        ((operands, operands[2]), "overlaps operand 2"),
        ((operands, np.zeros(9, "<f4")), "has shape"),
    ]:
        with pytest.raises(ValueError, match=message):
            executor.run(node, *wrong)
    with pytest.raises(ValueError, match="element 10 of 10"):
        executor.fold(node, operands, 10)
    with pytest.raises(ValueError, match="not available"):
        Executor(1, isa="abacus")


def test_engine_survives_any_bytes_that_decode() -> None:
    # One byte changed, taken away or added: refused or computed, never a crash.
    rng = random.Random(5)
    outcomes: Counter[str] = Counter()
    for seed in range(400):
        case = random_case(seed, 30, 6)
        data = bytearray(encode_node(case.node))
        kind = rng.randrange(4)
        if kind == 0:
            del data[rng.randrange(len(data)) :]
        elif kind == 1:
            data.insert(rng.randrange(len(data)), rng.getrandbits(8))
        else:
            for _ in range(rng.randint(1, 3)):
                data[rng.randrange(len(data))] = rng.choice((0, 1, 2, 127, 128, 255))
        try:
            EXECUTORS[seed % 3].run(case.node, case.operands, encoded=bytes(data))
            outcomes["computed"] += 1
        except ValueError:
            outcomes["refused"] += 1
    assert min(outcomes["computed"], outcomes["refused"]) > 20, outcomes


def test_engine_takes_every_node_that_validation_accepts() -> None:
    # Otherwise a requester could publish a task that no solver can compute.
    rng = random.Random(6)
    encodings = [encode_node(node) for node in SHAPES.values()]
    accepted = 0
    while accepted < 100:
        data = bytearray(rng.choice(encodings))
        for _ in range(rng.randint(1, 3)):
            data[rng.randrange(len(data))] = rng.choice((0, 1, 2, 3, 5, 8, 127, 128, 255))
        try:
            node = decode_node(bytes(data))
            validate_node(node)
        except ValueError:
            continue
        sizes = [node.numel * node.terms, *(numel(operand.shape) for operand in node.operands)]
        if max(sizes) > 1 << 20:
            continue
        accepted += 1
        EXECUTORS[0].run(node, [random_tensor(rng, operand) for operand in node.operands])


def _tall_product(rows: int, salt: int = 0) -> tuple[Node, list[np.ndarray]]:
    """A product whose tables are far larger than what it reads: rows beyond the third read 0."""
    b = FoldBuilder(DType.F32, (rows, 8), (4,))
    small = Operand(OperandKind.STATE, salt, DType.F32, (3,))
    left = b.load(small, [b.out(0).axis(3, 1)])
    right = b.load(small, [b.out(1).axis(3, 1)])
    return b.finish(b.fma(left, right, b.acc)), [np.array([2, 3, 5], np.float32)]


def test_product_whose_tables_exceed_the_limit_is_computed_without_them_and_alike() -> None:
    node, operands = _tall_product(1000)
    executor = Executor(1)
    kernel = executor.kernel(node)
    assert kernel.name == "matmul"
    assert kernel.table_bytes > 1000 * 8
    without = executor.kernel(node, most_table_bytes=kernel.table_bytes - 1)
    assert (without.name, without.table_bytes) == ("outputs", 0)
    plain = np.empty(node.shape, np.float32)
    without.run(operands, plain, 1)
    np.testing.assert_array_equal(words_of(executor.run(node, operands)), words_of(plain))


def test_node_of_two_billion_rows_gets_no_tables() -> None:
    node, _ = _tall_product((1 << 28) - 1)
    validate_node(node)
    assert Executor(1).kernel(node).name == "outputs"


def test_executor_keeps_no_more_tables_than_it_may() -> None:
    executor = Executor(1)
    sizes = [executor.kernel(_tall_product(500_000, salt)[0]).table_bytes for salt in range(20)]
    assert sum(sizes) > MOST_TABLE_BYTES
    kept = sum(kernel.table_bytes for kernel in executor._kernels.values())
    assert kept <= MOST_TABLE_BYTES + max(sizes)
