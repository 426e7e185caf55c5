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
from protocol.program.isa import SIGNATURES, DType, Op, Type
from protocol.program.node import (
    Binding,
    Constant,
    Instruction,
    Node,
    OperandKind,
    Program,
    TensorSpec,
)
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


def cases_of(rng: random.Random, index: int, node: Node) -> list[Case]:
    """The arithmetic and two loads of one term, in bounds if the node allows it."""
    words = tuple(random_word(rng, node.operands[load.operand].dtype.type) for load in node.loads)
    places = [(rng.randrange(node.numel), rng.randrange(node.terms)) for _ in range(20)]
    arithmetic = Case(index, node, *places[0], ARITHMETIC, words)
    loads = [
        Case(index, node, element, term, kind, words)
        for element, term in places
        for kind in range(len(node.loads))
    ]
    inside = [case for case in loads if case.source is not None]
    return [arithmetic, *rng.sample(inside or loads, min(2, len(inside or loads)))]


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
    cases = [case for i, node in enumerate(nodes) for case in cases_of(rng, 40_000 + i, node)]
    claim = JudgedClaim(chain, LARGEST, cases)
    ratios = []
    for case in cases:
        gas, bound = claim.gas(case), bound_of(case, LARGEST)
        assert gas <= bound, (case, gas, bound)
        ratios.append(bound / gas)
    # What a bound concedes is lost to honest programs.
    assert max(ratios) <= 1.2, max(ratios)


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


def chain_of(op: Op, count: int) -> Node:
    """A fold whose body applies an instruction again and again, on words that keep it busy."""
    constants = (Constant(Type.F, 0x3F7FFFF5), Constant(Type.F, 0x3A83126F))
    first = 1 + len(constants) + 1
    values = [0, *range(first, first + count - 1)]
    body = [Instruction(op, *(value, 1, 2)[: len(SIGNATURES[op].arguments)]) for value in values]
    body[-1] = Instruction(Op.FMA, values[-1], 1, 2)
    return Node(DType.F32, (), (4,), 0, (), (), (), constants, tuple(body), first + count - 1)


def join_of(count: int) -> Node:
    """As many loads of data as ``count``, each of which may skip the term."""
    node = heavy_node(random.Random(count), instructions=0, loads=count, sources=1, skip=1)
    operands = [
        replace(operand, kind=OperandKind.DATA, index=slot)
        for slot, operand in enumerate(node.operands)
    ]
    return replace(node, operands=tuple(operands))


FAMILIES: dict[str, tuple[Callable[[int], Node], int]] = {
    "div": (lambda count: chain_of(Op.DIV, count), 128),
    "fma": (lambda count: chain_of(Op.FMA, count), 128),
    "sqrt": (lambda count: chain_of(Op.SQRT, count), 128),
    "loads": (join_of, 16),
}


def accepts(program: Program, data: Sequence[TensorSpec]) -> bool:
    """Whether validation lets the program pass; every other reason than gas is a mistake here."""
    try:
        validate_program(program, data)
    except InvalidProgram as error:
        if error.rule != "judgement gas":
            raise
        return False
    return True


@pytest.mark.parametrize("family", FAMILIES)
def test_validation_draws_the_line_where_judgements_reach_the_cap(
    chain: EmbeddedChain, family: str
) -> None:
    build, most = FAMILIES[family]

    def program_of(count: int) -> tuple[Program, list[TensorSpec]]:
        node = build(count)
        binding = Binding(OperandKind.NODE, 0, node.dtype, node.shape)
        data = [TensorSpec(str(i), o.dtype, o.shape) for i, o in enumerate(node.operands)]
        return Program((node,), (binding,)), data

    def judge(count: int) -> int:
        program, data = program_of(count)
        rng = random.Random(count)
        cases = cases_of(rng, 0, program.nodes[0])
        # The second term: both leaves are opened.
        cases[0] = replace(cases[0], term=1)
        claim = JudgedClaim(chain, TreeSizes.of(program, data), cases)
        return max(claim.gas(case) for case in cases)

    accepted = max(count for count in range(1, most + 1) if accepts(*program_of(count)))
    assert 0.9 * CAP <= judge(accepted) <= CAP
    assert judge(most) > CAP, "the family does not reach the cap"
    assert not accepts(*program_of(most))
