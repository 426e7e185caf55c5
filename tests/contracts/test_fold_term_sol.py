"""One term of a fold: coordinates, words, guards, skips and addresses, against the reference."""

from __future__ import annotations

import random

import pytest

from protocol.kernels.reference import evaluator
from protocol.kernels.reference.float32 import CANONICAL_NAN, INFINITY, ONE
from protocol.program.canonical import encode_node
from protocol.program.isa import DType, Op, Type
from protocol.program.node import (
    LOADED_WORD,
    Axis,
    Constant,
    Guard,
    Instruction,
    Load,
    Node,
    Operand,
    OperandKind,
    Term,
)
from tests.contracts.revm import RevertedError, Revm
from tests.random_nodes import random_elements, random_node

NODES = 1_200
INT_MIN = 0x80000000


@pytest.fixture(scope="module")
def judge() -> Revm:
    return Revm("Judge")


def _assert_located(judge: Revm, node: Node, element: int, term: int, words: list[int]) -> None:
    coordinates = evaluator.unravel(element, node.shape) + evaluator.unravel(term, node.domain)
    data = encode_node(node)
    for k, load in enumerate(node.loads):
        expected = evaluator.locate(load, coordinates, words)
        found = judge.call("locate", data, element, term, k, words)
        if expected is None:
            assert found == (False, load.fill, 0, 0, 0, 0, 0)
        else:
            operand = node.operands[load.operand]
            size = 1
            for dim in operand.shape:
                size *= dim
            described = (operand.kind, operand.index, operand.dtype, size)
            assert found == (True, load.fill, *described, expected)


