"""Gas of the judge's functions, without the transaction's base and calldata."""

from __future__ import annotations

from typing import Any

from eth_abi import encode

from protocol.program import cost
from protocol.program.canonical import encode_node
from protocol.program.isa import SIGNATURES, DType, Op, Type
from protocol.program.node import Constant, Instruction, Node
from tests.contracts.revm import Revm


def facts_gas(judge: Revm, node: Node) -> int:
    """Gas of decoding a node."""
    return _execution_gas(judge, "facts", ["bytes"], encode_node(node))


def arithmetic_gas(judge: Revm, node: Node, words: list[int], previous: int = 0) -> int:
    """Gas of the first term of the last element."""
    types = ["bytes", "uint64", "uint64", "uint32", "uint32[]"]
    data, element = encode_node(node), node.numel - 1
    return _execution_gas(judge, "arithmetic", types, data, element, 0, previous, words)


def locate_gas(judge: Revm, node: Node, load: int, words: list[int]) -> int:
    """Gas of finding a load of the first term of the last element."""
    types = ["bytes", "uint64", "uint64", "uint8", "uint32[]"]
    data, element = encode_node(node), node.numel - 1
    return _execution_gas(judge, "locate", types, data, element, 0, load, words)


def repeated(op: Op, arguments: list[int], times: int) -> Node:
    """A body of one instruction again and again on the same constants."""
    signature = SIGNATURES[op]
    pairs = zip(signature.arguments, arguments, strict=True)
    constants = tuple(Constant(kind, word) for kind, word in pairs)
    return Node(
        DType.F32 if signature.result is Type.F else DType.I32,
        (),
        constants=constants,
        instructions=(Instruction(op, *range(1, 1 + len(constants))),) * times,
        result=0,
    )


def _execution_gas(judge: Revm, function: str, types: list[str], *arguments: Any) -> int:
    judge.call(function, *arguments)
    data = bytes.fromhex("12345678") + encode(types, arguments)
    calldata = cost.TOKEN_GAS * cost.tokens_of(data)
    return judge.gas_used - cost.TRANSACTION_GAS - calldata
