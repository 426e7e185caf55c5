"""The findings of slither and their answers in docs/SLITHER.md."""

from __future__ import annotations

from typing import Any

import pytest

from scripts import slither
from scripts.slither import AuditError, Finding

ANSWERED = Finding("timestamp", "Dispute.clock(bytes32)")
NEW = Finding("unchecked-transfer", "Vault.withdraw(address,uint256)")


def element(name: str, signature: str, file: str = "contracts/market/Vault.sol") -> dict[str, Any]:
    contract = {"type": "contract", "name": name, "type_specific_fields": {}}
    return {
        "type": "function",
        "name": signature.split("(")[0],
        "source_mapping": {"filename_relative": file},
        "type_specific_fields": {"parent": contract, "signature": signature},
    }


def report(*entries: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    detectors = [{"check": check, "elements": [element_]} for check, element_ in entries]
    return {"success": True, "error": None, "results": {"detectors": detectors}}


def test_report_names_detector_contract_and_function():
    found = slither.parse_report(report((NEW.check, element("Vault", "withdraw(address,uint256)"))))
    assert found == {NEW}


def test_report_of_a_statement_and_of_a_variable_names_their_function():
    function = element("Vault", "withdraw(address,uint256)")
    statement = {**element("Vault", ""), "type": "node", "name": "x = 1"}
    statement["type_specific_fields"] = {"parent": function}
    variable = {**element("Vault", ""), "type": "variable", "name": "amount"}
    variable["type_specific_fields"] = {"parent": function}
    found = slither.parse_report(report((NEW.check, statement), (NEW.check, variable)))
    assert found == {NEW, Finding(NEW.check, f"{NEW.place}.amount")}


def test_report_about_a_library_of_others_alone_is_left_out():
    theirs = element("Math", "mulDiv(uint256)", "node_modules/@openzeppelin/contracts/Math.sol")
    assert slither.parse_report(report((NEW.check, theirs))) == set()


def test_report_of_a_failed_analysis_is_refused():
    with pytest.raises(AuditError, match="no solc"):
        slither.parse_report({"success": False, "error": "no solc", "results": {}})


def test_answers_are_the_items_below_a_detectors_heading():
    text = f"- `nothing`\n## `timestamp`: low\n\nWhy.\n- `{ANSWERED.place}`\n## Other\n- `x`\n"
    assert slither.parse_answers(text) == {ANSWERED}


def test_finding_without_answer_and_answer_without_finding_are_complaints():
    assert slither.compare({ANSWERED}, {ANSWERED}) == []
    unanswered, stale = slither.compare({NEW}, {ANSWERED})
    assert NEW.place in unanswered
    assert ANSWERED.place in stale


def test_slither_that_is_not_installed_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("PINPOINT_SLITHER", "/nowhere/slither")
    assert slither.main([]) == 2
    assert "make slither" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_slither_finds_nothing_that_is_not_answered(capsys: pytest.CaptureFixture[str]):
    assert slither.main([]) == 0, capsys.readouterr()
