"""The judge as the dispute calls it: on py-evm, its size, and its gas against the cost model."""

from __future__ import annotations

import random
from typing import Any

import pytest

from protocol.kernels.reference import evaluator
from protocol.program import cost
from protocol.program.canonical import encode_binding, encode_node
from protocol.program.isa import SIGNATURES, DType, Op, Type
from protocol.program.node import Binding, OperandKind
from tests.contracts.judge_gas import arithmetic_gas, locate_gas, repeated
from tests.contracts.revm import Revm
from tests.float_cases import triples
from tests.program import examples
from tests.random_nodes import INTEGERS, random_elements, random_node

EXAMPLES = [
    examples.weights(),
    examples.matrix_product(),
    examples.counter(),
    examples.scatter(),
    examples.product_of_rows(),
]
# What the judge takes on the smallest node: part of the model's fixed gas.
BASE_GAS = 7_500


@pytest.fixture(scope="module")
def judge() -> Revm:
    return Revm("Judge")


def test_judge_on_pyevm_equals_the_reference(chain: Any) -> None:
    contract = chain.deploy("Judge").functions
    rng = random.Random(3)
    for node in [*EXAMPLES, *(random_node(rng) for _ in range(25))]:
        data = encode_node(node)
        facts = (node.dtype, node.dtype.width, node.numel, node.terms, len(node.loads), node.init)
        assert tuple(contract.facts(data).call()) == facts
        operands = [random_elements(rng, operand) for operand in node.operands]
        element = rng.randrange(node.numel)
        leaves = evaluator.fold_terms(node, operands, element)
        term = rng.randrange(node.terms)
        previous = leaves[term - 1][0] if term else node.init
        after, words = leaves[term]
        assert contract.arithmetic(data, element, term, previous, words).call() == after
        where = evaluator.unravel(element, node.shape) + evaluator.unravel(term, node.domain)
        for k, load in enumerate(node.loads):
            located = contract.locate(data, element, term, k, words).call()
            address = evaluator.locate(load, where, words)
            assert (located[-1] if located[0] else None) == address
    binding = Binding(OperandKind.STATE, 7, DType.U8, (3, 5))
    assert contract.binding(encode_binding(binding)).call() == [1, 7, 3, 15]


def test_judge_fits_the_code_size_limit(compiled: Any) -> None:
    assert len(compiled["Judge"].deployed_bytecode) // 2 - 1 <= 24_576 // 2


@pytest.mark.parametrize("op", Op)
def test_instruction_gas_of_the_cost_model_bounds_the_measurement(judge: Revm, op: Op) -> None:
    rng = random.Random(4)
    floats = triples(seed=int(op), n=60).tolist()
    bound = cost.instruction_gas(op)
    for row in floats:
        arguments = [
            word if kind is Type.F else rng.choice(INTEGERS)
            for kind, word in zip(SIGNATURES[op].arguments, row, strict=False)
        ]
        empty = arithmetic_gas(judge, repeated(op, arguments, 0), [])
        full = arithmetic_gas(judge, repeated(op, arguments, 100), [])
        assert full - empty <= 100 * bound, (op.name, (full - empty) // 100, bound)


def test_gas_of_the_cost_model_bounds_the_measurement_for_random_nodes(judge: Revm) -> None:
    rng = random.Random(5)
    for node in [*EXAMPLES, *(random_node(rng) for _ in range(300))]:
        words = [rng.choice([0, 1, 2, 0x3F800000]) for _ in node.loads]
        decoding = BASE_GAS + cost.decode_gas(node)
        body = sum(cost.instruction_gas(instruction.op) for instruction in node.instructions)
        body += sum(cost.address_gas(load) for load in node.loads if load.skip)
        assert arithmetic_gas(judge, node, words) <= decoding + body
        for number, load in enumerate(node.loads):
            assert locate_gas(judge, node, number, words) <= decoding + cost.address_gas(load)
