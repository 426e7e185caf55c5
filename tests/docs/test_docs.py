"""What the documents say of the code is still so: names, paths, opcodes, worked numbers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from protocol.chain.presets import DEVNET, PRESETS
from protocol.chain.stake import (
    WAD,
    Sampling,
    ceil_div,
    compute_bond,
    compute_escapes,
    compute_required_stake,
)
from protocol.program.isa import SIGNATURES, Op

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
PROTOCOL = (ROOT / "docs/PROTOCOL.md").read_text()
TOKEN = 10**18


def section(start: str, end: str) -> str:
    """The text of PROTOCOL.md between two headings."""
    return PROTOCOL[PROTOCOL.index(start) : PROTOCOL.index(end)]


def rows(text: str) -> list[list[str]]:
    """Cells of the rows of tables, without headings."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_documents_name_tests_that_exist(document: Path) -> None:
    sources = "".join(path.read_text() for path in (ROOT / "tests").rglob("*.py"))
    named = set(re.findall(r"`(test_\w+)`", document.read_text()))
    missing = sorted(name for name in named if f"def {name}(" not in sources)
    assert not missing, f"{document.name} names tests that are not there: {missing}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_documents_name_files_that_exist(document: Path) -> None:
    named = set(
        re.findall(r"`((?:contracts|docs|protocol|scripts|tests)/[\w./]+)`", document.read_text())
    )
    missing = sorted(name for name in named if not (ROOT / name).exists())
    assert not missing, f"{document.name} names files that are not there: {missing}"


def test_attacks_of_the_review_are_those_of_the_tests() -> None:
    review = (ROOT / "docs/REVIEW.md").read_text()
    table = review[review.index("## Checks of the market") : review.index("## Traps")]
    source = (ROOT / "tests/contracts/market/test_checks_matter.py").read_text()
    attacks = set(re.findall(r"^def (?!test_|without)(\w+)", source, re.MULTILINE))
    assert {row[2].strip("`") for row in rows(table)[1:]} == attacks


def test_instruction_table_is_that_of_the_program() -> None:
    documented: dict[int, tuple[str, str]] = {}
    for codes, names, types, *_ in rows(section("| byte | name", "## 2. The fold"))[1:]:
        pairs = zip(codes.split(), names.strip("`").split(), strict=True)
        documented.update({int(code, 16): (name, types) for code, name in pairs})
    expected = {}
    for op in Op:
        arguments = " ".join(kind.name for kind in SIGNATURES[op].arguments)
        expected[int(op)] = (op.name.lower(), f"{arguments} → {SIGNATURES[op].result.name}")
    assert documented == expected


def test_worked_stakes_are_those_of_the_formula() -> None:
    table = rows(section("Worked, Pmax", "Reading:"))[1:]
    assert len(table) >= 9
    reward, market = 1_000 * TOKEN, DEVNET.market
    for g, samples, h, q, at_risk, one, every, stake, bond, ceiling in table:
        segments = int(g.replace(",", ""))
        k, v = (int(number) for number in samples.split("×"))
        sampling = Sampling(segments, k, v, round(float(h) * WAD), round(float(q) * WAD))
        cost = ceil_div(reward, segments)
        risk = int(at_risk.replace(",", "")) * TOKEN
        required = compute_required_stake(sampling, cost, risk, reward, market.challenger_wad)
        escapes = compute_escapes(sampling)
        got = [
            *(1 - escape / WAD for escape in escapes),
            required / TOKEN,
            compute_bond(cost, required, market.bond_rates) / TOKEN,
            required * market.challenger_wad / WAD / 2 / TOKEN,
        ]
        for text, value in zip((one, every, stake, bond, ceiling), got, strict=True):
            assert float(text.replace(",", "")) == pytest.approx(value, abs=0.06, rel=1e-3), text


def test_presets_of_the_table_are_those_of_the_code() -> None:
    table = section("| constant | `minimal`", "Where prices have moved")
    for preset in PRESETS.values():
        assert f"`{preset.name}`" in table
    by_name = {row[0]: row[1:] for row in rows(table)}
    units = {"s": 1, "min": 60, "h": 3_600, "d": 86_400}

    def seconds(text: str) -> int:
        number, unit = text.split()
        return int(number) * units[unit]

    for column, preset in enumerate(PRESETS.values()):
        assert seconds(by_name["T_rev, `openRevealSeconds`"][column]) == (
            preset.market.open_reveal_seconds
        )
        assert seconds(by_name["`reopenSeconds`"][column]) == preset.market.reopen_seconds
        longest, window = by_name["`maxSeconds` / `maxWindowSeconds`"][column].split(" / ")
        assert seconds(longest) == preset.market.max_seconds
        assert seconds(window) == preset.market.max_window_seconds
        assert int(by_name["`drawDelayBlocks`"][column]) == preset.market.draw_delay_blocks
        budget = by_name["K_S, K_C: solver's and opener's budget"][column]
        assert seconds(budget) == preset.dispute.solver_seconds == preset.dispute.opener_seconds
        assert seconds(by_name["g, grace of a turn"][column]) == preset.dispute.grace_seconds
        gas, price = preset.market.solver_gas, preset.market.wei_per_gas
        assert by_name["`solverGas` · `weiPerGas`"][0] == (
            f"{gas:,} · 1.5·10^11 = {gas * price / TOKEN} tokens"
        )
        least, unbonding = by_name["least stake of a verifier, unbonding time"][column].split(", ")
        assert int(least.replace(",", "")) * TOKEN == preset.minimum_verifier_stake
        assert seconds(unbonding) == preset.unbonding_seconds
