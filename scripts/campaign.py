"""Runs the long campaign of tests/solidity/invariants and tabulates what was accepted and refused.

    python scripts/campaign.py [--steps N] [--seed S] [--write]

Exit code 1 if an invariant broke, or a kind of move was hardly ever accepted.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from protocol.chain.sources import ROOT

DOCUMENT = ROOT / "docs" / "INVARIANTS.md"
SUITE = "tests/solidity/invariants/Campaign.t.sol"
BEGIN, END = "<!-- campaign: begin -->\n", "<!-- campaign: end -->\n"
LONG_STEPS = 100_000
SEQUENCES, SEQUENCE_LENGTH = 64, 400
COLUMNS = 4

_COUNT = re.compile(r"^(accepted|refused) (.+) (\d+)$", re.MULTILINE)
_STEPS = re.compile(r"^steps (\d+)$", re.MULTILINE)
_GAS = re.compile(r"^dearest judgement (\d+) gas$", re.MULTILINE)


@dataclass
class Result:
    """What a campaign printed.

    Attributes:
        steps: Moves tried, those that bring everything to its end included.
        gas: Of the dearest judgement.
        counts: Moves by kind, under `accepted` and `refused`.
    """

    steps: int
    gas: int
    counts: dict[str, dict[str, int]] = field(default_factory=dict)


def main(arguments: list[str] | None = None) -> int:
    """Run it; return 0 if every invariant held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=LONG_STEPS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="put it into docs/INVARIANTS.md")
    options = parser.parse_args(arguments)
    code, output = run_campaign(options.steps, options.seed)
    if code != 0:
        print(output, file=sys.stderr)
        return 1
    table = render(parse(output), options.seed)
    print(table, end="")
    if options.write:
        text = DOCUMENT.read_text(encoding="utf-8")
        DOCUMENT.write_text(replace_table(text, table), encoding="utf-8")
    return 0


def run_campaign(steps: int, seed: int) -> tuple[int, str]:
    """Run the campaign, and the sequences that Hardhat's runner orders.

    Returns:
        Hardhat's exit code and everything that it printed.
    """
    node = Path(sys.executable).with_name("node")
    hardhat = ROOT / "node_modules" / "hardhat" / "dist" / "src" / "cli.js"
    chosen = {
        "CAMPAIGN_STEPS": str(steps),
        "CAMPAIGN_SEED": str(seed),
        "INVARIANT_RUNS": str(SEQUENCES),
        "INVARIANT_DEPTH": str(SEQUENCE_LENGTH),
    }
    run = subprocess.run(
        [node, hardhat, "test", "solidity", SUITE, "-vv"],
        cwd=ROOT,
        env={**os.environ, **chosen},
        capture_output=True,
        text=True,
        check=False,
    )
    return run.returncode, run.stdout + run.stderr


def parse(output: str) -> Result:
    """Return the counts that the campaign printed.

    Raises:
        ValueError: It printed none.
    """
    steps, gas = _STEPS.search(output), _GAS.search(output)
    if steps is None or gas is None:
        raise ValueError(f"the campaign printed no result: {output[-500:]!r}")
    result = Result(int(steps[1]), int(gas[1]), {"accepted": {}, "refused": {}})
    for verdict, move, count in _COUNT.findall(output):
        result.counts[verdict][move] = int(count)
    return result


def render(result: Result, seed: int) -> str:
    """Return the table in Markdown."""
    lines = [
        f"{result.steps:,} steps with seed {seed}; {SEQUENCES} sequences of {SEQUENCE_LENGTH} "
        f"moves ordered by Hardhat's runner. Dearest judgement: {result.gas:,} gas.",
    ]
    for verdict, counts in result.counts.items():
        total = sum(counts.values())
        lines += ["", f"{verdict.capitalize()}: {total:,}, of {len(counts)} kinds.", ""]
        lines += ["| move | times " * COLUMNS + "|", "|---|--:" * COLUMNS + "|"]
        cells = [f"| {move} | {count:,} " for move, count in counts.items()]
        cells += ["| | "] * (-len(cells) % COLUMNS)
        lines += ["".join(cells[i : i + COLUMNS]) + "|" for i in range(0, len(cells), COLUMNS)]
    return "\n".join(lines) + "\n"


def replace_table(text: str, table: str) -> str:
    """Return the document with this table between its marks.

    Raises:
        ValueError: The marks are not there.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{DOCUMENT.name} lacks {BEGIN.strip()} or {END.strip()}; put them back")
    return before + begin + table + end + after


if __name__ == "__main__":
    sys.exit(main())
