"""What everything costs on chain, from real runs: prints the table of docs/GAS.md.

    python scripts/gas_table.py            measure and print
    python scripts/gas_table.py --write    measure and rewrite docs/gas.json and docs/GAS.md
    python scripts/gas_table.py --check    measure; fail if a bar is broken or a figure has moved

All of it takes about two minutes: a whole market in py-evm, the demo's training run and its
disputes, and every node of two captured programs before the judge.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from protocol.chain.artifact import PackedArtifacts
from scripts.gas.meter import Meter, entry_points
from scripts.gas.report import broken_bars, differences, render

DOCS = Path(__file__).resolve().parents[1] / "docs"
TABLE, PAGE = DOCS / "gas.json", DOCS / "GAS.md"
CONTRACTS = ("Vault", "Registry", "Market", "Claims", "Dispute", "Endgame", "Judge")


def measure_sizes() -> dict[str, int]:
    """Bytes of code of each contract of a market."""
    packed = PackedArtifacts()
    return {name: len(packed[name].deployed_bytecode) // 2 - 1 for name in CONTRACTS}


def measure_moves() -> dict[str, Any]:
    """What every entry point takes, and the disputes about the toy."""
    from scripts.gas import moves

    meter = Meter()
    moves.market_life(meter)
    disputes = moves.toy_disputes(meter)
    return {
        "entry points": {name: meter.most[name] for name in measured_entry_points()},
        "disputes of the toy": disputes,
    }


def measure() -> dict[str, Any]:
    """The whole table."""
    from scripts.gas import operations, programs, scenarios

    tasks = {name: make() for name, make in programs.PROGRAMS.items()}
    return {
        "sizes": measure_sizes(),
        **measure_moves(),
        "disputes of the digits": scenarios.training_disputes(tasks["digits"]),
        "judgements": {name: programs.judgements(task) for name, task in tasks.items()},
        "instructions": operations.instructions(),
        "float operations": operations.float_operations(),
    }


def measured_entry_points() -> list[str]:
    """Every function that anyone may call of what holds money or decides about it."""
    packed = PackedArtifacts()
    names = ("Vault", "Registry", "Market", "Claims", "Dispute")
    return entry_points({name: packed[name].abi for name in names})


def load() -> dict[str, Any]:
    """The committed table."""
    table: dict[str, Any] = json.loads(TABLE.read_text())
    return table


def main() -> int:
    """Exit code 1 if a bar is broken, 6 if the figures are not those of the committed table."""
    text = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=text)
    parser.add_argument("--write", action="store_true", help="rewrite gas.json and GAS.md")
    parser.add_argument("--check", action="store_true", help="compare with docs/gas.json")
    options = parser.parse_args()
    table = measure()
    print(render(table))
    if options.write:
        TABLE.write_text(json.dumps(table, indent=2) + "\n")
        PAGE.write_text(render(table) + "\n")
    broken = broken_bars(table)
    for line in broken:
        print(f"broken bar: {line}", file=sys.stderr)
    if broken:
        return 1
    moved = differences(load(), table) if options.check else []
    for line in moved:
        print(f"moved: {line}", file=sys.stderr)
    if moved:
        print("measure again with --write if the change is meant", file=sys.stderr)
    return 6 if moved else 0


if __name__ == "__main__":
    sys.exit(main())
