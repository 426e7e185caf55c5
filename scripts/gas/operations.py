"""Gas of the judge's operations: execution only, without calldata and the transaction's base."""

from __future__ import annotations

import random
import statistics

from protocol.program.isa import SIGNATURES, Op, Type
from tests.contracts.judge_gas import arithmetic_gas, repeated
from tests.contracts.revm import Revm
from tests.float_cases import triples
from tests.random_nodes import INTEGERS

REPEATS = 100


def float_operations(cases: int = 20_000, seed: int = 5) -> dict[str, dict[str, int]]:
    """Median and largest gas of each float operation over hard cases, its call included."""
    harness = Revm("Float32Harness")
    packed = triples(seed, cases).astype(">u4").tobytes()
    table = {}
    for index, name in enumerate(harness.call("operations").split()):
        gas = harness.call("measure", index, packed)
        table[name] = {"median": int(statistics.median(gas)), "most": max(gas)}
    return table


def instructions(cases: int = 150) -> dict[str, int]:
    """Most gas of each instruction: its share of a body that repeats it, on hard words."""
    judge = Revm("Judge")
    return {op.name.lower(): _instruction(judge, op, cases) for op in Op}


def _instruction(judge: Revm, op: Op, cases: int) -> int:
    rng = random.Random(int(op))  # noqa: S311 - cases, not secrets
    most = 0
    for row in triples(seed=int(op), n=cases).tolist():
        pairs = zip(SIGNATURES[op].arguments, row, strict=False)
        words = [word if kind is Type.F else rng.choice(INTEGERS) for kind, word in pairs]
        empty = arithmetic_gas(judge, repeated(op, words, 0), [])
        most = max(most, arithmetic_gas(judge, repeated(op, words, REPEATS), []) - empty)
    return -(-most // REPEATS)
