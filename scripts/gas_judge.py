"""Gas of the judge, execution only: each instruction at its worst, and example nodes, as JSON.

    python scripts/gas_judge.py > gas.json

An instruction's figure is its share of a body that repeats it, the interpreter's loop included, at
the most over hard words. A node's figures are those of decoding (`facts`), of one term
(`arithmetic`) and of its costliest load (`locate`).
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from protocol.program.canonical import encode_node
from protocol.program.isa import SIGNATURES, Op, Type
from protocol.program.node import Node
from tests.contracts.judge_gas import arithmetic_gas, facts_gas, locate_gas, repeated
from tests.contracts.revm import Revm
from tests.float_cases import triples
from tests.program import examples
from tests.random_nodes import INTEGERS

REPEATS = 100


def instruction_gas(judge: Revm, op: Op, cases: int = 150) -> int:
    """Most gas of one instruction over hard words."""
    rng = random.Random(int(op))  # noqa: S311 - cases, not secrets
    most = 0
    for row in triples(seed=int(op), n=cases).tolist():
        pairs = zip(SIGNATURES[op].arguments, row, strict=False)
        words = [word if kind is Type.F else rng.choice(INTEGERS) for kind, word in pairs]
        empty = arithmetic_gas(judge, repeated(op, words, 0), [])
        most = max(most, arithmetic_gas(judge, repeated(op, words, REPEATS), []) - empty)
    return -(-most // REPEATS)


def node_gas(judge: Revm, node: Node) -> dict[str, int]:
    """Gas of each function of the judge on a node."""
    words = [1] * len(node.loads)
    return {
        "bytes": len(encode_node(node)),
        "facts": facts_gas(judge, node),
        "arithmetic": arithmetic_gas(judge, node, words),
        "locate": max(
            (locate_gas(judge, node, load, words) for load in range(len(node.loads))), default=0
        ),
    }


def measure() -> dict[str, Any]:
    """The whole table."""
    judge = Revm("Judge")
    nodes = {
        "matrix product": examples.matrix_product(),
        "scatter": examples.scatter(),
        "step counter": examples.counter(),
        "128 fma": repeated(Op.FMA, [0x3F8CCCCD, 0xBF8CCCCD, 0x3F812345], 128),
        "128 div": repeated(Op.DIV, [0x3F8CCCCD, 0xBF8CCCCD], 128),
    }
    return {
        "instructions": {op.name.lower(): instruction_gas(judge, op) for op in Op},
        "nodes": {name: node_gas(judge, node) for name, node in nodes.items()},
    }


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
