"""Gas of the float operations of the contract: median and largest over hard cases, as JSON.

    python scripts/gas_float32.py > gas.json

The figures hold the call of each operation; the cases are those of the tests.
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.contracts.revm import Revm
from tests.float_cases import triples


def measure(cases: int = 20_000, seed: int = 5) -> dict[str, dict[str, int]]:
    """Median and largest gas by operation."""
    harness = Revm("Float32Harness")
    packed = triples(seed, cases).astype(">u4").tobytes()
    table = {}
    for index, name in enumerate(harness.call("operations").split()):
        gas = harness.call("measure", index, packed)
        table[name] = {"median": int(statistics.median(gas)), "max": max(gas)}
    return table


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
