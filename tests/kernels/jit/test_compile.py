"""Compiled regions equal the reference bit for bit, whole and in parts, with every vector width."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from protocol.kernels.executor import Executor
from protocol.kernels.jit.compile import compile_region
from protocol.kernels.jit.errors import Unsupported
from protocol.kernels.reference.evaluator import evaluate_node
from protocol.kernels.region import Region, Source, single
from protocol.program.builder import FoldBuilder
from protocol.program.isa import CANONICAL_NAN, DType
from protocol.program.node import Node
from tests.kernels.jit import regions
from tests.kernels.jit.calling import COMPILED, Tensor, call, empty_buffers, expected, run
from tests.kernels.nodes import FOREIGN_NANS, Case, random_case, random_tensor, words_of
from tests.kernels.shapes import embedding, embedding_gradient, lane_sum, tensor, total

pytestmark = pytest.mark.parametrize("isa", COMPILED)


def inputs_of(region: Region, seed: int) -> dict[int, Tensor]:
    """Random tensors, special values among them, for what comes from outside."""
    rng = random.Random(seed)
    found: dict[int, Tensor] = {}
    for node, sources in zip(region.nodes, region.sources, strict=True):
        for operand, source in zip(node.operands, sources, strict=True):
            if source.buffer is not None and source.buffer not in found:
                found[source.buffer] = random_tensor(rng, operand)
    for number in set(range(region.buffers)) - set(region.outputs):
        found.setdefault(number, np.zeros(1, np.float32))  # made by a builder, read by nobody
    return found


def check(region: Region, isa: str, seed: int) -> None:
    inputs = inputs_of(region, seed)
    rng = random.Random(seed)
    cuts = [rng.randint(0, region.units) for _ in range(rng.randint(0, 2))]
    code = compile_region(region, isa)
    assert run(code, region, inputs, cuts) == expected(region, inputs)


def run_single(case: Case, isa: str, cuts: list[int]) -> list[int]:
    region = single(case.node)
    inputs = dict(enumerate(case.operands))
    return run(compile_region(region, isa), region, inputs, cuts)[len(case.operands)]


def without_guards(seed: int, outputs: int = 60, terms: int = 8) -> Case:
    case = random_case(seed, outputs, terms)
    return replace(case, node=replace(case.node, guards=()))


@pytest.mark.parametrize("block", range(4))
def test_compile_random_nodes_equal_the_reference(isa: str, block: int) -> None:
    for seed in range(12 * block, 12 * block + 12):
        case = without_guards(seed)
        rng = random.Random(seed)
        cuts = [rng.randint(0, single(case.node).units) for _ in range(2)]
        want = evaluate_node(case.node, case.elements())
        assert run_single(case, isa, cuts) == want, f"seed {seed}"


@pytest.mark.slow
@pytest.mark.parametrize("block", range(10))
def test_compile_many_random_nodes_equal_the_baseline_engine(isa: str, block: int) -> None:
    engine = Executor(threads=1, isa="baseline")
    for seed in range(10_000 + 60 * block, 10_060 + 60 * block):
        case = without_guards(seed, outputs=700, terms=40)
        want = words_of(engine.run(case.node, case.operands))
        assert run_single(case, isa, []) == want, f"seed {seed}"


@pytest.mark.parametrize("shape", [(1, 1), (3, 33), (17, 32), (33, 70), (16, 5)])
def test_compile_softmax_equals_the_reference(isa: str, shape: tuple[int, int]) -> None:
    check(regions.softmax(*shape), isa, seed=1)


@pytest.mark.parametrize("shape", [(1, 33), (17, 64), (5, 70)])
def test_compile_layer_norm_equals_the_reference(isa: str, shape: tuple[int, int]) -> None:
    check(regions.layer_norm(*shape), isa, seed=2)
    check(regions.layer_norm_backward(*shape), isa, seed=3)


@pytest.mark.parametrize("shape", [(2, 3, 5), (4, 1, 33), (3, 5, 16)])
def test_compile_batch_norm_equals_the_reference(isa: str, shape: tuple[int, int, int]) -> None:
    check(regions.batch_norm(*shape), isa, seed=4)


@pytest.mark.parametrize("count", [1, 15, 16, 37, 100])
def test_compile_flat_chain_equals_the_reference(isa: str, count: int) -> None:
    check(regions.gelu_chain(count), isa, seed=5)
    check(regions.adamw(count), isa, seed=6)


@pytest.mark.parametrize("block", range(3))
def test_compile_random_chains_equal_the_reference(isa: str, block: int) -> None:
    for seed in range(10 * block, 10 * block + 10):
        check(regions.random_chain(seed), isa, seed)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(8))
def test_compile_many_random_chains_equal_the_reference(isa: str, block: int) -> None:
    for seed in range(1000 + 50 * block, 1050 + 50 * block):
        check(regions.random_chain(seed), isa, seed)


def test_compile_update_in_place_reads_before_it_writes(isa: str) -> None:
    region = regions.adamw(77)
    inputs = inputs_of(region, 7)
    want = expected(region, inputs)
    apart = [inputs[number] for number in range(5)]
    p, g, m, v, row = (array.copy() for array in apart)
    call(compile_region(region, isa), [p, g, m, v, row, p, m, v], 0, 77)
    assert [words_of(a) for a in (p, m, v)] == [want[5], want[6], want[7]]


def test_compile_threads_with_their_own_scratch_do_not_meet(isa: str) -> None:
    region = regions.layer_norm(240, 33)
    inputs = inputs_of(region, 13)
    code = compile_region(region, isa)
    alone = run(code, region, inputs)
    buffers = empty_buffers(region, inputs)
    with ThreadPoolExecutor(4) as pool:
        parts = [pool.submit(call, code, buffers, at, at + 5) for at in range(0, 240, 5)]
        for part in parts:
            part.result()
    assert {n: words_of(buffers[n]) for n in alone} == alone


def test_compile_units_outside_the_range_stay_untouched(isa: str) -> None:
    region = regions.softmax(20, 33)
    inputs = inputs_of(region, 8)
    out = np.full((20, 33), 7.0, np.float32)
    call(compile_region(region, isa), [inputs[0], out], 5, 11)
    assert (out[:5] == 7.0).all()
    assert (out[11:] == 7.0).all()
    call(compile_region(region, isa), [inputs[0], out], 4, 4)
    assert (out[4] == 7.0).all()


@pytest.mark.parametrize("word", FOREIGN_NANS)
def test_compile_foreign_nan_is_stored_canonical(isa: str, word: int) -> None:
    for count in (1, 16, 19):
        x = np.full(count, word, np.uint32).view(np.float32)
        region = regions.RegionBuilder(count)
        operand = region.buffer(DType.F32, count)
        kept = region.add(regions.pointwise((count,), lambda b, v: b.neg(v), operand))
        made = region.region([kept])
        assert run(compile_region(made, isa), made, {0: x})[1] == [CANONICAL_NAN] * count


@pytest.mark.parametrize(
    "node",
    [
        lane_sum(5, 70),
        lane_sum(33, 64),
        total(1),
        total(100),
        embedding(9, 20, 13),
        *(regions.row_fold(19, n, tensor(0, DType.F32, 19, n), lambda b, a, x: b.add(a, x), 0.0)
          for n in (3, 16, 31, 40)),
    ],
)  # fmt: skip
def test_compile_node_of_lowering_equals_the_reference(isa: str, node: Node) -> None:
    rng = random.Random(9)
    case = Case(node, [random_tensor(rng, operand) for operand in node.operands])
    assert run_single(case, isa, []) == evaluate_node(node, case.elements())


@pytest.mark.parametrize("op", ["max", "min", "iadd", "ior", "iand", "ixor", "imin", "imax"])
def test_compile_associative_fold_over_lanes_equals_the_reference(isa: str, op: str) -> None:
    floating = op in ("max", "min")
    dtype = DType.F32 if floating else DType.I32
    for terms in (15, 16, 33, 150):
        b = FoldBuilder(dtype, (3,), (terms,), init=5 if not floating else 0x80000000)
        axes = [b.out(0).axis(3, terms), b.red(0).axis(terms, 1)]
        word = b.load(tensor(0, dtype, 3, terms), axes)
        node = b.finish(getattr(b, op)(b.acc, word))
        case = Case(node, [random_tensor(random.Random(terms), node.operands[0])])
        assert run_single(case, isa, []) == evaluate_node(node, case.elements())


def test_compile_max_of_zeros_keeps_their_order(isa: str) -> None:
    b = FoldBuilder(DType.F32, (), (40,), init=0x80000000)
    node = b.finish(b.max(b.acc, b.load(tensor(0, DType.F32, 40), [b.red(0).axis(40, 1)])))
    x = np.full(40, -0.0, np.float32)
    assert run_single(Case(node, [x]), isa, []) == [0x80000000]
    x[37] = 0.0
    assert run_single(Case(node, [x]), isa, []) == [0]


def test_compile_concatenation_of_cut_rows_equals_the_reference(isa: str) -> None:
    b = FoldBuilder(DType.F32, (6, 96))
    parts = []
    for i, width in enumerate((32, 48, 16)):
        column = b.out(1) + -(0, 32, 80)[i]
        axes = [b.out(0).axis(6, width), column.axis(width, 1)]
        parts.append(b.bits(b.load(tensor(i, DType.F32, 6, width), axes)))
    node = b.finish(b.from_bits(b.ior(b.ior(parts[0], parts[1]), parts[2])))
    rng = random.Random(10)
    case = Case(node, [random_tensor(rng, operand) for operand in node.operands])
    assert run_single(case, isa, [2]) == evaluate_node(node, case.elements())


def test_compile_guard_is_left_to_the_engine(isa: str) -> None:
    with pytest.raises(Unsupported, match="guard"):
        compile_region(single(embedding_gradient(5, 4, 6)), isa)


def test_compile_units_across_the_dimensions_are_refused(isa: str) -> None:
    node = regions.pointwise((6, 4), lambda b, v: b.neg(v), tensor(0, DType.F32, 6, 4))
    with pytest.raises(Unsupported, match="askew"):
        compile_region(Region((node,), ((Source(buffer=0),),), (1,), 8, 2), isa)


def test_compile_flat_region_reads_its_own_element_or_nothing(isa: str) -> None:
    r = regions.RegionBuilder(37)
    first = r.add(regions.pointwise((37,), lambda b, v: b.neg(v), r.buffer(DType.F32, 37)))
    b = FoldBuilder(DType.F32, (37,))
    word = b.load(first, [b.out(0).axis(37, 0), (b.out(0) + -9).axis(20, 1)], offset=9, fill=5)
    skipped = b.load(first, [(b.out(0) + -3).axis(34, 1)], offset=3, skip=True)
    kept = [first, r.add(b.finish(b.add(word, skipped)))]
    check(r.region(kept), isa, 12)


def test_compile_flat_region_of_shapes_askew_is_refused(isa: str) -> None:
    r = regions.RegionBuilder(24)
    first = r.add(regions.pointwise((4, 6), lambda b, v: b.neg(v), r.buffer(DType.F32, 4, 6)))
    b = FoldBuilder(DType.F32, (6, 4))
    word = b.load(first, [b.out(0).axis(6, 4), b.out(1).axis(4, 1)])
    row = b.load(r.buffer(DType.F32, 6), [b.out(0).axis(6, 1)])
    kept = r.add(b.finish(b.add(word, row)))
    with pytest.raises(Unsupported, match="one loop"):
        compile_region(r.region([kept]), isa)


def test_compile_equal_kinds_share_their_code(isa: str) -> None:
    first, second = compile_region(regions.adamw(100), isa), compile_region(regions.adamw(77), isa)
    assert first.linked is second.linked
    assert first.scratch_bytes == 0
    assert compile_region(regions.softmax(8, 33), isa).scratch_bytes > 0


@pytest.mark.parametrize("columns", [3, 40])
def test_compile_far_constants_and_steep_coefficients_equal_the_reference(
    isa: str, columns: int
) -> None:
    steep = (1 << 31) - 1
    b = FoldBuilder(DType.F32, (11, columns))
    far = b.out(1) * steep + b.out(0) * -steep + 5 * steep  # in bounds where r - c is 5
    near = b.out(0) * steep + -(2 * steep)
    x = tensor(0, DType.F32, 40)
    one = b.load(x, [far.axis(2, 13)], fill=0x3F800000)
    two = b.load(x, [(near // steep).axis(3, 7), b.out(1).axis(columns, 0)], fill=0x40000000)
    node = b.finish(b.add(b.mul(one, b.f32(3.0)), two))
    case = Case(node, [np.arange(40, dtype=np.float32)])
    if columns < 8:
        with pytest.raises(Unsupported, match="apart"):
            run_single(case, isa, [])
    else:
        assert run_single(case, isa, []) == evaluate_node(node, case.elements())
