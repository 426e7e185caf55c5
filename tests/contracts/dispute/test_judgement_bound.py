"""The static bound of a judgement's gas against real judgements on the real contracts."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from protocol.chain.embedded import EmbeddedChain
from protocol.dispute.state import ARITHMETIC
from protocol.program import cost
from protocol.program.canonical import encode_node
from protocol.program.cost import TreeSizes
from protocol.program.isa import DType, Op
from protocol.program.node import Binding, Node, OperandKind, Program, TensorSpec
from protocol.program.validate import InvalidProgram, Limits, validate_node, validate_program
from tests.contracts.dispute.judged_claim import Case, JudgedClaim
from tests.heavy_nodes import heavy_node
from tests.random_nodes import random_node, random_word

LARGEST = TreeSizes(nodes=65_536, state=65_536, data=65_536)
CAP = Limits().judgement_gas
OPERANDS = 20
"""Numbers of operands that each node may use: the tensors of two nodes must not be the same."""

Build = Callable[[random.Random], Node]

HEAVY: dict[str, Build] = {
    "128 div": lambda rng: heavy_node(rng, ops=(Op.DIV,), loads=0, dtype=DType.F32),
    "128 sqrt and fma": lambda rng: heavy_node(rng, ops=(Op.SQRT, Op.FMA), loads=0),
    "128 of everything": lambda rng: heavy_node(rng, loads=2),
    "16 loads": lambda rng: heavy_node(rng, instructions=0, skip=0),
    "16 loads that may be skipped": lambda rng: heavy_node(rng, instructions=0, skip=1),
    "8 axes": lambda rng: heavy_node(rng, instructions=0, loads=5, axes=8, sources=1),
    "16 sources": lambda rng: heavy_node(
        rng, instructions=0, loads=4, axes=4, sources=16, rank=8, skip=1
    ),
    "rank 8": lambda rng: heavy_node(rng, instructions=20, loads=8, rank=8, axes=1),
    "deep trees": lambda rng: heavy_node(rng, instructions=10, loads=2, deep=True),
    "everything deep": lambda rng: heavy_node(rng, loads=12, axes=4, deep=True),
    "nearly 4,096 bytes": lambda rng: heavy_node(rng, axes=6, sources=1, rank=4),
}


def cases_of(rng: random.Random, index: int, node: Node, *, acquitted: bool = True) -> list[Case]:
    """The arithmetic of a term and two loads, in bounds if the node allows it.

    To acquit is dearer than to convict: part of the bond is burned.
    """
    words = tuple(random_word(rng, node.operands[load.operand].dtype.type) for load in node.loads)
    places = [(rng.randrange(node.numel), rng.randrange(node.terms)) for _ in range(20)]
    arithmetic = Case(index, node, *places[0], ARITHMETIC, words)
    if acquitted:
        arithmetic = arithmetic.acquitted
    loads = [
        Case(index, node, element, term, kind, words, arithmetic.accumulator)
        for element, term in places
        for kind in range(len(node.loads))
    ]
    inside = [case for case in loads if case.source is not None]
    chosen = rng.sample(inside or loads, min(2, len(inside or loads)))
    return [arithmetic, *(case.acquitted if acquitted else case for case in chosen)]


def bound_of(case: Case, sizes: TreeSizes) -> int:
    """The bound of the judgement of this case's kind."""
    if case.kind == ARITHMETIC:
        return cost.arithmetic_gas(case.node)
    return cost.load_gas(case.node, sizes)


def numbered(nodes: Sequence[Node]) -> list[Node]:
    """The nodes with operands of their own."""
    return [
        replace(
            node,
            operands=tuple(
                replace(operand, index=OPERANDS * number + slot)
                for slot, operand in enumerate(node.operands)
            ),
        )
        for number, node in enumerate(nodes)
    ]


def test_judgement_of_random_nodes_stays_below_its_bound(chain: EmbeddedChain) -> None:
    rng = random.Random(11)
    nodes = numbered([random_node(rng) for _ in range(20)])
    cases = [
        case
        for i, node in enumerate(nodes)
        for case in cases_of(rng, 40_000 + i, node, acquitted=i % 4 != 0)
    ]
    claim = JudgedClaim(chain, LARGEST, cases)
    ratios = []
    for case in cases:
        gas, bound = claim.gas(case), bound_of(case, LARGEST)
        assert gas <= bound, (case, gas, bound)
        if case == case.acquitted and not case.is_skipped:
            ratios.append(bound / gas)
    # What a bound concedes is lost to honest programs.
    assert len(ratios) > 20
    assert max(ratios) <= 1.15, max(ratios)


def test_judgement_of_heavy_nodes_stays_below_its_bound(chain: EmbeddedChain) -> None:
    rng = random.Random(12)
    nodes = numbered([build(rng) for build in HEAVY.values()])
    for name, node in zip(HEAVY, nodes, strict=True):
        validate_node(node, name)
    assert len(encode_node(nodes[-1])) > 3_500
    cases = [case for i, node in enumerate(nodes) for case in cases_of(rng, 40_000 + i, node)]
    claim = JudgedClaim(chain, LARGEST, cases)
    for case in cases:
        name = list(HEAVY)[case.index - 40_000]
        gas, bound = claim.gas(case), bound_of(case, LARGEST)
        assert gas <= bound, (name, case.kind, gas, bound)
        if case.source is not None:
            assert bound <= 1.15 * gas, (name, case.kind, gas, bound)


def busy_node(op: Op, instructions: int) -> Node:
    """Eight loads of data, then a body that keeps an instruction busy with normal numbers."""
    node = heavy_node(
        random.Random(8),
        instructions=instructions,
        ops=(op,),
        loads=8,
        axes=3,
        skip=0,
        dtype=DType.F32,
        reals=(0x3F7FFFF5, 0x3F666666),
    )
    operands = [
        replace(operand, kind=OperandKind.DATA, index=slot)
        for slot, operand in enumerate(node.operands)
    ]
    return replace(node, operands=tuple(operands), guards=())


def program_of(node: Node) -> tuple[Program, list[TensorSpec]]:
    """The program of one node that reads only data."""
    binding = Binding(OperandKind.NODE, 0, node.dtype, node.shape)
    data = [TensorSpec(str(i), o.dtype, o.shape) for i, o in enumerate(node.operands)]
    return Program((node,), (binding,)), data


def accepts(node: Node) -> bool:
    """Whether validation lets the program pass; every other reason than gas is a mistake here."""
    try:
        validate_program(*program_of(node))
    except InvalidProgram as error:
        if error.rule != "judgement gas":
            raise
        return False
    return True


@pytest.mark.parametrize("op", [Op.ADD, Op.DIV, Op.FMA])
def test_validation_draws_the_line_where_judgements_reach_the_cap(
    chain: EmbeddedChain, op: Op
) -> None:
    def judge(node: Node) -> int:
        words = tuple(0x3F733333 if o.dtype is DType.F32 else 5 for o in node.operands)
        # The second term: both leaves are opened.
        case = Case(0, node, 0, 1, ARITHMETIC, words).acquitted
        return JudgedClaim(chain, TreeSizes.of(*program_of(node)), [case]).gas(case)

    most = max(count for count in range(30, 129) if accepts(busy_node(op, count)))
    assert 0.9 * CAP <= judge(busy_node(op, most)) <= CAP
    assert judge(busy_node(op, 128)) > CAP
    assert not accepts(busy_node(op, 128))