@pytest.mark.parametrize("share", range(4))
def test_fold_of_random_nodes_equals_the_reference_term_by_term(judge: Revm, share: int) -> None:
    rng = random.Random(1000 + share)
    for _ in range(NODES // 4):
        node = random_node(rng)
        data = encode_node(node)
        operands = [random_elements(rng, operand) for operand in node.operands]
        element = rng.randrange(node.numel)
        accumulator = node.init
        for term, (after, words) in enumerate(evaluator.fold_terms(node, operands, element)):
            assert judge.call("arithmetic", data, element, term, accumulator, words) == after
            if term == 0:
                _assert_located(judge, node, element, term, words)
            accumulator = after


def test_fold_on_any_claimed_words_equals_the_reference(judge: Revm) -> None:
    # A liar's words need not be those of the operands, nor canonical: the judge is total on them.
    rng = random.Random(2)
    extremes = [INT_MIN, 0x7FFFFFFF, 0xFFFFFFFF, 0xFFC00001, 0x7F800001, 0]
    for _ in range(NODES):
        node = random_node(rng)
        words = [
            rng.choice(extremes) if rng.random() < 0.5 else rng.getrandbits(32) for _ in node.loads
        ]
        element, term = rng.randrange(node.numel), rng.randrange(node.terms)
        previous = rng.getrandbits(32)
        expected = evaluator.fold_term(node, element, term, previous, words)
        got = judge.call("arithmetic", encode_node(node), element, term, previous, words)
        assert got == expected
        _assert_located(judge, node, element, term, words)


def _vector(dtype: DType, size: int, index: int = 0) -> Operand:
    return Operand(OperandKind.STATE, index, dtype, (size,))


def _sum(load: Load, *, guards: tuple[Guard, ...] = (), size: int = 8) -> Node:
    """acc + x over a domain of 8, for 4 outputs."""
    return Node(
        DType.F32,
        (4,),
        (8,),
        operands=(_vector(DType.F32, size), _vector(DType.I32, 8, 1)),
        loads=(load, Load(1, (Axis(8, 1, (Term(1),)),))),
        guards=guards,
        instructions=(Instruction(Op.ADD, 0, 1),),
        result=5,
    )


def test_term_out_of_bounds_without_skip_uses_the_claimed_word(judge: Revm) -> None:
    # -0 plus the fill +0 is +0; a skipped term would have kept -0 (X01).
    load = Load(0, (Axis(8, 1, (Term(1),), const=-1),))
    node, skipping = _sum(load), _sum(Load(0, load.axes, skip=True))
    words = [0, 5]
    assert judge.call("arithmetic", encode_node(node), 0, 0, 0x80000000, words) == 0
    assert judge.call("arithmetic", encode_node(skipping), 0, 0, 0x80000000, words) == 0x80000000
    assert judge.call("arithmetic", encode_node(skipping), 0, 1, 0x80000000, words) == 0


def test_term_with_an_infinite_factor_is_not_skipped(judge: Revm) -> None:
    node = Node(
        DType.F32,
        (),
        (2,),
        operands=(_vector(DType.F32, 2), _vector(DType.F32, 2, 1)),
        loads=tuple(Load(slot, (Axis(2, 1, (Term(0),)),)) for slot in (0, 1)),
        instructions=(Instruction(Op.FMA, 1, 2, 0),),
        result=4,
    )
    assert judge.call("arithmetic", encode_node(node), 0, 0, ONE, [0, INFINITY]) == CANONICAL_NAN


def test_term_whose_guard_fails_keeps_the_accumulator(judge: Revm) -> None:
    node = _sum(Load(0), guards=(Guard(1, 0),))
    data = encode_node(node)
    assert judge.call("arithmetic", data, 3, 0, ONE, [ONE, 3]) == 0x40000000
    assert judge.call("arithmetic", data, 3, 0, ONE, [ONE, 2]) == ONE
    assert judge.call("arithmetic", data, 3, 0, 0xFFC00001, [ONE, 2]) == CANONICAL_NAN


def test_load_with_a_remainder_is_out_of_bounds_for_either_sign(judge: Revm) -> None:
    node = _sum(Load(0, (Axis(8, 1, (Term(1),), const=-3, divisor=2),), fill=ONE))
    found = [judge.call("locate", encode_node(node), 0, term, 0, [0, 0]) for term in range(8)]
    assert [place[-1] if place[0] else None for place in found] == [
        *(None, None, None, 0, None, 1, None, 2)
    ]
    assert all(place[1] == ONE for place in found)


def test_load_at_an_extreme_index_is_out_of_bounds_and_never_reverts(judge: Revm) -> None:
    operands = (_vector(DType.I32, 8), _vector(DType.F32, 8, 1))
    terms = (Term(0, -(1 << 31)), Term(LOADED_WORD, (1 << 31) - 1))
    loads = (Load(0), Load(1, (Axis(8, 1, terms, const=1 << 61, divisor=1),)))
    node = Node(DType.F32, (8,), operands=operands, loads=loads, result=2)
    for index in (INT_MIN, 0x7FFFFFFF, 0xFFFFFFFF, 0, 8):
        found = judge.call("locate", encode_node(node), 7, 0, 1, [index, 0])
        assert found[0] is False
    near = Node(
        DType.F32,
        (8,),
        operands=operands,
        loads=(Load(0), Load(1, (Axis(8, 1, (Term(LOADED_WORD, -1),), const=-1),))),
        result=2,
    )
    assert judge.call("locate", encode_node(near), 0, 0, 1, [0xFFFFFFFF, 0])[-1] == 0
    assert judge.call("locate", encode_node(near), 0, 0, 1, [0xFFFFFFF8, 0])[-1] == 7
    assert judge.call("locate", encode_node(near), 0, 0, 1, [0xFFFFFFF7, 0])[0] is False


def test_coordinates_of_the_body_are_row_major(judge: Revm) -> None:
    shape, domain = (2, 3, 5), (7, 11)
    for coordinate in range(5):
        node = Node(DType.I32, shape, domain, result=1 + coordinate)
        for element, term in ((0, 0), (29, 76), (17, 40)):
            where = evaluator.unravel(element, shape) + evaluator.unravel(term, domain)
            got = judge.call("arithmetic", encode_node(node), element, term, 0, [])
            assert got == where[coordinate]


def test_constants_of_the_body_keep_their_words(judge: Revm) -> None:
    words = [0xFFC00000, 0x80000000, 7]
    for k in range(3):
        constants = tuple(Constant(Type.I, word) for word in words)
        node = Node(DType.I32, (), constants=constants, result=1 + k)
        assert judge.call("arithmetic", encode_node(node), 0, 0, 0, []) == words[k]


@pytest.mark.parametrize(
    ("arguments", "error", "values"),
    [
        ((4, 0, 0, [0, 0]), "ElementOutside", (4, 4)),
        ((2**64 - 1, 0, 0, [0, 0]), "ElementOutside", (2**64 - 1, 4)),
        ((0, 8, 0, [0, 0]), "TermOutside", (8, 8)),
        ((0, 0, 0, [0]), "WordCount", (2, 1)),
        ((0, 0, 0, [0, 0, 0]), "WordCount", (2, 3)),
    ],
)
def test_term_that_does_not_exist_reverts_with_both_values(
    judge: Revm, arguments: tuple[int, int, int, list[int]], error: str, values: tuple[int, int]
) -> None:
    data = encode_node(_sum(Load(0)))
    for function in ("arithmetic", "locate"):
        with pytest.raises(RevertedError) as reverted:
            judge.call(function, data, *arguments)
        assert (reverted.value.error, reverted.value.arguments) == (error, values)


def test_load_that_does_not_exist_reverts_with_both_values(judge: Revm) -> None:
    with pytest.raises(RevertedError) as reverted:
        judge.call("locate", encode_node(_sum(Load(0))), 0, 0, 2, [0, 0])
    assert (reverted.value.error, reverted.value.arguments) == ("LoadOutside", (2, 2))
