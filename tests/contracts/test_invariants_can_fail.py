"""The campaign of tests/solidity/invariants finds broken contracts.

A campaign that holds for every contract would prove nothing. Each mutant here is a contract with
one check taken out; the campaign has to fail on it, with the message that belongs to the check. The
list is also in docs/INVARIANTS.md.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from protocol.chain.sources import ROOT
from tests.contracts.mutants import Mutant

SUITE = "tests/solidity/invariants/Campaign.t.sol"
TEST = "test_campaign_ofRandomMoves"
NODE = Path(sys.executable).with_name("node")
CLI = Path("node_modules", "hardhat", "dist", "src", "cli.js")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.xdist_group("campaign")]

DOOR = "dispute/DisputeBase.sol"
BISECTION = "dispute/Bisection.sol"
JUDGEMENT = "dispute/Judgement.sol"
OPENING = "dispute/Opening.sol"

# What is broken, and what the campaign says about it.
MUTANTS: dict[str, tuple[str, Mutant]] = {
    "judge convicts the honest": (
        "I1: an honest solver lost",
        Mutant("Dispute", JUDGEMENT, "d, computed == claimed", "d, false"),
    ),
    "load judgement absolves liars": (
        "I2: an honest challenger lost",
        Mutant("Dispute", JUDGEMENT, "d, stored == words[load]", "d, true"),
    ),
    "final while disputes are open": (
        "had to be refused: DisputesOpen",
        Mutant(
            "Claims",
            "market/Claims.sol",
            "if (claim.openDisputes != 0) revert DisputesOpen(claimId, claim.openDisputes);",
            "",
        ),
    ),
    "burned money is not booked": (
        "I3: tokens cover the books",
        Mutant("Vault", "market/Vault.sol", "_credit(BURN_ADDRESS, amount);", ""),
    ),
    "fees are paid twice": (
        ": NothingToCollect",
        Mutant("Claims", "market/Claims.sol", " || claim.collected & bit != 0", ""),
    ),
    "who picks is on the solver's clock": (
        "I4: one side is on the clock",
        Mutant(
            "Dispute",
            "dispute/libraries/Turns.sol",
            "s == IDisputeTypes.DisputeState.POINT_KIND ||\n"
            "            s == IDisputeTypes.DisputeState.PICK",
            "s == IDisputeTypes.DisputeState.POINT_KIND",
        ),
    ),
    "a pick does not shrink the range": (
        "I5: a move did not shrink the dispute",
        Mutant("Dispute", BISECTION, "        d.size = size;\n", ""),
    ),
    "time spent is not counted": (
        "I6: a dispute's longest life",
        Mutant(
            "Dispute", "libraries/ChessClock.sol", "c.openerLeft -= spent", "c.openerLeft += spent"
        ),
    ),
    "an ended dispute times out": (
        ": DisputeOver",
        Mutant("Dispute", OPENING, "if (!Turns.isLive(d.state)) revert DisputeOver(d.state);", ""),
    ),
    "any sub-roots are children": (
        "had to be refused: WrongSubroot",
        Mutant(
            "Dispute",
            BISECTION,
            "        bytes32 got = Merkle.recombine(d.size, children);\n"
            "        if (got != d.subroot) revert WrongSubroot(d.subroot, got);",
            "        Merkle.recombine(d.size, children);",
        ),
    ),
    "a bound stake can be reclaimed": (
        "had to be refused: StakeBound",
        Mutant(
            "Market",
            "market/Bidding.sol",
            "if (bidder == task.book.winner) revert StakeBound(taskId, round, bidder);",
            "",
        ),
    ),
    "a verifier unbonds at once": (
        "had to be refused: StillUnbonding",
        Mutant(
            "Registry",
            "market/Registry.sol",
            "block.timestamp < pending.releaseAt",
            "block.timestamp + 1 days < pending.releaseAt",
        ),
    ),
    "a view promises what a move refuses": (
        "I10: isDisputable",
        Mutant(
            "Claims",
            "market/Claims.sol",
            "return _claims[claimId].stored == ClaimPhase.WINDOW;",
            "return _claims[claimId].stored != ClaimPhase.NONE;",
        ),
    ),
    "a new root gives another dispute time": (
        "I11: a move changed another dispute",
        Mutant(
            "Dispute",
            "dispute/Posting.sol",
            "        _roots[claimId][path] = stored;\n",
            "        _roots[claimId][path] = stored;\n"
            "        bytes32 last = _roots[0][0].root;\n"
            "        _records[last].clock.extra += 1;\n"
            "        _roots[0][0].root = id;\n",
        ),
    ),
    "a judgement wastes gas": (
        "I12: gas of a judgement",
        Mutant(
            "Dispute",
            JUDGEMENT,
            "        uint32 claimed = Words.accumulator(leaf);\n",
            "        uint32 claimed = Words.accumulator(leaf);\n"
            "        for (uint256 i; i < 2_000; ++i) keccak256(abi.encode(i));\n",
        ),
    ),
    "a move about another position": (
        "had to be refused: StalePosition",
        Mutant(
            "Dispute", DOOR, "if (actual != expected) revert StalePosition(actual, expected);", ""
        ),
    ),
    "a move in the second of the deadline": (
        "had to be refused: DeadlinePassed",
        Mutant("Dispute", DOOR, "if (time >= deadline) revert", "if (time > deadline) revert"),
    ),
}


@dataclass
class Project:
    """A copy of the Solidity part of the repository, compiled, whose artefacts may be replaced."""

    folder: Path

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Run the campaign, at full length whatever the environment says."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("CAMPAIGN_")}
        return subprocess.run(
            [NODE, CLI, "test", "solidity", SUITE, "--grep", TEST, *options],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def artifact(self, mutant: Mutant) -> Path:
        """Where Hardhat keeps the contract that a mutant stands for."""
        contracts = self.folder / ".cache" / "hardhat" / "artifacts" / "contracts"
        (found,) = contracts.rglob(f"{mutant.contract}.sol/{mutant.contract}.json")
        return found


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("campaign")
    for name in ("package.json", "hardhat.config.js"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "contracts", folder / "contracts")
    for name in ("support", "invariants"):
        shutil.copytree(ROOT / "tests" / "solidity" / name, folder / "tests" / "solidity" / name)
    (folder / "node_modules").symlink_to(ROOT / "node_modules")
    result = Project(folder)
    run = result.run()
    assert run.returncode == 0, run.stdout + run.stderr
    return result


@pytest.mark.parametrize("name", MUTANTS)
def test_campaign_on_a_broken_contract_fails_for_its_reason(project: Project, name: str):
    message, mutant = MUTANTS[name]
    path = project.artifact(mutant)
    original = path.read_text(encoding="utf-8")
    try:
        code = mutant.compile().bytecode
        path.write_text(json.dumps({**json.loads(original), "bytecode": code}), encoding="utf-8")
        run = project.run("--no-compile")
    finally:
        path.write_text(original, encoding="utf-8")
    assert run.returncode == 1, run.stdout
    assert message in reason_of(run.stdout), run.stdout[-3000:]


def reason_of(output: str) -> str:
    """Why the campaign failed: its message, or the custom error and the move that it names."""
    error = re.search(r"^ *Error: (.*)$", output, re.MULTILINE)
    assert error, output
    return error[1]
