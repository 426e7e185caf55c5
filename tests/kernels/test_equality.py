"""Every kernel, instruction set and number of threads gives the reference's bits.

Families of nodes x odd shapes x special values (tests/kernels/equality/). The quick form runs with
every change, the long one with more and larger cases among the slow tests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import product

import numpy as np
import pytest

from protocol.kernels import Executor, instruction_sets
from protocol.kernels.jit.errors import Unsupported
from protocol.kernels.reference.evaluator import fold_terms
from protocol.program.builder import FoldBuilder
from protocol.program.canonical import decode_node, encode_node
from protocol.program.isa import SIGNATURES, DType, Op
from protocol.program.node import LOADED_WORD, Operand, OperandKind
from tests.kernels.equality.cases import FAMILIES, SHAPELESS, Named, check, make_case
from tests.kernels.equality.executors import THREADS, Run, compilers, executors
from tests.kernels.nodes import FLOAT_WORDS, FOREIGN_NANS, INTEGER_WORDS, Case

ALL = [*FAMILIES, *SHAPELESS]
NEVER_COMPILED = ("scatter", "scatter_inner")  # guards: the C++ engine scatters
RUNS = executors()
COMPILED = compilers()


def test_executors_are_every_instruction_set_with_every_number_of_threads() -> None:
    for isa in instruction_sets():
        for threads in THREADS:
            assert f"{isa}, threads {threads}" in RUNS


@pytest.mark.parametrize("family", ALL)
def test_kernels_on_odd_shapes_and_special_values_equal_the_reference(family) -> None:
    for seed in range(40):
        check(make_case(family, seed, most=40), terms=800, runs=RUNS)


@pytest.mark.parametrize("op", list(Op), ids=lambda op: op.name)
def test_every_instruction_on_every_pair_of_special_words_equals_the_reference(op) -> None:
    floats = [*FLOAT_WORDS, *(word ^ 0x80000000 for word in FLOAT_WORDS[:-1]), *FOREIGN_NANS]
    words = [list({*INTEGER_WORDS, *floats}), floats]
    types = SIGNATURES[op].arguments
    columns = np.array(list(product(*(words[kind] for kind in types[:2]))), np.uint32).T
    columns = [*columns, np.random.default_rng(op).permutation(columns[-1])][: len(types)]
    b = FoldBuilder(DType.F32 if SIGNATURES[op].result else DType.I32, (len(columns[0]),))
    arguments = [
        b.load(
            Operand(OperandKind.STATE, i, DType.F32 if kind else DType.I32, b.shape),
            [b.out(0).axis(b.shape[0], 1)],
        )
        for i, kind in enumerate(types)
    ]
    node = b.finish(b.emit(op, *arguments))
    arrays = [c.view(o.dtype.numpy) for c, o in zip(columns, node.operands, strict=True)]
    check(Named(op.name, 0, 0, Case(node, arrays)), terms=node.numel, runs={**RUNS, **COMPILED})


@pytest.mark.slow
@pytest.mark.parametrize("family", ALL)
def test_kernels_on_many_and_larger_cases_equal_the_reference(family) -> None:
    for seed in range(1_000, 1_200):
        check(make_case(family, seed, most=40), terms=4_000, runs=RUNS)
    for seed in range(2_000, 2_040):
        check(make_case(family, seed, most=130), terms=10_000, runs=RUNS)
    for seed in range(3_000, 3_004):
        check(make_case(family, seed, most=521), terms=10_000, runs=RUNS)


def check_compiled(family: str, seeds: range, runs: Mapping[str, Run], terms: int) -> int:
    """How many of the cases there is machine code for; the rest is the engine's."""
    compiled = 0
    for seed in seeds:
        try:
            check(make_case(family, seed, most=40), terms, runs)
        except Unsupported:
            continue
        compiled += 1
    return compiled


@pytest.mark.skipif(not COMPILED, reason="no machine code for the baseline alone")
@pytest.mark.parametrize("family", ALL)
def test_machine_code_on_odd_shapes_and_special_values_equals_the_reference(family) -> None:
    best = {name: run for name, run in COMPILED.items() if instruction_sets()[0] in name}
    compiled = check_compiled(family, range(500, 502), best, terms=400)
    assert (compiled == 0) == (family in NEVER_COMPILED) or family in SHAPELESS


@pytest.mark.slow
@pytest.mark.skipif(not COMPILED, reason="no machine code for the baseline alone")
@pytest.mark.parametrize("family", ALL)
def test_machine_code_on_many_cases_equals_the_reference(family) -> None:
    compiled = check_compiled(family, range(5_000, 5_060), COMPILED, terms=2_000)
    assert compiled > 20 or family in NEVER_COMPILED


@pytest.mark.parametrize("family", ALL)
def test_fold_of_single_elements_equals_the_reference_leaves(family) -> None:
    for seed in range(5):
        named = make_case(family, seed, most=17)
        node = named.case.node
        for element in {0, node.numel - 1, node.numel // 2}:
            leaves = fold_terms(node, named.case.elements(), element)
            for isa in instruction_sets():
                rows = Executor(1, isa).fold(node, named.case.operands, element)
                assert rows.tolist() == [[accumulator, *words] for accumulator, words in leaves], (
                    f"{named}, element {element}, {isa}"
                )


def test_families_cover_every_opcode_and_kind_of_load() -> None:
    seen: Counter[object] = Counter()
    for family in FAMILIES:
        for seed in range(40):
            node = make_case(family, seed, most=40).case.node
            assert decode_node(encode_node(node)) == node
            seen.update({instruction.op for instruction in node.instructions})
            seen.update({"u8": node.dtype is DType.U8, "i32": node.dtype is DType.I32})
            seen.update({"guard": bool(node.guards), "two guards": len(node.guards) > 1})
            axes = [axis for load in node.loads for axis in load.axes]
            seen.update(
                {
                    "one element": node.numel == 1,
                    "many terms": node.terms > 256,
                    "skip": any(load.skip for load in node.loads),
                    "divisor": any(axis.divisor > 1 for axis in axes),
                    "word": any(t.source & LOADED_WORD for axis in axes for t in axis.terms),
                    "zero stride": any(not axis.terms for axis in axes) or not axes,
                }
            )
    assert min(seen[op] for op in Op) >= 3, seen
    assert min(seen.values()) >= 3, seen


def test_check_names_the_case_and_the_element_of_a_wrong_bit() -> None:
    named = make_case("product", 3, most=40)
    honest = RUNS[next(iter(RUNS))]

    def liar(node, operands):
        out = honest(node, operands).copy()
        out.reshape(-1).view(np.uint32)[-1] ^= 1
        return out

    with pytest.raises(AssertionError, match=r"make_case\('product', seed=3, most=40\)\nliar") as e:
        check(named, runs={"honest": honest, "liar": liar})
    assert f"element {named.case.node.numel - 1}" in str(e.value)


def test_make_case_is_the_same_every_time() -> None:
    first, again = (make_case("scatter", 5, most=40) for _ in range(2))
    assert isinstance(first, Named)
    assert encode_node(first.case.node) == encode_node(again.case.node)
    for a, b in zip(first.case.operands, again.case.operands, strict=True):
        assert a.tobytes() == b.tobytes()
